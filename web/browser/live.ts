import { showCopyButtons } from './copy.js'
import { sayTimes } from './times.js'

/**
 * Keeps parts of a page up to date. `<div id="…" data-live="request grant">` is fetched again when the log tells of
 * one of these; items in it are known by `data-key`, and `data-version` tells whether one changed. Only what changed
 * is replaced, so that focus and a reader's place stay where they are. `data-live-notice` says it in words instead:
 * a page that somebody is about to sign never changes under them.
 */
const WAIT_MS = 250
const PATIENCE_MS = 5000
const LONGEST_MS = 60_000
const LIVE = 'Up to date; new ones appear by themselves.'
const OLD = 'Not connected: what you see may be old. Reload to be sure.'

const regions = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>('[data-live]')]
const topicsOf = (text: string | undefined): readonly string[] => (text ?? '').split(' ')

let source: EventSource | undefined
let planned = false
let doubt: ReturnType<typeof setTimeout> | undefined
const stale = new Set<string>()

interface Hint {
  readonly kind: string
  readonly topic: string
  readonly request?: string
  readonly grant?: string
  readonly agent?: string
}

function connect(): void {
  if (source !== undefined) return
  source = new EventSource('/console/live')
  source.addEventListener('hint', (event) => {
    const hint = JSON.parse(event.data) as Hint
    notice(hint)
    for (const region of regions())
      if (topicsOf(region.dataset.live).includes(hint.topic)) stale.add(region.id)
    if (stale.size === 0 || planned) return
    planned = true
    setTimeout(() => void refresh(), WAIT_MS)
  })
  source.addEventListener('open', () => {
    clearTimeout(doubt)
    status(LIVE)
  })
  // The server ends each stream after a minute, and the browser comes again at once: nothing to tell.
  source.addEventListener('error', () => {
    clearTimeout(doubt)
    doubt = setTimeout(() => status(OLD), PATIENCE_MS)
  })
}

function disconnect(): void {
  source?.close()
  source = undefined
}

function status(text: string): void {
  const place = document.querySelector('#live-said')
  if (place !== null && place.textContent !== text) place.textContent = text
}

function notice({ topic, request, grant, agent, kind }: Hint): void {
  for (const place of document.querySelectorAll<HTMLElement>('[data-live-notice]')) {
    const { liveNotice, of } = place.dataset
    if (!topicsOf(liveNotice).includes(topic) || ![request, grant, agent].includes(of)) continue
    const link = document.createElement('a')
    link.href = location.href
    link.textContent = 'Reload'
    place.className = 'notice warn'
    place.replaceChildren(`Something was recorded on this (${kind.replace(/^.*\./, '')}). `, link)
  }
}

async function refresh(): Promise<void> {
  planned = false
  const ids = [...stale]
  stale.clear()
  const page = await load(location.href)
  if (page === undefined) {
    status(OLD)
    return awaitDue()
  }
  for (const id of ids) {
    const old = document.getElementById(id)
    const fresh = page.getElementById(id)
    if (old !== null && fresh !== null) merge(old, fresh)
  }
  awaitDue()
}

let due: ReturnType<typeof setTimeout> | undefined

/**
 * Some things come true by the clock, and some while the stream was not open yet: `data-live-at` is when to look again,
 * from then on every few seconds for as long as the page says so.
 */
function awaitDue(): void {
  clearTimeout(due)
  const times = [...document.querySelectorAll<HTMLElement>('[data-live] [data-live-at]')].map(({ dataset }) =>
    Date.parse(dataset.liveAt ?? ''),
  )
  const next = Math.min(...times.filter((time) => !Number.isNaN(time)))
  if (next === Number.POSITIVE_INFINITY) return
  // By the reader's clock, which may be off: then again, a little later each time.
  due = setTimeout(
    () => {
      for (const region of regions()) if (region.querySelector('[data-live-at]')) stale.add(region.id)
      void refresh()
    },
    Math.min(Math.max(next - Date.now() + WAIT_MS, PATIENCE_MS), LONGEST_MS),
  )
}

/** A document that runs nothing. Not through DOMParser, which would need a Trusted Types policy. */
function load(url: string): Promise<Document | undefined> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest()
    request.open('GET', url)
    request.responseType = 'document'
    request.setRequestHeader('accept', 'text/html')
    request.setRequestHeader('x-writ-part', 'live')
    request.addEventListener('loadend', () => {
      // Sent on to the sign-in page: the session is over.
      const here = request.status === 200 && new URL(request.responseURL).pathname === new URL(url).pathname
      resolve(here && request.responseXML !== null ? request.responseXML : undefined)
    })
    request.send()
  })
}

const keyed = (root: Element): Map<string, Element> =>
  new Map([...root.querySelectorAll('[data-key]')].map((item) => [item.getAttribute('data-key') ?? '', item]))

function merge(old: Element, fresh: Element): void {
  const before = keyed(old)
  const after = keyed(fresh)
  const list = [...before.values()][0]?.parentElement
  const next = [...after.values()][0]?.parentElement
  const arrived = [...after.keys()].filter((key) => !before.has(key)).length
  if (list === null || list === undefined || next === null || next === undefined) {
    old.replaceChildren(...Array.from(fresh.childNodes, (node) => document.importNode(node, true)))
  } else {
    mergeList(list, next, before, after)
  }
  sayTimes(old)
  showCopyButtons(old)
  if (arrived > 0) status(`${arrived} new.`)
}

function mergeList(
  list: Element,
  next: Element,
  before: ReadonlyMap<string, Element>,
  after: ReadonlyMap<string, Element>,
): void {
  for (const [key, item] of before) if (!after.has(key)) item.remove()
  let place: Element | null = list.firstElementChild
  for (const item of next.children) {
    const key = item.getAttribute('data-key') ?? ''
    const known = before.get(key)
    const unchanged = known?.getAttribute('data-version') === item.getAttribute('data-version')
    if (known !== undefined && unchanged && known === place) {
      place = place.nextElementSibling
      continue
    }
    const held = known?.contains(document.activeElement) === true
    const put = known !== undefined && unchanged ? known : document.importNode(item, true)
    if (known === undefined) put.classList.add('arrived')
    else if (put !== known) {
      if (known === place) place = place.nextElementSibling
      known.remove()
    }
    list.insertBefore(put, place)
    if (held) put.querySelector<HTMLElement>('a, button')?.focus({ preventScroll: true })
  }
}

// A browser has six connections to a host: a tab that nobody looks at gives its own back.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'hidden') return disconnect()
  for (const region of regions()) stale.add(region.id)
  if (stale.size > 0) void refresh()
  connect()
})
addEventListener('pagehide', disconnect)
awaitDue()
if (regions().length > 0 || document.querySelector('[data-live-notice]') !== null) connect()
