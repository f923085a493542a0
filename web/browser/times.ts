/**
 * Instants in the reader's own zone, with UTC in the tooltip, and how long ago or until, by the server's clock: that
 * of a phone may be off. `<time datetime="…Z">` is what the server wrote (web/pages/parts.ts, in the same words).
 */
const server = Date.parse(document.querySelector<HTMLMetaElement>('meta[name="now"]')?.content ?? '')
const offset = Number.isNaN(server) ? 0 : server - Date.now()

/** One for all: making one takes longer than a hundred uses of it, and this runs before a page is first painted. */
const readersOwn = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

function span(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.floor(seconds))} s`
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min`
  if (seconds < 129_600) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

function relative(instant: Date, way: string): string {
  const seconds = (instant.getTime() - (Date.now() + offset)) / 1000
  if (way === 'left') return seconds <= 0 ? 'over' : `${span(seconds)} left`
  return seconds > -60 ? 'just now' : `${span(-seconds)} ago`
}

/** Says the times below an element as the reader reads them. */
export function sayTimes(root: ParentNode = document): void {
  for (const element of root.querySelectorAll<HTMLTimeElement>('time[datetime]')) {
    const instant = new Date(element.dateTime)
    if (Number.isNaN(instant.getTime())) continue
    const { relative: way } = element.dataset
    const local = readersOwn.format(instant)
    const text = way === undefined ? local : relative(instant, way)
    element.title = way === undefined ? element.dateTime : `${local} (${element.dateTime})`
    // Written only when it changed: a screen reader may hear every writing.
    if (element.textContent !== text) element.textContent = text
  }
}

sayTimes()
setInterval(() => sayTimes(), 10_000)
