import type { EntryFact, RecordFacts } from './evidence.js'
import { judgeGrants } from './judge-grants.js'
import type { Attempt, Ledger, Minted } from './ledger.js'

export interface Verdict {
  /** What must not be. Empty after a run in which everything held. */
  readonly findings: readonly string[]
  readonly figures: Readonly<Record<string, number>>
}

/** Holds the record against what agents, operators and STS saw. Pure. */
export function judge(ledger: Ledger, minted: readonly Minted[], record: RecordFacts): Verdict {
  const findings: string[] = [...record.broken]
  const found = (text: string): void => void findings.push(text)
  const by = index(record, found)
  const attempts = new Map(ledger.attempts.map((attempt) => [attempt.tag, attempt]))
  const answered = answersAreRecorded(ledger.attempts, by, found)
  const lost = recordIsExplained(attempts, answered, by, found)
  const keys = mintsAreRecorded(minted, by, found)
  judgeGrants(ledger, record, found)

  const ends = (kind: string): number => ledger.attempts.filter(({ end }) => end.kind === kind).length
  const states = (state: string): number => record.outcomes.filter((one) => one.state === state).length
  const again = ledger.attempts.filter(({ end }) => end.kind === 'answered' && end.again).length
  return {
    findings,
    figures: {
      attempts: ledger.attempts.length,
      'new sessions in hand': ends('answered') - again,
      'handed out again': again,
      refused: ends('refused'),
      'answers lost': ends('lost'),
      unsent: ends('unsent'),
      entries: record.entries.length,
      issued: states('issued'),
      failed: states('failed'),
      abandoned: states('abandoned'),
      'issued, never received': lost.issued,
      'delivered, never received': lost.delivered,
      'keys minted': minted.length,
      'keys minted, not issued': keys,
      'uses of grants': record.intents.filter((intent) => intent.grant !== undefined).length,
      revocations: ledger.revocations.length,
    },
  }
}

interface Index {
  readonly entries: readonly EntryFact[]
  readonly intended: ReadonlyMap<string, EntryFact>
  readonly issued: ReadonlyMap<string, EntryFact>
}

/** Log and tables say the same, and every intent has exactly one outcome after it. */
function index(record: RecordFacts, found: (text: string) => void): Index {
  const of = (...kinds: readonly string[]): Map<string, EntryFact> => {
    const map = new Map<string, EntryFact>()
    for (const entry of record.entries) {
      if (!kinds.includes(entry.kind)) continue
      const { issuance = '?' } = entry
      if (map.has(issuance)) found(`issuance ${issuance} has two entries of ${kinds.join(' or ')}`)
      map.set(issuance, entry)
    }
    return map
  }
  const intended = of('issuance.intended')
  const ended = of('issuance.issued', 'issuance.failed', 'issuance.abandoned')
  const issued = of('issuance.issued')
  for (const { issuance, entry } of record.intents)
    if (intended.get(issuance)?.index !== entry) found(`intent ${issuance} is not entry ${entry} of the log`)
  if (record.intents.length !== intended.size)
    found(`${record.intents.length} intents in the table, ${intended.size} in the log`)
  for (const { issuance, entry, state, key } of record.outcomes) {
    const said = ended.get(issuance)
    if (said?.index !== entry || said.kind !== `issuance.${state}` || said.key !== key)
      found(`outcome ${issuance} is not entry ${entry} of the log`)
  }
  if (record.outcomes.length !== ended.size)
    found(`${record.outcomes.length} outcomes in the table, ${ended.size} in the log`)
  for (const [issuance, { index: at }] of intended) {
    const end = ended.get(issuance)
    if (end === undefined) found(`issuance ${issuance} has no outcome`)
    else if (end.index <= at) found(`issuance ${issuance} ended before it began`)
  }
  for (const issuance of ended.keys())
    if (!intended.has(issuance)) found(`issuance ${issuance} was never intended`)
  return { entries: record.entries, intended, issued }
}

