import fc from 'fast-check'
import t from 'tap'
import { approvals, decide } from '../../server/decision/decide.js'
import { ERRORS } from '../../server/errors.js'
import type { CredentialRequest, GrantFact, Tier } from '../../server/types.js'
import { environment, grantFact, NOW, place, policySet, SCOPES, scope } from '../support/policy.js'

const ask = (environment: string, ...scopes: string[]): CredentialRequest => ({
  environment,
  scopes,
  reason: 'a test',
})
const none = { grants: [] }

t.test('the tiers, as the table of the design has them', async (t) => {
  const table: Record<Tier, [read: string, write: string, destroy: string]> = {
    sandbox: ['allow', 'allow', 'allow'],
    development: ['allow', 'allow', 'delete_not_allowed'],
    staging: ['allow', 'allow', 'delete_not_allowed'],
    production: ['allow', 'grant_required', 'delete_not_allowed'],
  }
  for (const [tier, row] of Object.entries(table)) {
    for (const [i, name] of SCOPES.map((one) => one.name).entries()) {
      const decision = decide(policySet(), 'bot', ask(tier, name), none, NOW)
      t.equal(decision.outcome === 'allow' ? 'allow' : decision.refusal.code, row[i], `${name} in ${tier}`)
    }
  }
})

t.test('production deletes where the environment opts in, and only by two', async (t) => {
  const opted = environment('production', { allowDelete: true, approvals: { write: 1, delete: 0 } })
  const decision = decide(policySet({ environments: [opted] }), 'bot', ask('production', 'purge'), none, NOW)
  t.match(decision, { outcome: 'needs-grant', approvalsNeeded: 2 }, 'whatever the document says')
  const lax = environment('production', { approvals: { write: 0, delete: 0 } })
  t.equal(approvals(lax, [scope('write', 'write')]), 1, 'no document talks its way below one')
  const staging = environment('staging')
  t.equal(approvals(staging, [scope('promote', 'write', { promotion: true })]), 1)
  t.equal(approvals(staging, [scope('write', 'write')]), 0)
})

t.test('what is not named is denied', async (t) => {
  const code = (set: ReturnType<typeof policySet>, request: CredentialRequest, agent = 'bot') => {
    const decision = decide(set, agent, request, none, NOW)
    return decision.outcome === 'allow' ? 'allow' : decision.refusal.code
  }
  t.equal(code(policySet(), ask('production-eu', 'read')), 'environment_unknown')
  t.equal(code(policySet(), ask('sandbox', 'other')), 'scope_unknown')
  t.equal(code(policySet(), ask('sandbox')), 'scope_unknown', 'no scope at all')
  t.equal(code(policySet(), ask('sandbox', 'read'), 'nobody'), 'agent_stopped', 'an agent that is gone since')
  t.equal(code(policySet({ agent: { status: 'stopped' } }), ask('sandbox', 'read')), 'agent_stopped')
  const narrow = {
    environments: new Map([['sandbox', place('sandbox', { scopes: ['read'], roles: { read: 'arn' } })]]),
  }
  t.equal(
    code(policySet({ agent: narrow }), ask('sandbox', 'write')),
    'scope_unknown',
    "another agent's scope",
  )
  t.equal(code(policySet({ agent: narrow }), ask('staging', 'read')), 'environment_unknown')
  const noRole = { environments: new Map([['sandbox', place('sandbox', { roles: { read: 'arn' } })]]) }
  t.equal(code(policySet({ agent: noRole }), ask('sandbox', 'write')), 'role_missing')
})

