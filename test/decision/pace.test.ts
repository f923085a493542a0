import t from 'tap'
import { decide } from '../../server/decision/decide.js'
import { limitReached, overLimit } from '../../server/decision/pace.js'
import type { CredentialRequest, Limits, Pace } from '../../server/types.js'
import { environment, grantFact, NOW, place, policySet } from '../support/policy.js'

const ask = (environment: string, ...scopes: string[]): CredentialRequest => ({
  environment,
  scopes,
  reason: 'a test',
})
const still: Pace = { issued: 0, live: 0, denied: 0, scopes: [] }
const LIMITS: Limits = { issuancesPerMinute: 2, liveSessions: 5, scopesPerHour: 3, denialsPerHour: 4 }
const tight = policySet({
  environments: [
    environment('development', { limits: LIMITS }),
    environment('production', { limits: LIMITS }),
  ],
  agent: {
    environments: new Map([
      ['development', place('development', { limits: LIMITS })],
      ['production', place('production', { limits: { ...LIMITS, denialsPerHour: 2 } })],
    ]),
  },
})
const codeOf = (request: CredentialRequest, pace: Partial<Pace>, more = {}) => {
  const decision = decide(tight, 'bot', request, { grants: [], pace: { ...still, ...pace }, ...more }, NOW)
  return decision.outcome === 'allow' ? 'allow' : decision.refusal.code
}

t.test('each limit, from the last one that is let through to the first that is not', async (t) => {
  const read = ask('development', 'read')
  for (const [least, most] of [
    [{ issued: 1 }, { issued: 2 }],
    [{ live: 4 }, { live: 5 }],
    [{ denied: 3 }, { denied: 4 }],
    [{ scopes: ['a', 'b'] }, { scopes: ['a', 'b', 'c'] }],
  ] as const) {
    t.equal(codeOf(read, least), 'allow', JSON.stringify(least))
    t.equal(codeOf(read, most), 'over_limit', JSON.stringify(most))
  }
  t.equal(codeOf(read, { scopes: ['a', 'b', 'read'] }), 'allow', 'a scope of the last hour is no further one')
  t.equal(limitReached(still, LIMITS, ['a', 'b', 'c', 'd']), 'scopes_per_hour', 'in one request too')
})

t.test('what a limit does not do', async (t) => {
  const all = { issued: 9, live: 9, denied: 9, scopes: ['a', 'b', 'c'] }
  const liveSession = { issuanceId: 'issuance0001' }
  t.equal(codeOf(ask('development', 'read'), all, { liveSession }), 'allow', 'a session that is out already')
  const write = ask('production', 'write')
  t.equal(codeOf(write, { issued: 2 }, { grants: [grantFact()] }), 'over_limit', 'a grant is no way round')
  t.equal(codeOf(write, {}), 'grant_required')
  t.equal(
    decide(tight, 'bot', write, { grants: [] }, NOW).outcome,
    'needs-grant',
    'not counted: in principle',
  )
})

t.test('who only asks for what it may not have goes too fast as well', async (t) => {
  t.equal(codeOf(ask('development', 'none'), { denied: 3 }), 'scope_unknown')
  t.equal(codeOf(ask('development', 'none'), { denied: 4 }), 'over_limit')
  t.equal(codeOf(ask('nowhere', 'read'), { denied: 1 }), 'environment_unknown')
  t.equal(codeOf(ask('nowhere', 'read'), { denied: 2 }), 'over_limit', 'by the fewest of the places it has')
})

t.test('a red line by name, wherever and however fast', async (t) => {
  const redLineAt = (name: string) => (name === 'iam:create-user' ? 'iam:CreateUser' : undefined)
  const set = { ...tight, redLineAt }
  const facts = { grants: [], pace: { ...still, denied: 9, issued: 9 } }
  for (const environment of ['development', 'nowhere']) {
    const decision = decide(set, 'bot', ask(environment, 'read', 'iam:create-user'), facts, NOW)
    t.match(
      decision,
      { outcome: 'deny', refusal: { code: 'red_line', detail: /iam:CreateUser/ } },
      environment,
    )
  }
  const stopped = decide(set, 'bot', ask('development', 'iam:create-user'), { ...facts, stop: 'x' }, NOW)
  t.match(stopped, { refusal: { code: 'agent_stopped' } }, 'a stop comes first')
})

t.test('every refusal says which limit, and when to try again', async (t) => {
  for (const limit of ['issuances_per_minute', 'live_sessions', 'scopes_per_hour', 'denials_per_hour']) {
    const refusal = overLimit(limit)
    t.match(refusal, { code: 'over_limit', detail: new RegExp(`\\(${limit}\\)`) })
    t.ok((refusal.retryAfterSeconds ?? 0) > 0)
  }
})
