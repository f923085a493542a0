import fc from 'fast-check'
import t from 'tap'
import { decide } from '../../server/decision/decide.js'
import { planSession } from '../../server/issuance/plan.js'
import { evaluate, globMatches } from '../../server/policy/evaluate.js'
import { roleDocuments } from '../../server/policy/roles.js'
import { loadAgentData } from '../../server/reach/data.js'
import { type Reach, reachOf } from '../../server/reach/reach.js'
import { sessionContext } from '../../server/reach/session-context.js'
import { lowered } from '../../server/reach/witness.js'
import type { Agent, Facts, PolicySet } from '../../server/types.js'
import { compiled, GOOD, identity } from '../policy/support.js'
import { grantFact } from '../support/policy.js'

const NOW = new Date('2026-11-21T12:00:00Z')
const NOTHING: Facts = { grants: [] }

async function reachIn(
  policySet: PolicySet,
  name: string,
  change: { facts?: Facts; claims?: Record<string, unknown> } = {},
): Promise<Reach> {
  const agent = policySet.agents.get(name)
  if (agent === undefined) throw new Error(`no agent ${name}`)
  const { facts = NOTHING, claims } = change
  return reachOf({
    policySet,
    agent,
    data: await loadAgentData(policySet, agent),
    facts: new Map([...agent.environments.keys()].map((one) => [one, facts])),
    now: NOW,
    ...(claims === undefined ? {} : { claims }),
  })
}

const placeOf = (reach: Reach, name: string) => {
  const place = reach.environments.find(({ environment }) => environment.name === name)
  if (place === undefined) throw new Error(`no place ${name}`)
  return place
}

/** Deleting ones in the sandbox only: the compiler takes them nowhere else. */
const coder = (scopes: string, deleting = '') => `agent: coder
owner: { team: orders }
identity:
  issuer: https://token.actions.githubusercontent.com
  claims: { repository_id: "4711" }
environments:
${['dev:222233334444', 'prod:111122223333', 'sandbox:444455556666']
  .map((one) => one.split(':'))
  .map(
    ([name, account]) => `  ${name}:
    roles:
      read: "arn:aws:iam::${account}:role/writ/coder-read"
      write: "arn:aws:iam::${account}:role/writ/coder-write"
    scopes: [${name === 'sandbox' ? [scopes, deleting].filter((one) => one !== '').join(', ') : scopes}]
`,
  )
  .join('')}`

const scope = (name: string, ...allow: object[]) => JSON.stringify({ scope: name, describe: name, allow })

