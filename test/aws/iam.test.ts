import { GetRoleCommand, IAMClient, ListRolesCommand } from '@aws-sdk/client-iam'
import t from 'tap'
import { containmentCredentials } from '../../server/aws/containment-role.js'
import { createIam, type IamSettings } from '../../server/aws/iam.js'
import { createSts } from '../../server/aws/sts.js'
import { WritError } from '../../server/errors.js'
import type { AssumeRoleInput } from '../../server/types-aws.js'
import {
  allow,
  BROKER,
  BROKER_ACCOUNT,
  OTHER_ACCOUNT,
  OTHER_ROLE,
  policy,
  READ_ROLE,
  role,
  TRUST,
  world,
} from '../local-aws/support.js'

const DOCUMENT = JSON.stringify(policy({ ...allow('*'), Effect: 'Deny' }))

async function setUp(t: Parameters<typeof world>[0], more: Partial<IamSettings> = {}) {
  const { aws } = await world(t, { now: () => new Date() })
  const iam = createIam({ credentials: BROKER, endpoint: aws.iamUrl, timeoutMs: 2_000, ...more })
  t.teardown(() => iam.close())
  return { aws, iam }
}

const failure = async (work: Promise<unknown>): Promise<{ code: string; extra: object }> => {
  try {
    await work
  } catch (error) {
    if (error instanceof WritError) return { code: error.code, extra: error.extra }
    throw error
  }
  return { code: 'none', extra: {} }
}

t.test('roles and their policies, of each account', async (t) => {
  const { aws, iam } = await setUp(t)
  const read = await iam.role(READ_ROLE)
  t.match(read, { arn: READ_ROLE, maxSessionSeconds: 7200 })
  t.same(JSON.parse(read?.trustPolicy ?? ''), TRUST)
  t.match(await iam.role(OTHER_ROLE), { arn: OTHER_ROLE }, 'the same name in another account')
  const gone = `arn:aws:iam::${BROKER_ACCOUNT}:role/gone`
  t.equal(await iam.role(gone), undefined)

  t.equal(await iam.inlinePolicy(READ_ROLE, 'x'), undefined)
  await iam.deleteInlinePolicy(READ_ROLE, 'x')
  await iam.putInlinePolicy(READ_ROLE, 'x', DOCUMENT)
  t.equal(await iam.inlinePolicy(READ_ROLE, 'x'), DOCUMENT)
  t.equal(await iam.inlinePolicy(OTHER_ROLE, 'x'), undefined)
  t.strictSame(await iam.attachedPolicies(READ_ROLE), [])
  const many = Object.fromEntries(
    Array.from({ length: 120 }, (_, n) => [`p${n}`, { Statement: [allow('a:b')] }] as const),
  )
  aws.putRole(role(READ_ROLE, { policies: many }))
  t.equal((await iam.inlinePolicies(READ_ROLE)).length, 121, 'page by page')
  await iam.deleteInlinePolicy(READ_ROLE, 'x')
  t.equal((await iam.inlinePolicies(READ_ROLE)).includes('x'), false)
})

t.test('what it throws', async (t) => {
  const { aws, iam } = await setUp(t)
  const gone = `arn:aws:iam::${BROKER_ACCOUNT}:role/gone`
  t.match(await failure(iam.putInlinePolicy(gone, 'x', DOCUMENT)), {
    code: 'aws_refused',
    extra: { missing: true },
  })
  const long = JSON.stringify(policy(allow('s3:GetObject', `arn:aws:s3:::${'x'.repeat(10_300)}`)))
  t.match(await failure(iam.putInlinePolicy(READ_ROLE, 'x', long)), {
    code: 'aws_refused',
    extra: { limit: true },
  })
  t.match(await failure(iam.putInlinePolicy(READ_ROLE, 'x', '{')), {
    code: 'aws_refused',
    extra: { limit: undefined },
  })
  t.match(await failure(iam.putInlinePolicy(READ_ROLE, 'x', DOCUMENT.replace('*', 'Ж'))), {
    code: 'aws_refused',
  })
  aws.faults.fail('access-denied', { action: 'PutRolePolicy' })
  t.match(await failure(iam.putInlinePolicy(READ_ROLE, 'x', DOCUMENT)), { code: 'iam_unavailable' })
  aws.faults.fail('throttling', { action: 'GetRole', times: 2 })
  t.ok(await iam.role(READ_ROLE), 'asked again')
  aws.faults.fail('throttling', { action: 'GetRole', times: 3 })
  t.match(await failure(iam.role(READ_ROLE)), { code: 'aws_throttled' })
  aws.faults.fail('internal', { action: 'GetRole', times: 3 })
  t.match(await failure(iam.role(READ_ROLE)), { code: 'aws_unavailable' })
  const dropped = aws.faults.hold('after', 'PutRolePolicy')
  const put = iam.putInlinePolicy(READ_ROLE, 'x', DOCUMENT)
  await dropped.caught
  dropped.drop()
  await put
  t.equal(await iam.inlinePolicy(READ_ROLE, 'x'), DOCUMENT, 'a lost answer: done again, with the same end')
})

