import { WritError } from '../errors.js'

interface Keyed {
  readonly created_at: string
  readonly id: string
}

/** Where the next page begins, or null after the last: `time|id` of the last item. */
export function nextPage(items: readonly Keyed[], limit: number): string | null {
  const last = items.at(-1)
  return last === undefined || items.length < limit ? null : `${last.created_at}|${last.id}`
}

export function pageBefore(before: string | undefined): { before?: { at: string; id: string } } {
  if (before === undefined) return {}
  const [at, id] = before.split('|')
  if (at === undefined || id === undefined || Number.isNaN(Date.parse(at))) {
    throw new WritError('request_invalid', '`before` is not the `next` of a page.')
  }
  return { before: { at, id } }
}

/** Pages of the log are keyed by its index. */
export function indexBefore(before: string | undefined): number | undefined {
  if (before === undefined) return undefined
  if (!/^\d{1,15}$/.test(before))
    throw new WritError('request_invalid', '`before` is not the `next` of a page.')
  return Number(before)
}