t.test('now, with a grant, never', async (t) => {
  const real = await compiled({ ...GOOD, 'coder.yaml': coder('orders:read, orders:write', 'orders:purge') })
  // As no compiler lets it through: whatever a document said, the decision refuses it.
  const agent = real.agents.get('coder') as Agent
  const everywhere = [...agent.environments].map(
    ([name, place]) => [name, { ...place, scopes: ['orders:read', 'orders:write', 'orders:purge'] }] as const,
  )
  const policySet = {
    ...real,
    agents: new Map([['coder', { ...agent, environments: new Map(everywhere) }]]),
  }
  const reach = await reachIn(policySet, 'coder')
  const said = (place: string) =>
    placeOf(reach, place).permissions.map(
      ({ action, way, now, approvals, refusal }) =>
        `${action} ${way} ${now ? 'now' : (refusal?.code ?? '')} ${approvals}`,
    )
  t.strictSame(said('sandbox'), [
    's3:DeleteObject alone now 0',
    's3:GetObject alone now 0',
    's3:PutObject alone now 0',
  ])
  t.strictSame(said('dev'), [
    's3:GetObject alone now 0',
    's3:PutObject alone now 0',
    's3:DeleteObject never delete_not_allowed 0',
  ])
  t.strictSame(said('prod'), [
    's3:GetObject alone now 0',
    's3:PutObject grant grant_required 1',
    's3:DeleteObject never delete_not_allowed 0',
  ])
  const never = (place: string, action: string) =>
    placeOf(reach, place).never.find(({ actions }) => actions.includes(action))
  t.match(never('dev', 's3:BypassGovernanceRetention'), { code: 'red_line', because: /permissions|backups/ })
  t.match(never('dev', 's3:DeleteObjectTagging'), undefined, 'taking a tag away deletes nothing')
  t.match(
    never('sandbox', 's3:DeleteStorageLensConfiguration') ?? never('sandbox', 's3:DeleteBucketWebsite'),
    {
      code: 'delete',
      because: 'it deletes, and no scope of the agent has it',
    },
  )
  t.ok(placeOf(reach, 'dev').leftOut.others > 20)
  const agreed = reach.redLines.flatMap(({ actions }) => actions)
  for (const one of ['iam:PassRole', 'kms:CreateGrant', 'sts:AssumeRole*']) t.ok(agreed.includes(one), one)

  const pace = { issued: 0, live: 1000, denied: 0, scopes: [] }
  for (const [facts, code] of [
    [{ grants: [], stop: 'stop00000001' }, 'agent_stopped'],
    [{ grants: [], pace }, 'over_limit'],
  ] as const) {
    const held = placeOf(await reachIn(policySet, 'coder', { facts }), 'dev')
    t.match(held.scopes[1], { way: 'alone', now: false, refusal: { code } })
    t.match(held.permissions[0], { way: 'alone', now: false, refusal: { code } })
  }
  const stopped = { ...real, agents: new Map([['coder', { ...agent, status: 'stopped' as const }]]) }
  t.match(placeOf(await reachIn(stopped, 'coder'), 'dev').permissions[0], {
    way: 'alone',
    now: false,
    refusal: { code: 'agent_stopped' },
  })
})

t.test('grants that are live, for one scope or several, and those that are not', async (t) => {
  const policySet = await compiled(GOOD)
  const request = { environment: 'prod', scopes: ['orders:read', 'orders:write'], reason: 'r' }
  const asked = decide(policySet, 'coder', request, NOTHING, NOW)
  if (asked.outcome !== 'needs-grant') throw new Error('no grant is needed')
  const rendered = planSession(
    { ...asked, outcome: 'allow', roleKind: 'write', durationSeconds: 900, notAfter: NOW },
    identity({}),
    { ip: '192.0.2.1' },
    '000000000000',
    { longestStsSeconds: 3600, localAws: true },
  )
  if ('refusal' in rendered) throw new Error('not rendered')
  const fact = grantFact({
    agent: 'coder',
    environment: 'prod',
    scopes: request.scopes,
    policyDigest: policySet.digest,
    permissionsSha256: rendered.permissionsSha256,
    notBefore: new Date(NOW.getTime() - 1000),
    expiresAt: new Date(NOW.getTime() + 900_000),
  })
  const write = async (facts: Facts) =>
    placeOf(await reachIn(policySet, 'coder', { facts }), 'prod').scopes[1]
  t.match(await write({ grants: [fact] }), { way: 'grant', now: true, grant: fact.id }, 'in company')
  for (const [said, change, code] of [
    ['revoked', { revokedAt: NOW }, 'grant_required'],
    ['other permissions than were seen', { permissionsSha256: 'other' }, 'grant_required'],
    ['for itself, but other permissions', { scopes: ['orders:write'] }, 'grant_stale'],
    ['for itself, and used up', { scopes: ['orders:write'], uses: 1 }, 'grant_used_up'],
  ] as const)
    t.match(await write({ grants: [{ ...fact, ...change }] }), { now: false, refusal: { code } }, said)
  t.match(await write({ grants: [fact], stop: 'stop00000001' }), { refusal: { code: 'agent_stopped' } })
})

