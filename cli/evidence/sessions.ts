import type { EvidenceEntry } from './entries.js'
import { texts, word, words } from './fields.js'
import type { Session } from './types.js'

type State = Session['state']

/** Every issuance of an agent, in the order of the log. What is not over at `at` is alive, minted for sure or not. */
export function sessionsOf(entries: readonly EvidenceEntry[], agent: string, at: string): readonly Session[] {
  const mine = new Map<string, EvidenceEntry[]>()
  for (const one of entries) {
    const id = word(one.entry.issuance_id)
    if (id !== null && one.entry.agent === agent && one.entry.kind.startsWith('issuance.'))
      mine.set(id, [...(mine.get(id) ?? []), one])
  }
  return [...mine.entries()].flatMap(([id, own]) => {
    const intended = own.find(({ entry }) => entry.kind === 'issuance.intended')
    return intended === undefined ? [] : [sessionOf(id, intended, own, at)]
  })
}

function sessionOf(
  issuance: string,
  { entry: asked, personal }: EvidenceEntry,
  own: readonly EvidenceEntry[],
  at: string,
): Session {
  const outcome = own.find(({ entry }) => /^issuance\.(issued|failed|abandoned)$/.test(entry.kind))?.entry
  const state = (outcome?.kind.slice('issuance.'.length) ?? 'intended') as State
  const delivered = own.filter(({ entry }) => entry.kind === 'issuance.delivered')
  const ends = [word(asked.not_after), word(outcome?.expires_at)].flatMap((end) => {
    const time = Date.parse(end ?? '')
    return Number.isNaN(time) ? [] : [time]
  })
  const dies_at = ends.length === 0 ? '' : new Date(Math.min(...ends)).toISOString()
  return {
    issuance,
    entries: own.map(({ entry }) => entry.index),
    at: asked.at,
    state,
    environment: word(asked.environment) ?? '',
    tier: word(asked.tier) ?? '',
    account: word(asked.account) ?? '',
    role_arn: word(asked.role_arn) ?? '',
    sensitivity: word(asked.sensitivity) ?? '',
    scopes: texts(asked.scopes),
    grant: word(asked.grant_id),
    access_key_id: word(outcome?.access_key_id),
    principal_id: word(outcome?.assumed_role_id),
    source_identity: word(asked.source_identity),
    dies_at,
    alive: state !== 'failed' && Date.parse(dies_at) > Date.parse(at),
    deliveries: delivered.length,
    last_delivered_at: delivered.at(-1)?.entry.at ?? null,
    revoked_at: own.find(({ entry }) => entry.kind === 'issuance.revoked')?.entry.at ?? null,
    session_policy: word(asked.session_policy) ?? word(personal?.session_policy),
    words: words(personal),
  }
}
