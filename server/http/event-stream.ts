import type { LogReader } from '../audit/follow.js'
import type { After, FollowedEntry, FollowFilter, Position } from '../audit/stretch.js'

/** Hex digits of the leaf hash in an id: enough that nobody makes another entry with the same. */
const LEAF_DIGITS = 16

/**
 * What `Last-Event-ID` brings back: index and the beginning of that entry's leaf hash, so that it cannot be taken
 * for a place in another log. `-1` stands before the first entry.
 */
const idOf = ({ index, leaf }: Position): string =>
  leaf === undefined ? String(index) : `${index}.${leaf.slice(0, LEAF_DIGITS)}`

/** An id, or an index alone, which is not compared. Undefined when it is neither. */
export function parseId(text: string): After | undefined {
  const [, index, leaf] = /^(-1|\d{1,15})(?:\.([0-9a-f]{16}))?$/.exec(text) ?? []
  if (index === undefined || (index === '-1' && leaf !== undefined)) return undefined
  return leaf === undefined ? { index: Number(index) } : { index: Number(index), leaf }
}

export interface EventStreamOptions {
  readonly filter: FollowFilter
  readonly personal: boolean
  /** Silence that a proxy does not cut, and in which a reader still hears that the stream lives. */
  readonly heartbeatMs: number
  /** How soon a reader is told how far entries it did not ask for have been passed over. */
  readonly progressMs: number
}

const RETRY_MS = 2_000
const CHUNK_CHARACTERS = 64 * 1024

/**
 * The log as server-sent events (HTML, section 9.2), without end until `ended`. Read ahead by no more than one
 * chunk: a reader who stops reading holds nothing else up and costs no more than that.
 */
export async function* eventStream(
  next: LogReader['next'],
  begin: Position,
  options: EventStreamOptions,
  ended: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const { filter, personal, heartbeatMs, progressMs } = options
  let at = begin
  let told = begin.index
  // An id at once: who is cut off before the first entry goes on from here and not from a later head.
  yield `retry: ${RETRY_MS}\n${progress(begin)}`
  let wroteAt = performance.now()
  while (!ended.aborted) {
    const due = at.index > told ? progressMs : heartbeatMs
    const stretch = await next(at, filter, Math.max(0, wroteAt + due - performance.now()), ended)
    at = stretch.at
    for (const chunk of chunks(stretch.entries, personal)) {
      yield chunk
      wroteAt = performance.now()
    }
    told = stretch.entries.at(-1)?.index ?? told
    const silentMs = performance.now() - wroteAt
    if (ended.aborted || silentMs < (at.index > told ? progressMs : heartbeatMs)) continue
    // Without data nothing is dispatched, and the last event id moves all the same (HTML, 9.2.6).
    yield at.index > told ? progress(at) : ':\n\n'
    told = at.index
    wroteAt = performance.now()
  }
  yield `: ${String(ended.reason)}\n\n`
}

const progress = (at: Position): string => `id: ${idOf(at)}\n\n`

function* chunks(entries: readonly FollowedEntry[], personal: boolean): Generator<string> {
  let chunk = ''
  for (const entry of entries) {
    chunk += frame(entry, personal)
    if (chunk.length < CHUNK_CHARACTERS) continue
    yield chunk
    chunk = ''
  }
  if (chunk !== '') yield chunk
}

function frame(entry: FollowedEntry, personal: boolean): string {
  // The column, unlike the body, is under no hash: a line break that somebody put there would be a forged event.
  const event = /^[a-z_.]{1,64}$/.test(entry.kind) ? entry.kind : 'unknown'
  const data = personal ? `${entry.json.slice(0, -1)},"personal":${entry.personal}}` : entry.json
  return `id: ${idOf(entry)}\nevent: ${event}\ndata: ${data}\n\n`
}