t.test('what several scopes have is had the easiest way', async (t) => {
  const both = scope('both', {
    actions: ['s3:GetObject', 's3:PutObject'],
    resources: ['arn:aws:s3:::orders-{environment}/*'],
  })
  const policySet = await compiled({ ...GOOD, 'both.yaml': both, 'coder.yaml': coder('both, orders:read') })
  const said = (place: ReturnType<typeof placeOf>) =>
    place.permissions.map(({ action, way, scopes }) => `${action} ${way} ${scopes.join(' ')}`)
  const reach = await reachIn(policySet, 'coder')
  t.strictSame(said(placeOf(reach, 'prod')), ['s3:GetObject alone orders:read', 's3:PutObject grant both'])
  t.strictSame(said(placeOf(reach, 'dev')), [
    's3:GetObject alone both orders:read',
    's3:PutObject alone both',
  ])
})

t.test('claims, conditions, regions and patterns', async (t) => {
  const policySet = await compiled({
    ...GOOD,
    'coder.yaml': coder('mine, tagged, elsewhere, over, wide'),
    'mine.yaml': scope('mine', {
      actions: ['s3:GetObject'],
      resources: ['arn:aws:s3:::orders-{environment}/{claim.repository}/*'],
    }),
    'tagged.yaml': scope('tagged', {
      actions: ['sqs:ReceiveMessage'],
      resources: ['arn:aws:sqs:{region}:{account}:jobs'],
      when: { StringEquals: { 'aws:ResourceTag/team': ['a', 'b'] }, Bool: { 'aws:SecureTransport': 'true' } },
    }),
    'elsewhere.yaml': scope('elsewhere', {
      actions: ['sqs:ReceiveMessage'],
      resources: ['arn:aws:sqs:us-east-1:{account}:jobs'],
    }),
    'over.yaml': scope('over', {
      actions: ['s3:GetObject'],
      resources: ['arn:aws:s3:::old-{environment}/*'],
      when: { DateLessThan: { 'aws:CurrentTime': '2026-01-01T00:00:00Z' } },
    }),
    'wide.yaml': scope('wide', {
      actions: ['sqs:GetQueue*'],
      resources: Array.from({ length: 25 }, (_, n) => `arn:aws:sqs:{region}:{account}:q${n}`),
    }),
  })
  const { permissions } = placeOf(await reachIn(policySet, 'coder'), 'dev')
  const of = (name: string) => permissions.filter(({ scopes }) => scopes.includes(name))
  t.match(of('mine'), [{ resources: ['arn:aws:s3:::orders-dev/{claim.repository}/*'] }])
  t.match(of('tagged'), [
    {
      action: 'sqs:ReceiveMessage',
      now: true,
      conditions: { StringEquals: { 'aws:ResourceTag/team': ['a', 'b'] } },
    },
  ])
  t.strictSame(of('elsewhere'), [], 'sessions are kept out of other regions')
  t.strictSame(of('over'), [], 'its time is over')
  t.strictSame(
    of('wide').map(({ action, resources, moreResources }) => [action, resources.length, moreResources]),
    [
      ['sqs:GetQueueAttributes', 20, 5],
      ['sqs:GetQueueUrl', 20, 5],
    ],
  )
  const known = await reachIn(policySet, 'coder', { claims: { repository: 'web' } })
  t.match(
    placeOf(known, 'dev').permissions.filter(({ scopes }) => scopes.includes('mine')),
    [{ resources: ['arn:aws:s3:::orders-dev/web/*'] }],
  )
  const unusable = placeOf(await reachIn(policySet, 'coder', { claims: { repository: 'a/*' } }), 'dev')
  t.match(
    unusable.scopes.find((one) => one.scope.name === 'mine'),
    { way: 'never', now: false, refusal: { code: 'claim_unusable' } },
  )
  t.notOk(unusable.permissions.some(({ scopes }) => scopes.includes('mine')))
})

// --- against what a session can really do ---------------------------------------------------------------------

