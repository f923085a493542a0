import { proofProblem } from '../../server/audit/proofs/proof.js'
import type { LogEntry } from '../../server/audit/verify/entry.js'
import { accountsOf, couldOf } from './could.js'
import type { EvidenceEntry } from './entries.js'
import { texts, word, words } from './fields.js'
import { sessionsOf } from './sessions.js'
import type { Alarm, Decision, Denial, Findings, GrantFound, Moment } from './types.js'

/**
 * What the entries say of an agent, and nothing from anywhere else: pure, so that whoever has them finds the same.
 * `at`: what is alive is asked of then.
 */
export function findingsOf(
  entries: readonly EvidenceEntry[],
  { agent, since, at }: { readonly agent: string; readonly since: string; readonly at: string },
): Findings {
  const sessions = sessionsOf(entries, agent, at)
  const [from, own] = [Date.parse(since), entries.filter(({ entry }) => entry.agent === agent)]
  const within = sessions.filter((one) => Date.parse(one.at) >= from)
  const recent = own.filter(({ entry }) => Date.parse(entry.at) >= from)
  const of = (state: string) => within.filter((one) => one.state === state).length
  const kind = (...kinds: readonly string[]) => recent.filter(({ entry }) => kinds.includes(entry.kind))
  const grants = grantsOf(own, entries, sessions)
  return {
    counts: {
      entries: entries.length,
      sessions: within.length,
      issued: of('issued'),
      failed: of('failed'),
      abandoned: of('abandoned'),
      open: of('intended'),
      earlier: sessions.length - within.length,
      deliveries: kind('issuance.delivered').length,
      denials: kind(...DENIALS).length,
      alarms: kind('alarm.raised').length,
      grants: grants.filter(({ grant }) => grant !== null).length,
      alive: sessions.filter(({ alive }) => alive).length,
    },
    sessions,
    could: couldOf(sessions),
    grants,
    denials: kind(...DENIALS).map(denialOf),
    alarms: kind('alarm.raised').map(({ entry }) => alarmOf(entry)),
    accounts: accountsOf(sessions),
    timeline: entries.map(({ entry }) => momentOf(entry)),
  }
}

const DENIALS = ['issuance.denied', 'grant_request.refused'] as const

function grantsOf(
  own: readonly EvidenceEntry[],
  all: readonly EvidenceEntry[],
  sessions: Findings['sessions'],
): readonly GrantFound[] {
  const keys = new Map(
    all
      .filter(({ entry }) => entry.kind === 'operator.key_added')
      .map(({ entry }) => [`${word(entry.of)} ${word(entry.key_id)}`, entry.index]),
  )
  const about = (request: string) => own.filter(({ entry }) => entry.request_id === request)
  return own
    .filter(({ entry }) => entry.kind === 'grant_request.opened')
    .map(({ entry: asked, personal }) => {
      const request = word(asked.request_id) ?? ''
      const rest = about(request)
      const made = rest.find(({ entry }) => entry.kind === 'grant.created')?.entry
      const revoked = rest.find(({ entry }) => entry.kind === 'grant.revoked')?.entry
      const ended = rest.find(({ entry }) =>
        /^grant_request\.(denied|withdrawn|expired)$/.test(entry.kind),
      )?.entry
      const grant = word(made?.grant_id)
      return {
        request,
        grant,
        environment: word(asked.environment) ?? '',
        account: word(asked.account) ?? '',
        scopes: texts(asked.scopes),
        requested_at: asked.at,
        requested_by: word(asked.requested_by) ?? '',
        not_before: word(made?.not_before),
        expires_at: word(made?.expires_at),
        max_uses: typeof made?.max_uses === 'number' ? made.max_uses : null,
        uses: sessions.filter((one) => grant !== null && one.grant === grant).length,
        break_glass: made?.break_glass === true,
        outcome:
          revoked !== undefined
            ? 'revoked'
            : made !== undefined
              ? 'granted'
              : (ended?.kind.slice(14) ?? 'pending'),
        revoked_at: revoked?.at ?? null,
        revoked_by: word(revoked?.operator),
        decisions: rest
          .filter(({ entry }) => /^grant_request\.(approved|denied)$/.test(entry.kind))
          .map((one) => decisionOf(one, keys)),
        words: words(personal),
      }
    })
}

function decisionOf({ entry, personal }: EvidenceEntry, keys: ReadonlyMap<string, number>): Decision {
  const { key_id } = { ...(entry.proof as { readonly key_id?: unknown } | undefined) }
  const [operator, key] = [word(entry.operator) ?? '', word(key_id)]
  return {
    operator,
    decision: entry.kind === 'grant_request.approved' ? 'approve' : 'deny',
    at: entry.at,
    entry: entry.index,
    proof_kind: word(entry.proof_kind) ?? '',
    key_id: key,
    signature: entry.proof_kind === 'fresh-token' ? 'token' : (proofProblem(entry.proof) ?? 'holds'),
    key_entry: keys.get(`${operator} ${key}`) ?? null,
    comment: word(personal?.comment),
  }
}

const denialOf = ({ entry, personal }: EvidenceEntry): Denial => ({
  entry: entry.index,
  at: entry.at,
  kind: entry.kind,
  code: word(entry.code) ?? '',
  environment: word(entry.environment),
  scopes: texts(entry.scopes),
  words: words(personal),
})

const alarmOf = (entry: LogEntry): Alarm => ({
  entry: entry.index,
  at: entry.at,
  alarm: word(entry.alarm) ?? '',
  cause: typeof entry.cause === 'number' ? entry.cause : null,
  delay_ms: typeof entry.delay_ms === 'number' ? entry.delay_ms : null,
  environment: word(entry.environment),
})

const ABOUT = [
  'code',
  'alarm',
  'stage',
  'issuance_id',
  'grant_id',
  'request_id',
  'incident',
  'stop',
  'role_arn',
  'key_id',
] as const

function momentOf(entry: LogEntry): Moment {
  const said = ABOUT.flatMap((field) => {
    const value = word(entry[field])
    return value === null ? [] : [`${field.replace(/_(id|arn)$/, '')} ${value}`]
  })
  return {
    entry: entry.index,
    at: entry.at,
    kind: entry.kind,
    who: word(entry.operator) ?? word(entry.agent) ?? 'Writ',
    environment: word(entry.environment),
    about: said.slice(0, 3).join(', '),
  }
}
