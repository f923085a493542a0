import {
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam'
import { ListBucketsCommand } from '@aws-sdk/client-s3'
import t from 'tap'
import {
  allow,
  BROKER_ACCOUNT,
  narrow,
  OTHER_ACCOUNT,
  policy,
  READ_ROLE,
  refusal,
  role,
  TRUST,
  WRITE_ROLE,
  world,
} from './support.js'

const RoleName = 'orders-read'
const document = (text: string | undefined): unknown => JSON.parse(decodeURIComponent(text ?? ''))

t.test('a role as it was put', async (t) => {
  const { iam, clock } = await world(t)
  const { Role } = await iam().send(new GetRoleCommand({ RoleName }))
  t.match(Role, {
    Arn: READ_ROLE,
    Path: '/writ/',
    RoleName,
    RoleId: /^AROA[A-Z2-7]{17}$/,
    MaxSessionDuration: 7200,
    CreateDate: clock.now(),
  })
  t.same(document(Role?.AssumeRolePolicyDocument), TRUST)
  t.match(Role?.AssumeRolePolicyDocument, /^%7B%22Version%22/, 'URL-encoded')
  t.match(
    await refusal(iam().send(new GetRoleCommand({ RoleName: 'nobody' }))),
    /^NoSuchEntity(Exception)? 404$/,
  )
})

t.test('roles are listed, by path and page', async (t) => {
  const { iam } = await world(t)
  const names = async (input: object) =>
    (await iam().send(new ListRolesCommand(input))).Roles?.map((one) => one.Arn)
  t.equal((await names({}))?.length, 3)
  t.same(await names({ PathPrefix: '/other/' }), [])
  const first = await iam().send(new ListRolesCommand({ MaxItems: 2 }))
  t.match(first, { IsTruncated: true, Roles: { length: 2 } })
  t.match(await iam().send(new ListRolesCommand({ Marker: first.Marker })), {
    IsTruncated: false,
    Roles: { length: 1 },
  })
})

t.test('inline policies: put, list, get, delete', async (t) => {
  const { iam } = await world(t)
  const client = iam()
  const PolicyDocument = `${narrow(allow('s3:GetObject', 'arn:aws:s3:::orders/ü+%&'))}\n`
  await client.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'writ-stop', PolicyDocument }))
  const { PolicyNames } = await client.send(new ListRolePoliciesCommand({ RoleName }))
  t.same(PolicyNames, ['permissions', 'writ-stop'])
  const got = await client.send(new GetRolePolicyCommand({ RoleName, PolicyName: 'writ-stop' }))
  t.equal(decodeURIComponent(got.PolicyDocument ?? ''), PolicyDocument, 'byte for byte')
  await client.send(new DeleteRolePolicyCommand({ RoleName, PolicyName: 'writ-stop' }))
  const gone = new GetRolePolicyCommand({ RoleName, PolicyName: 'writ-stop' })
  t.match(await refusal(client.send(gone)), /^NoSuchEntity/)
  t.match(
    await refusal(client.send(new DeleteRolePolicyCommand({ RoleName, PolicyName: 'writ-stop' }))),
    /^NoSuchEntity/,
  )
  const malformed = new PutRolePolicyCommand({
    RoleName,
    PolicyName: 'x',
    PolicyDocument: '{"Statement":{}}',
  })
  t.match(await refusal(client.send(malformed)), /^MalformedPolicyDocument(Exception)? 400$/)
  const badName = new PutRolePolicyCommand({ RoleName, PolicyName: 'a b', PolicyDocument })
  t.match(await refusal(client.send(badName)), /^ValidationError/)
})

t.test('all inline policies of a role share 10,240 characters', async (t) => {
  const { iam, aws } = await world(t)
  aws.putRole(role(READ_ROLE, { policies: {} }))
  const sized = (length: number) => {
    const empty = narrow(allow('s3:GetObject', 'arn:aws:s3:::'))
    return narrow(allow('s3:GetObject', `arn:aws:s3:::${'x'.repeat(length - empty.length)}`))
  }
  const put = (PolicyName: string, PolicyDocument: string) =>
    refusal(iam().send(new PutRolePolicyCommand({ RoleName, PolicyName, PolicyDocument })))
  t.equal(sized(5000).length, 5000)
  t.equal(await put('a', sized(5000)), 'not refused')
  t.match(await put('b', sized(5241)), /^LimitExceeded(Exception)? 409$/)
  t.equal(await put('b', `${sized(5240)}${' \n'.repeat(500)}`), 'not refused', 'white space does not count')
  t.match(await put('c', sized(200)), /^LimitExceeded/)
  t.equal(await put('a', sized(4800)), 'not refused', 'a policy replaced does not count twice')
  t.equal(await put('c', sized(200)), 'not refused')
})