t.test('the role and the length', async (t) => {
  const decided = (request: CredentialRequest) => {
    const decision = decide(policySet(), 'bot', request, none, NOW)
    if (decision.outcome !== 'allow') throw new Error(decision.refusal.code)
    return decision
  }
  t.match(decided(ask('sandbox', 'read')), { roleKind: 'read', durationSeconds: 3600 })
  t.match(
    decided(ask('sandbox', 'read', 'write')),
    { roleKind: 'write', durationSeconds: 900 },
    'one write makes it a write',
  )
  t.equal(
    decided({ ...ask('sandbox', 'read'), ttlSeconds: 99_999 }).durationSeconds,
    3600,
    'the tier is the limit',
  )
  t.equal(decided({ ...ask('sandbox', 'read'), ttlSeconds: 1 }).durationSeconds, 60)
  t.equal(
    decided({ ...ask('sandbox', 'read'), ttlSeconds: 300 }).notAfter.toISOString(),
    '2026-11-21T12:05:00.000Z',
  )
})

t.test('a grant must fit, be live, and be of this policy', async (t) => {
  const wish = ask('production', 'write')
  const outcome = (grants: GrantFact[], request = wish) => {
    const decision = decide(policySet(), 'bot', request, { grants }, NOW)
    return decision.outcome === 'allow' ? 'allow' : decision.refusal.code
  }
  t.equal(outcome([grantFact()]), 'allow')
  t.equal(outcome([grantFact({ agent: 'other' })]), 'grant_required')
  t.equal(outcome([grantFact({ environment: 'staging' })]), 'grant_required')
  t.equal(
    outcome([grantFact({ scopes: ['write', 'read'] })]),
    'grant_required',
    'more scopes are other scopes',
  )
  t.equal(outcome([grantFact()], ask('production', 'read', 'write')), 'grant_required')
  t.equal(outcome([grantFact({ scopes: ['write', 'read'] })], ask('production', 'read', 'write')), 'allow')
  t.equal(outcome([grantFact({ policyDigest: 'sha256:two' })]), 'grant_stale')
  t.equal(outcome([grantFact({ expiresAt: NOW })]), 'grant_expired')
  t.equal(outcome([grantFact({ notBefore: new Date(NOW.getTime() + 1) })]), 'grant_not_yet_valid')
  t.equal(outcome([grantFact({ revokedAt: NOW })]), 'grant_revoked')
  t.equal(outcome([grantFact({ uses: 1 })]), 'grant_used_up')
  t.equal(
    outcome([grantFact({ uses: 1 }), grantFact({ id: 'grant0000002' })]),
    'allow',
    'a live one among dead ones',
  )

  const by = (signed: number, byToken = 0, breakGlass = false) =>
    outcome([grantFact({ approvals: { signed, byToken, breakGlass } })])
  t.equal(by(0), 'grant_unproven', 'whatever the database says of it')
  t.equal(by(0, 1), 'grant_unproven', 'a token signs nothing')
  t.equal(by(0, 0, true), 'grant_unproven', 'nor does broken glass')
  t.equal(by(1, 0, true), 'allow')
  t.equal(by(2), 'allow')

  const live = { issuanceId: 'i', grantId: 'grant0000001' }
  const again = (grant: GrantFact) =>
    decide(policySet(), 'bot', wish, { grants: [grant], liveSession: live }, NOW).outcome
  t.equal(again(grantFact({ uses: 1 })), 'allow', 'handing the session out again is not another use')
  t.equal(again(grantFact({ uses: 1, revokedAt: NOW })), 'needs-grant', 'unless the grant was revoked')
  t.equal(again(grantFact({ uses: 1, id: 'grant0000002' })), 'needs-grant', "or is not the session's")
})

t.test('no session outlives its grant', async (t) => {
  const grant = grantFact({ expiresAt: new Date(NOW.getTime() + 90_000) })
  const decision = decide(policySet(), 'bot', ask('production', 'write'), { grants: [grant] }, NOW)
  t.match(decision, { outcome: 'allow', durationSeconds: 90 })
  if (decision.outcome === 'allow') t.ok(decision.notAfter <= grant.expiresAt)
})

// --- properties ------------------------------------------------------------------------------------------

