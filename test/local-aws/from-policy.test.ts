import { join } from 'node:path'
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import t from 'tap'
import { localBuckets, localRoles } from '../../local-aws/from-policy.js'
import { packageRoot } from '../../server/paths.js'
import { loadPolicySet } from '../../server/policy/load.js'
import type { Agent, Environment, PolicySet, Scope } from '../../server/types.js'
import { LIMITS } from '../support/policy.js'
import { BROKER_ACCOUNT, refusal, world } from './support.js'

const seconds = { read: 3600, write: 3600 }

const environment = (name: string, account: string, regions = ['eu-west-1']): Environment => ({
  name,
  account,
  regions,
  tier: 'sandbox',
  maxSessionSeconds: seconds,
  approvals: { write: 0, delete: 0 },
  allowDelete: true,
  coolDownSeconds: 600,
  limits: LIMITS,
})

const scope = (name: string, ...resources: string[]): Scope => ({
  name,
  describe: name,
  statements: [{ actions: ['s3:GetObject'], resources, conditions: {} }],
  levels: new Set(['read']),
  kind: 'read',
  destroys: false,
  promotion: false,
})

const agent = (name: string, scopes: string[], ...environments: string[]): Agent => ({
  name,
  describe: name,
  owner: { kind: 'team', name: 'orders' },
  status: 'active',
  identity: { issuer: 'https://issuer.example', claims: new Map() },
  environments: new Map(
    environments.map((one) => [
      one,
      { environment: one, roles: {}, scopes, maxSessionSeconds: seconds, limits: LIMITS },
    ]),
  ),
})

const policySet = (environments: Environment[], scopes: Scope[], agents: Agent[]): PolicySet => ({
  digest: 'sha256:',
  environments: new Map(environments.map((one) => [one.name, one])),
  scopes: new Map(scopes.map((one) => [one.name, one])),
  agents: new Map(agents.map((one) => [one.name, one])),
  operators: new Map(),
  issuers: [],
  webhooks: new Map(),
  redLineAt: () => undefined,
  agentsMatching: () => [],
  operatorsMatching: () => [],
  operatorByName: () => undefined,
})

t.test('buckets are those that scopes name in full', (t) => {
  const [one, two] = ['111111111111', '222222222222']
  const set = policySet(
    [environment('production', two, ['eu-west-1', 'us-east-1']), environment('development', one)],
    [
      scope('orders', 'arn:aws:s3:::orders-{environment}', 'arn:aws:s3:::orders-{environment}/in/*'),
      scope('regional', 'arn:aws:s3:::logs-{account}-{region}/{agent}/*'),
      scope('shared', 'arn:aws:s3:::shared/current.json'),
      scope(
        'open',
        'arn:aws:s3:::open-*/*',
        'arn:aws:s3:::claim-{claim.repository}/*',
        'arn:aws:sqs:eu-west-1:1:q',
      ),
      scope('unused', 'arn:aws:s3:::unused/*'),
    ],
    [agent('coder', ['orders', 'regional', 'shared', 'open'], 'production', 'development')],
  )
  const buckets = new Map(localBuckets(set).map((bucket) => [bucket.name, bucket]))
  t.same([...buckets.keys()].sort(), [
    'logs-111111111111-eu-west-1',
    'logs-222222222222-eu-west-1',
    'logs-222222222222-us-east-1',
    'orders-development',
    'orders-production',
    'shared',
  ])
  t.equal(buckets.get('orders-production')?.account, two)
  t.equal(buckets.get('shared')?.account, one, 'the first environment by name has it')
  t.same(Object.keys(buckets.get('orders-development')?.objects ?? {}), ['README.txt', 'in/example.txt'])
  t.ok(buckets.get('logs-222222222222-us-east-1')?.objects?.['coder/example.txt'])
  t.equal(buckets.get('shared')?.objects?.['current.json'], '{}\n')
  t.end()
})

t.test('the example policy set runs', async (t) => {
  const loaded = await loadPolicySet(join(packageRoot(), 'policies'))
  if (!loaded.ok) throw new Error('the example policies do not load')
  const { policySet: set } = loaded
  const roles = localRoles(set, `arn:aws:iam::${BROKER_ACCOUNT}:user/writ-broker`)
  const buckets = localBuckets(set)
  t.ok(roles.length > 0 && buckets.length > 0)
  const { session, s3 } = await world(t, { roles, buckets })
  const readers = [...set.agents.values()].flatMap(({ name, environments }) =>
    [...environments.values()]
      .filter((place) => place.roles.read !== undefined && place.scopes.includes('orders:read'))
      .map((place) => ({ name, environment: place.environment, RoleArn: place.roles.read ?? '' })),
  )
  t.ok(readers.length > 0)
  for (const { name, environment, RoleArn } of readers) {
    const tags = { 'writ:agent': name, 'writ:environment': environment }
    const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }))
    t.equal(await refusal(session({ RoleArn })), 'AccessDenied 403', `${RoleArn} wants to know the agent`)
    const client = s3(await session({ RoleArn, Tags }))
    for (const bucket of buckets.filter((one) => one.name.startsWith('orders-'))) {
      const object = { Bucket: bucket.name, Key: 'example.txt' }
      const expected = bucket.name === `orders-${environment}` ? 'not refused' : 'AccessDenied 403'
      t.equal(
        await refusal(client.send(new GetObjectCommand(object))),
        expected,
        `${name} in ${environment}: ${bucket.name}`,
      )
      const put = client.send(new PutObjectCommand({ ...object, Body: 'x' }))
      t.equal(
        await refusal(put),
        'AccessDenied 403',
        `${name} does not write ${bucket.name} on its read role`,
      )
    }
  }
})
