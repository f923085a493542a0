import type { Period } from '../../../web/pages/filters.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** How wide a column of a chart may be. */
const STEPS = [
  MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  7 * DAY,
  30 * DAY,
  365 * DAY,
]
const MOST_COLUMNS = 32

const PERIOD_MS: Readonly<Record<Period, readonly [number, number]>> = {
  '24h': [DAY, HOUR],
  '7d': [7 * DAY, 6 * HOUR],
  '30d': [30 * DAY, DAY],
}

/** No record is older than this. */
const FIRST = Date.UTC(2020, 0)

/**
 * Where the columns of a chart begin and end: of what is asked for, in at most 32 of a round width; else of the last
 * day, week or month. Columns lie on whole hours or days in UTC; the last one ends now.
 */
export function instantsOf(
  asked: { readonly since?: string | undefined; readonly until?: string | undefined; readonly over: Period },
  now: Date,
): readonly Date[] {
  const end = Math.min(asked.until === undefined ? now.getTime() : Date.parse(asked.until), now.getTime())
  const [length, usual] = PERIOD_MS[asked.over]
  const begin = Math.max(asked.since === undefined ? end - length : Date.parse(asked.since), FIRST)
  if (begin >= end) return [new Date(end), new Date(end + 1)]
  const step =
    asked.since === undefined
      ? usual
      : (STEPS.find((one) => (end - begin) / one <= MOST_COLUMNS - 1) ?? 365 * DAY)
  const instants = [new Date(begin)]
  for (let at = (Math.floor(begin / step) + 1) * step; at < end; at += step) instants.push(new Date(at))
  instants.push(new Date(end))
  return instants
}