const tiers = fc.constantFrom<Tier>('sandbox', 'development', 'staging', 'production')
const levels = fc.constantFrom<'read' | 'write' | 'delete'>('read', 'write', 'delete')
const grants = fc.array(
  fc.record({
    agent: fc.constantFrom('bot', 'other'),
    environment: fc.constantFrom('here', 'elsewhere'),
    scopes: fc.subarray(['a', 'b', 'c'], { minLength: 1 }),
    policyDigest: fc.constantFrom('sha256:one', 'sha256:two'),
    uses: fc.integer({ min: 0, max: 2 }),
    notBefore: fc.integer({ min: -5, max: 5 }).map((s) => new Date(NOW.getTime() + s * 1000)),
    expiresAt: fc.integer({ min: -5, max: 5000 }).map((s) => new Date(NOW.getTime() + s * 1000)),
    revoked: fc.boolean(),
  }),
  { maxLength: 4 },
)

t.test('whatever the policy, request and grants', async (t) => {
  fc.assert(
    fc.property(
      tiers,
      fc.tuple(levels, levels, levels),
      fc.boolean(),
      fc.subarray(['a', 'b', 'c', 'unknown'], { minLength: 1 }),
      fc.option(fc.integer({ min: 1, max: 100_000 }), { nil: undefined }),
      grants,
      (tier, [a, b, c], allowDelete, wanted, ttl, found) => {
        const scopes = [scope('a', a), scope('b', b), scope('c', c)]
        const here = environment(tier, { name: 'here', allowDelete, approvals: { write: 0, delete: 0 } })
        const set = policySet({ environments: [here], scopes })
        const facts = {
          grants: found.map(({ revoked, ...one }, i) =>
            grantFact({ ...one, id: `g${i}`, maxUses: 2, ...(revoked ? { revokedAt: NOW } : {}) }),
          ),
        }
        const request = {
          environment: 'here',
          scopes: wanted,
          reason: 'r',
          ...(ttl === undefined ? {} : { ttlSeconds: ttl }),
        }
        const decision = decide(set, 'bot', request, facts, NOW)
        if (decision.outcome !== 'allow')
          return decision.refusal.code in ERRORS && decision.refusal.detail.length > 10

        const chosen = decision.scopes
        const writes = chosen.some((one) => one.kind === 'write')
        const destroys = chosen.some((one) => one.destroys)
        const { grant } = decision
        const grantFits =
          grant === undefined ||
          (grant.agent === 'bot' &&
            grant.environment === 'here' &&
            [...grant.scopes].sort().join() === [...wanted].sort().join() &&
            grant.policyDigest === set.digest &&
            grant.uses < grant.maxUses &&
            grant.revokedAt === undefined &&
            grant.notBefore <= NOW &&
            decision.notAfter <= grant.expiresAt)
        return (
          !wanted.includes('unknown') &&
          grantFits &&
          (tier !== 'production' || !writes || grant !== undefined) &&
          (!destroys || tier === 'sandbox' || (tier === 'production' && allowDelete)) &&
          decision.roleKind === (writes ? 'write' : 'read') &&
          decision.durationSeconds >= 1 &&
          decision.durationSeconds <= (writes ? 900 : 3600) &&
          decision.notAfter.getTime() <= NOW.getTime() + decision.durationSeconds * 1000
        )
      },
    ),
    { numRuns: 3000 },
  )
  t.pass()
})

t.test('the order of scopes and grants never matters', async (t) => {
  fc.assert(
    fc.property(grants, fc.integer(), (found, seed) => {
      const facts = found.map(({ revoked, ...one }, i) =>
        grantFact({ ...one, id: `g${i}`, environment: 'production', ...(revoked ? { revokedAt: NOW } : {}) }),
      )
      const shuffled = [...facts].sort(
        (x, y) => ((x.id.charCodeAt(1) * seed) % 7) - ((y.id.charCodeAt(1) * seed) % 7),
      )
      const set = policySet({ scopes: [scope('a', 'read'), scope('b', 'write'), scope('c', 'read')] })
      const one = decide(set, 'bot', ask('production', 'a', 'b'), { grants: facts }, NOW)
      const two = decide(set, 'bot', ask('production', 'b', 'a'), { grants: shuffled }, NOW)
      return one.outcome === two.outcome
    }),
  )
  t.pass()
})
