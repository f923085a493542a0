import fc from 'fast-check'
import t from 'tap'
import { newId } from '../../server/issuance/id.js'
import { bindNetwork } from '../../server/issuance/network.js'
import { planSession } from '../../server/issuance/plan.js'
import { evaluate } from '../../server/policy/evaluate.js'
import type { Allow, Scope } from '../../server/types.js'
import { environment, grantFact, identity, policySet, scope } from '../support/policy.js'

const SETTINGS = { longestStsSeconds: 43_200, localAws: false }
const CALLER = { ip: '8.8.4.4' }

function allow(change: Partial<Allow> = {}): Allow {
  const agent = policySet().agents.get('bot')
  if (agent === undefined) throw new Error('no bot')
  return {
    outcome: 'allow',
    agent,
    environment: environment('development'),
    scopes: [scope('read', 'read')],
    roleKind: 'read',
    roleArn: 'arn:aws:iam::111122223333:role/read',
    durationSeconds: 60,
    notAfter: new Date('2026-11-21T12:01:00Z'),
    approvalsNeeded: 0,
    ...change,
  }
}

const planned = (change: Partial<Allow> = {}, who = identity()) => {
  const plan = planSession(allow(change), who, CALLER, 'abcdefghjkmn', SETTINGS)
  if ('refusal' in plan) throw new Error(plan.refusal.code)
  return plan
}
const refused = (change: Partial<Allow>, who = identity(), ip = CALLER.ip) => {
  const plan = planSession(allow(change), who, { ip }, 'abcdefghjkmn', SETTINGS)
  return 'refusal' in plan ? plan.refusal.code : 'planned'
}

t.test('what AWS is told comes from what was verified', async (t) => {
  const onBehalfOf = { human: 'erin@example.com', how: 'verified' } as const
  const { assume } = planned({ grant: grantFact() }, identity({ onBehalfOf }))
  t.match(assume, {
    sessionName: 'abcdefghjkmn',
    sourceIdentity: 'bot+abcdefghjkmn',
    durationSeconds: 900,
    region: 'eu-west-1',
    tags: {
      'writ:agent': 'bot',
      'writ:environment': 'development',
      'writ:issuance': 'abcdefghjkmn',
      'writ:grant': 'grant0000001',
      'writ:human': 'erin@example.com',
    },
  })
  t.notOk('writ:grant' in planned().assume.tags)
  const claimed = identity({ onBehalfOf: { human: 'erin@example.com', how: 'self-claimed' } })
  t.notOk('writ:human' in planned({}, claimed).assume.tags, 'what the caller wrote stays out of AWS')
  const named = (human: string) =>
    planned({}, identity({ onBehalfOf: { human, how: 'verified' } })).assume.tags['writ:human']
  t.equal(named('dependabot[bot]'), 'dependabot=5Bbot=5D', 'what no tag takes is spelled out')
  t.equal(named('erin=5D*'), 'erin=3D5D=2A', 'and never collides')
  t.equal(named('Zoë'), 'Zoë')
  const long = identity({ onBehalfOf: { human: '*'.repeat(100), how: 'verified' } })
  t.equal(refused({}, long), 'claim_unusable')
  t.equal(planSessionChained(), 3600, 'a chained broker asks for an hour at most')
})

function planSessionChained(): number {
  const plan = planSession(allow({ durationSeconds: 14_400 }), identity(), CALLER, 'abcdefghjkmn', {
    ...SETTINGS,
    longestStsSeconds: 3600,
  })
  return 'refusal' in plan ? 0 : plan.assume.durationSeconds
}