t.test('trust policies can be replaced, and count', async (t) => {
  const { iam, session } = await world(t)
  const update = (PolicyDocument: string) =>
    iam().send(new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument }))
  await session()
  const statement = { Effect: 'Allow' as const, Principal: { AWS: OTHER_ACCOUNT }, Action: 'sts:AssumeRole' }
  await update(narrow(statement))
  t.equal(await refusal(session()), 'AccessDenied 403')
  t.match(await refusal(update(narrow(allow('sts:AssumeRole')))), /^MalformedPolicyDocument/, 'no principal')
  const long = { ...statement, Principal: { AWS: Array.from({ length: 200 }, () => OTHER_ACCOUNT) } }
  t.match(await refusal(update(narrow(long))), /^LimitExceeded/)
})

t.test('a deny outlives a reload of the role', async (t) => {
  const { iam, aws, session, s3 } = await world(t)
  const keys = await session()
  const stop = { ...allow('s3:*'), Effect: 'Deny' as const }
  await iam().send(new PutRolePolicyCommand({ RoleName, PolicyName: 'stop', PolicyDocument: narrow(stop) }))
  aws.putRole(role(READ_ROLE, { policies: { renamed: policy(allow('s3:*')) } }))
  const { PolicyNames } = await iam().send(new ListRolePoliciesCommand({ RoleName }))
  t.same(PolicyNames, ['renamed', 'stop'])
  t.equal(await refusal(s3(keys).send(new ListBucketsCommand({}))), 'AccessDenied 403')
})

t.test('a role name that two accounts have', async (t) => {
  const { iam } = await world(t)
  const account = async (one?: string) => {
    const { Role } = await iam(undefined, one).send(new GetRoleCommand({ RoleName }))
    return Role?.Arn?.split(':')[4]
  }
  t.equal(await account(), BROKER_ACCOUNT, "the broker's own first")
  t.equal(await account(OTHER_ACCOUNT), OTHER_ACCOUNT)
  t.match(await refusal(account('999999999999')), /^NoSuchEntity/)
  const { Roles } = await iam(undefined, OTHER_ACCOUNT).send(new ListRolesCommand({}))
  t.equal(Roles?.length, 1)

  const arn = (number: number) => `arn:aws:iam::${number}00000000000:role/twin`
  const twins = await world(t, { roles: [role(arn(1)), role(arn(2))] })
  const ambiguous = twins.iam().send(new GetRoleCommand({ RoleName: 'twin' }))
  t.match(await refusal(ambiguous), /^ValidationError/, 'never one at random')
})

t.test('a session is no administrator', async (t) => {
  const { iam, session, aws } = await world(t)
  const keys = await session()
  const PolicyDocument = narrow(allow('*'))
  for (const command of [
    new PutRolePolicyCommand({ RoleName, PolicyName: 'x', PolicyDocument }),
    new GetRoleCommand({ RoleName }),
    new ListRolesCommand({}),
    new DeleteRolePolicyCommand({ RoleName, PolicyName: 'permissions' }),
    new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument }),
  ])
    t.match(
      await refusal(iam(keys).send(command as GetRoleCommand)),
      /^AccessDenied(Exception)? 403$/,
      command.constructor.name,
    )
  aws.putRole(role(READ_ROLE, { policies: { own: policy(allow('iam:GetRole')) } }))
  t.equal(
    await refusal(iam(keys).send(new GetRoleCommand({ RoleName }))),
    'not refused',
    'unless its role says so',
  )
  const elsewhere = iam(keys, OTHER_ACCOUNT).send(new GetRoleCommand({ RoleName }))
  t.equal((await elsewhere).Role?.Arn, READ_ROLE, 'and only in its own account')
})

t.test('roles that IAM would not hold are refused at the start', async (t) => {
  const { aws } = await world(t)
  t.throws(() => aws.putRole(role('arn:aws:iam::1:role/x')), /not a role ARN/)
  t.throws(() => aws.putRole(role(READ_ROLE, { maxSessionSeconds: 900 })), /MaxSessionDuration/)
  t.throws(
    () => aws.putRole(role(`arn:aws:iam::${BROKER_ACCOUNT}:role/else/orders-write`)),
    /already has a role/,
  )
  t.throws(() => aws.putRole(role(WRITE_ROLE, { trustPolicy: policy(allow('*')) })), /trust policy/)
  t.throws(() => aws.putRole(role(WRITE_ROLE, { policies: { x: TRUST } })), /Principal/)
})