t.test('into another account by its containment role, and by nothing else', async (t) => {
  const asked: AssumeRoleInput[] = []
  let refuse = false
  const containmentRole = 'arn:aws:iam::{account}:role/writ/containment'
  const settings: IamSettings = {
    credentials: BROKER,
    timeoutMs: 500,
    ownAccount: BROKER_ACCOUNT,
    containmentRole,
    assume: async (input) => {
      asked.push(input)
      if (refuse) throw new WritError('aws_refused', 'no')
      throw new WritError('aws_unavailable', 'not here')
    },
  }
  const iam = createIam(settings)
  t.teardown(() => iam.close())
  t.match(await failure(iam.role(OTHER_ROLE)), { code: 'aws_unavailable' })
  t.match(asked, [
    {
      roleArn: `arn:aws:iam::${OTHER_ACCOUNT}:role/writ/containment`,
      durationSeconds: 3600,
      tags: {},
      region: 'us-east-1',
    },
  ])
  t.ok((asked[0]?.policy.length ?? 0) < 2048, 'it holds no more than it needs')
  refuse = true
  t.match(await failure(iam.role(OTHER_ROLE)), { code: 'iam_unavailable' })

  const china = createIam({ ...settings, containmentRole: containmentRole.replace('aws', 'aws-cn') })
  t.teardown(() => china.close())
  await failure(china.role('arn:aws-cn:iam::123456789012:role/x'))
  t.equal(asked.at(-1)?.region, 'cn-north-1')

  const { containmentRole: _, ...none } = settings
  const alone = createIam(none)
  t.teardown(() => alone.close())
  await t.rejects(alone.role(OTHER_ROLE), {
    code: 'iam_unavailable',
    message: /no way into the IAM of account 4444/,
  })
})

t.test('credentials of a containment role are used, kept, and asked for again', async (t) => {
  const { aws, iam: own } = await setUp(t)
  const containment = `arn:aws:iam::${OTHER_ACCOUNT}:role/writ/containment`
  aws.putRole(role(containment, { policies: { all: policy(allow('iam:*')) } }))
  const sts = createSts({ credentials: BROKER, endpoint: aws.url, timeoutMs: 2_000 })
  t.teardown(() => sts.close())
  const credentials = containmentCredentials(sts.assumeRole, containment, OTHER_ACCOUNT)
  const first = await credentials()
  t.ok(first.expiration > new Date(Date.now() + 3_000_000))
  const client = new IAMClient({ endpoint: aws.url, region: 'us-east-1', credentials, maxAttempts: 1 })
  t.teardown(() => client.destroy())
  await client.send(new GetRoleCommand({ RoleName: 'orders-read' }))
  const { Role } = await client.send(new GetRoleCommand({ RoleName: 'orders-read' }))
  t.equal(Role?.Arn, OTHER_ROLE, 'of that account')
  t.equal(aws.calls.filter(({ action }) => action === 'sts:AssumeRole').length, 2, 'one is kept')
  await t.rejects(client.send(new ListRolesCommand({})), { name: /AccessDenied/ }, 'and may nothing beside')
  t.ok(await own.role(READ_ROLE))
})