t.test('the fences hold, to the second and to the address', async (t) => {
  const { assume } = planned({ network: { kind: 'caller' } })
  const sessionPolicy = JSON.parse(assume.policy)
  const may = (at: string, ip: string, region: string, viaAws = 'false') =>
    evaluate({
      identityPolicies: [{ Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }],
      sessionPolicy,
      action: 's3:GetObject',
      resource: 'arn:aws:s3:::orders/key',
      context: {
        'aws:CurrentTime': [at],
        'aws:SourceIp': [ip],
        'aws:RequestedRegion': [region],
        'aws:ViaAWSService': [viaAws],
      },
    }).allowed
  t.ok(may('2026-11-21T12:00:59Z', '8.8.4.4', 'eu-west-1'))
  t.notOk(may('2026-11-21T12:01:00Z', '8.8.4.4', 'eu-west-1'), 'over at the second')
  t.notOk(may('2026-11-21T12:00:59Z', '8.8.4.5', 'eu-west-1'), 'another address')
  t.notOk(may('2026-11-21T12:00:59Z', '8.8.4.4', 'us-east-1'), 'another region')
  t.ok(may('2026-11-21T12:00:59Z', '52.0.0.1', 'eu-west-1', 'true'), 'a call AWS makes for the session')
  t.notOk(may('2026-11-21T12:01:00Z', '52.0.0.1', 'eu-west-1', 'true'), 'which ends with it')
})

t.test('a claim that could widen a policy is refused', async (t) => {
  const template: Scope = scope('tenant', 'read', {
    statements: [
      { actions: ['s3:GetObject'], resources: ['arn:aws:s3:::orders/{claim.tenant}/*'], conditions: {} },
    ],
  })
  const withClaim = (tenant: unknown) => refused({ scopes: [template] }, identity({ claims: { tenant } }))
  t.equal(withClaim('acme-1'), 'planned')
  for (const bad of [
    '*',
    '?',
    'a*',
    '\u0024{aws:username}',
    'a/../b',
    '/..',
    'a/b',
    '..',
    'a"b',
    '',
    'ä',
    ['a'],
    null,
    undefined,
  ]) {
    t.equal(withClaim(bad), 'claim_unusable', JSON.stringify(bad))
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (tenant) =>
      withClaim(tenant) === 'planned' ? /^[\w-]{1,128}$/.test(tenant) : true,
    ),
  )
})

t.test('too much for one session', async (t) => {
  const many = Array.from({ length: 40 }, (_, i) =>
    scope(`s${i}`, 'read', {
      statements: [
        {
          actions: ['s3:GetObject'],
          resources: [`arn:aws:s3:::a-rather-long-bucket-name-${i}/*`],
          conditions: { StringEquals: { 's3:prefix': [`p${i}`] } },
        },
      ],
    }),
  )
  t.equal(refused({ scopes: many }), 'session_policy_too_large')
  t.ok(planned({ scopes: many.slice(0, 5) }).assume.policy.length <= 2048)
})

t.test('networks', async (t) => {
  const bound = (ip: string, local = false) => {
    const network = bindNetwork({ kind: 'caller' }, { ip }, local)
    return 'refusal' in network ? network.refusal.code : network.cidrs?.join()
  }
  t.equal(bound('8.8.4.4'), '8.8.4.4/32')
  t.equal(bound('::ffff:8.8.4.4'), '8.8.4.4/32', 'IPv4 in IPv6 clothes')
  t.equal(bound('2a00:1450::1'), '2a00:1450::1/128')
  for (const hidden of [
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '127.0.0.1',
    '100.64.0.1',
    '169.254.1.1',
    'fe80::1',
    'fd00::1',
    '',
    'x',
  ]) {
    t.equal(bound(hidden), 'network_unknown', `${hidden} is not what AWS sees`)
  }
  t.equal(bound('127.0.0.1', true), '127.0.0.0/8,::1/128', 'the local AWS sees loopback')
  t.equal(bound('10.0.0.1', true), 'network_unknown')
})

t.test('ids fit STS and do not repeat', async (t) => {
  const ids = Array.from({ length: 10_000 }, newId)
  t.ok(ids.every((id) => /^[0-9a-hjkmnp-tv-z]{12}$/.test(id)))
  t.equal(new Set(ids).size, ids.length)
})