const ACTIONS = [
  's3:GetObject',
  's3:PutObject',
  's3:DeleteObject',
  's3:GetObjectTagging',
  's3:PutObjectTagging',
]
const statement = fc.record({
  actions: fc.subarray([...ACTIONS, 's3:GetObject*'], { minLength: 1, maxLength: 3 }),
  resources: fc
    .array(fc.constantFrom('*', 'a', 'a*', '*b', 'b/*', 'a/b'), { minLength: 1, maxLength: 2 })
    .map((all) => [...new Set(all)].map((one) => `arn:aws:s3:::orders-{environment}/${one}`)),
})
const scopes = fc.array(fc.array(statement, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 3 })
const KEYS = ['a', 'b', 'ab', 'aab', 'b/a', 'a/b', 'c', 'b/']

t.test('it agrees with decision, session plan and evaluator', async (t) => {
  let asked = 0
  let allowed = 0
  const one = async (made: readonly (readonly object[])[]): Promise<boolean> => {
    const names = made.map((_, n) => `s${n}`)
    const documents = Object.fromEntries(
      made.map((allow, n) => [`s${n}.yaml`, scope(`s${n}`, ...allow.map((each) => ({ ...each })))]),
    )
    const deletes = made.map((allow) => /Delete/.test(JSON.stringify(allow)))
    const some = (wanted: boolean): string => names.filter((_, n) => deletes[n] === wanted).join(', ')
    // An environment without any scope is refused.
    const always = some(false) === '' ? 'orders:read' : some(false)
    const policySet = await compiled({ ...GOOD, ...documents, 'coder.yaml': coder(always, some(true)) })
    const reach = await reachIn(policySet, 'coder')
    const roles = new Map(roleDocuments(policySet, 'arn:aws:iam::999900001111:user/w').map((r) => [r.arn, r]))
    for (const { environment, permissions } of reach.environments)
      for (const name of names) {
        const request = { environment: environment.name, scopes: [name], reason: 'r' }
        const decision = decide(policySet, 'coder', request, NOTHING, NOW)
        const plan =
          decision.outcome !== 'allow'
            ? undefined
            : planSession(decision, identity({}), { ip: '192.0.2.1' }, '000000000000', {
                longestStsSeconds: 3600,
                localAws: true,
              })
        for (const action of ACTIONS)
          for (const key of KEYS) {
            const resource = `arn:aws:s3:::orders-${environment.name}/${key}`
            const said = permissions.some(
              (each) =>
                each.now &&
                each.action === action &&
                each.scopes.includes(name) &&
                each.resources.some((pattern) => globMatches(pattern, resource)),
            )
            let can = false
            if (plan !== undefined && 'assume' in plan) {
              const role = roles.get(plan.assume.roleArn)
              can = evaluate({
                identityPolicies: role === undefined ? [] : [role.permissions],
                sessionPolicy: JSON.parse(plan.assume.policy),
                action,
                resource,
                context: lowered(
                  sessionContext({
                    roleArn: plan.assume.roleArn,
                    agent: 'coder',
                    environment: environment.name,
                    region: 'eu-west-1',
                    now: NOW,
                  }),
                ),
              }).allowed
            }
            asked++
            if (can) allowed++
            // Said of a scope by name, so each pair is compared by itself.
            if (said !== can) return false
          }
      }
    return true
  }
  await fc.assert(fc.asyncProperty(scopes, one), { numRuns: 12 })
  t.ok(allowed > 20 && asked > allowed * 2, `${allowed} of ${asked}`)
})

t.test('one agent of ten thousand is no slower than one', async (t) => {
  const policySet = await compiled(GOOD)
  const agent = policySet.agents.get('coder') as Agent
  const many = new Map(
    Array.from({ length: 10_000 }, (_, n) => [`coder-${n}`, { ...agent, name: `coder-${n}` }] as const),
  )
  const crowd = { ...policySet, agents: many }
  await reachIn(crowd, 'coder-1')
  const began = process.cpuUsage()
  for (let n = 0; n < 10; n++) await reachIn(crowd, 'coder-5000')
  const { user } = process.cpuUsage(began)
  t.ok(user / 10 < 100_000, `${Math.round(user / 10_000)} ms`)
})