/** What was handed out is on record: this session, at that index, before the answer. Returns the indexes. */
function answersAreRecorded(
  attempts: readonly Attempt[],
  { entries, intended, issued }: Index,
  found: (text: string) => void,
): ReadonlySet<number> {
  const answered = new Set<number>()
  for (const { tag, endedAt, end } of attempts) {
    if (end.kind !== 'answered') continue
    const what = `${end.again ? 'delivery' : 'issuance'} ${end.issuance} (${tag})`
    const entry = entries[end.entry]
    if (
      entry?.kind !== (end.again ? 'issuance.delivered' : 'issuance.issued') ||
      entry.issuance !== end.issuance
    ) {
      found(`${what} was handed out and is not entry ${end.entry}`)
      continue
    }
    if (answered.has(end.entry)) found(`entry ${end.entry} stands for two answers`)
    answered.add(end.entry)
    const session = issued.get(end.issuance)
    if (session?.key !== end.key) found(`${what} was handed out with a key that is not on record`)
    if (session?.expiresAt !== Date.parse(end.expiresAt)) found(`${what} ends at another time than recorded`)
    if (entry.at > endedAt) found(`${what} was answered before it was recorded`)
    const asked = end.again ? entry.tag : intended.get(end.issuance)?.tag
    if (asked !== tag) found(`${what} is recorded as the answer to ${asked}`)
  }
  return answered
}

/** Nothing is on record that nobody asked for; what was not received is laid at the door of a lost request. */
function recordIsExplained(
  attempts: ReadonlyMap<string, Attempt>,
  answered: ReadonlySet<number>,
  { entries, intended }: Index,
  found: (text: string) => void,
): { readonly issued: number; readonly delivered: number } {
  const lost = { issued: 0, delivered: 0 }
  const seen = new Set<string>()
  for (const { issuance, tag = '?' } of intended.values()) {
    const attempt = attempts.get(tag)
    if (attempt === undefined || attempt.end.kind === 'unsent')
      found(`issuance ${issuance} is on record for a request that nobody sent (${tag})`)
    if (seen.has(tag)) found(`one request, ${tag}, has two issuances`)
    seen.add(tag)
  }
  for (const entry of entries) {
    if (entry.kind !== 'issuance.issued' && entry.kind !== 'issuance.delivered') continue
    if (answered.has(entry.index)) continue
    const { issuance = '?' } = entry
    const delivered = entry.kind === 'issuance.delivered'
    const tag = (delivered ? entry.tag : intended.get(issuance)?.tag) ?? '?'
    const end = attempts.get(tag)?.end
    if (end?.kind === 'lost' || (end?.kind === 'refused' && EXCUSES.has(end.code)))
      lost[delivered ? 'delivered' : 'issued'] += 1
    else
      found(
        `entry ${entry.index} says ${entry.kind}, and the agent got ${end?.kind ?? 'no request'} (${tag})`,
      )
  }
  return lost
}

/**
 * Refusals after which the record may say issued: the database's answer was lost, or the grant was revoked while
 * AWS was minting.
 */
const EXCUSES: ReadonlySet<string> = new Set(['record_unavailable', 'grant_revoked'])

/** AWS minted no key that the record does not know of, and none before the record knew. Returns those not issued. */
function mintsAreRecorded(
  minted: readonly Minted[],
  { intended, issued }: Index,
  found: (text: string) => void,
): number {
  let others = 0
  const keys = new Map<string, string>()
  for (const { key, session, at } of minted) {
    keys.set(key, session)
    const intent = intended.get(session)
    if (intent === undefined) found(`key ${key} was minted for ${session}, which is not on record`)
    else if (intent.at > at) found(`key ${key} was minted before its intent was recorded`)
    const recorded = issued.get(session)
    if (recorded === undefined) others += 1
    else if (recorded.key !== key) found(`${session} was minted as ${key} and is recorded as ${recorded.key}`)
  }
  if (keys.size !== minted.length) found('one key was minted twice')
  for (const [issuance, { key = '?' }] of issued)
    if (keys.get(key) !== issuance)
      found(`${issuance} is recorded with key ${key}, which nobody minted for it`)
  return others
}
