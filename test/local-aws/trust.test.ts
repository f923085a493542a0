import { AssumeRoleCommand, type AssumeRoleCommandInput, GetCallerIdentityCommand } from '@aws-sdk/client-sts'
import t from 'tap'
import {
  allow,
  BROKER_ACCOUNT,
  BROKER_KEYS,
  narrow,
  OTHER_ACCOUNT,
  OTHER_ROLE,
  policy,
  READ_ROLE,
  refusal,
  role,
  TRUST,
  WRITE_ROLE,
  world,
} from './support.js'

const assume = (more: Partial<AssumeRoleCommandInput> = {}) =>
  new AssumeRoleCommand({ RoleArn: READ_ROLE, RoleSessionName: 'writ-1', ...more })

t.test('trust decides, and each of its three actions on its own', async (t) => {
  const only = (...Action: string[]) =>
    policy({ Effect: 'Allow', Principal: { AWS: BROKER_ACCOUNT }, Action })
  const { sts, aws } = await world(t)
  const Tags = [{ Key: 'writ:agent', Value: 'coder' }]
  const denied = async (more: Partial<AssumeRoleCommandInput>) =>
    (await refusal(sts().send(assume(more)))) === 'AccessDenied 403'

  aws.putRole(role(READ_ROLE, { trustPolicy: only('sts:AssumeRole') }))
  t.notOk(await denied({}))
  t.ok(await denied({ Tags }), 'tags need sts:TagSession')
  t.ok(await denied({ SourceIdentity: 'ada' }), 'a source identity needs sts:SetSourceIdentity')
  aws.putRole(role(READ_ROLE, { trustPolicy: only('sts:TagSession', 'sts:SetSourceIdentity') }))
  t.ok(await denied({}))
  aws.putRole(
    role(READ_ROLE, {
      trustPolicy: policy({
        ...TRUST.Statement[0],
        Effect: 'Allow',
        Action: 'sts:*',
        Principal: { AWS: OTHER_ACCOUNT },
      }),
    }),
  )
  t.ok(await denied({}), 'another account is trusted, not this one')
  t.ok(
    await denied({ RoleArn: `${READ_ROLE}-missing` }),
    'a role that does not exist looks like one that refuses',
  )
})

t.test("a write role refuses a session without the grant's tag", async (t) => {
  const { sts } = await world(t)
  const attempt = (Tags?: AssumeRoleCommandInput['Tags']) =>
    refusal(sts().send(assume({ RoleArn: WRITE_ROLE, Tags })))
  t.equal(await attempt(), 'AccessDenied 403')
  t.equal(await attempt([{ Key: 'writ:agent', Value: 'coder' }]), 'AccessDenied 403')
  t.equal(await attempt([{ Key: 'writ:grant', Value: 'g-1' }]), 'not refused')
})

t.test('trust conditions see what was asked for', async (t) => {
  const { sts, aws } = await world(t)
  const input: Partial<AssumeRoleCommandInput> = {
    RoleSessionName: 'writ-7',
    SourceIdentity: 'ada',
    ExternalId: 'ext-1',
    Tags: [
      { Key: 'writ:agent', Value: 'coder' },
      { Key: 'writ:grant', Value: 'g' },
    ],
  }
  const conditions: [Record<string, Record<string, string | string[]>>, boolean][] = [
    [{ StringEquals: { 'sts:RoleSessionName': 'writ-7' } }, true],
    [{ StringEquals: { 'sts:RoleSessionName': 'writ-8' } }, false],
    [{ StringEquals: { 'sts:SourceIdentity': 'ada' } }, true],
    [{ StringEquals: { 'sts:SourceIdentity': 'eve' } }, false],
    [{ StringEquals: { 'sts:ExternalId': 'ext-1' } }, true],
    [{ StringEquals: { 'sts:ExternalId': 'ext-2' } }, false],
    [{ StringEquals: { 'aws:RequestTag/WRIT:agent': 'coder' } }, true],
    [{ StringEquals: { 'aws:RequestTag/writ:agent': 'other' } }, false],
    [{ 'ForAllValues:StringEquals': { 'aws:TagKeys': ['writ:agent', 'writ:grant'] } }, true],
    [{ 'ForAllValues:StringEquals': { 'aws:TagKeys': ['writ:agent'] } }, false],
    [{ IpAddress: { 'aws:SourceIp': '127.0.0.0/8' } }, true],
    [{ IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } }, false],
    [{ ArnLike: { 'aws:PrincipalArn': `arn:aws:iam::${BROKER_ACCOUNT}:user/*` } }, true],
    [{ StringEquals: { 'aws:PrincipalAccount': OTHER_ACCOUNT } }, false],
    [{ StringEquals: { 'aws:RequestedRegion': 'eu-west-1' } }, true],
  ]
  for (const [Condition, expected] of conditions) {
    const statement = { ...TRUST.Statement[0], Effect: 'Allow' as const, Action: 'sts:*', Condition }
    aws.putRole(role(READ_ROLE, { trustPolicy: policy(statement) }))
    t.equal((await refusal(sts().send(assume(input)))) === 'not refused', expected, JSON.stringify(Condition))
  }
})

t.test('across accounts the trust policy is enough for the broker', async (t) => {
  const { sts, session } = await world(t)
  const keys = await session({ RoleArn: OTHER_ROLE })
  t.equal((await sts(keys).send(new GetCallerIdentityCommand({}))).Account, OTHER_ACCOUNT)
})

t.test('role chaining', async (t) => {
  const SECOND = `arn:aws:iam::${BROKER_ACCOUNT}:role/second`
  const trustsRole = (arn: string) => policy({ Effect: 'Allow', Principal: { AWS: arn }, Action: 'sts:*' })
  const may = policy(allow('sts:*', SECOND))
  const { sts, session, aws } = await world(t, {
    roles: [
      role(READ_ROLE, { policies: { chain: may } }),
      role(SECOND, { trustPolicy: trustsRole(BROKER_ACCOUNT) }),
    ],
  })
  const chain = async (first: Partial<AssumeRoleCommandInput>, more: Partial<AssumeRoleCommandInput> = {}) =>
    refusal(sts(await session(first)).send(assume({ RoleArn: SECOND, ...more })))
  t.equal(await chain({}), 'not refused')
  t.match(await chain({}, { DurationSeconds: 3601 }), /^ValidationError/, 'an hour at most')
  t.equal(await chain({}, { DurationSeconds: 3600 }), 'not refused')
  t.equal(
    await chain({ Policy: narrow(allow('s3:*')) }),
    'AccessDenied 403',
    'the session policy does not allow it',
  )
  t.equal(await chain({ SourceIdentity: 'ada' }), 'not refused')
  t.equal(
    await chain({ SourceIdentity: 'ada' }, { SourceIdentity: 'eve' }),
    'AccessDenied 403',
    'a source identity stays',
  )

  aws.putRole(role(READ_ROLE, { policies: {} }))
  t.equal(await chain({}), 'AccessDenied 403', "trusting the account delegates to the role's own policies")
  aws.putRole(role(SECOND, { trustPolicy: trustsRole(READ_ROLE) }))
  t.equal(await chain({}), 'not refused', 'inside one account, being named is enough')
  t.equal(
    await chain({ Policy: narrow(allow('s3:*')) }),
    'AccessDenied 403',
    'but not past the session policy',
  )
  aws.putRole(role(READ_ROLE, { policies: { stop: policy({ ...allow('*'), Effect: 'Deny' }) } }))
  t.equal(await chain({}), 'AccessDenied 403', 'nor past a deny')
})

t.test('chaining across accounts needs both sides', async (t) => {
  const trustPolicy = policy({ Effect: 'Allow', Principal: { AWS: READ_ROLE }, Action: 'sts:*' })
  const { sts, session, aws } = await world(t, {
    roles: [role(READ_ROLE, { policies: {} }), role(OTHER_ROLE, { trustPolicy })],
  })
  const chain = async () => refusal(sts(await session()).send(assume({ RoleArn: OTHER_ROLE })))
  t.equal(await chain(), 'AccessDenied 403', 'being named there is not enough')
  aws.putRole(role(READ_ROLE, { policies: { may: policy(allow('sts:AssumeRole', OTHER_ROLE)) } }))
  t.equal(await chain(), 'not refused')
})

t.test('a broker that runs on a role chains too', async (t) => {
  const arn = `arn:aws:iam::${BROKER_ACCOUNT}:role/writ-broker`
  const trustPolicy = policy({ Effect: 'Allow', Principal: { AWS: arn }, Action: 'sts:*' })
  const { sts } = await world(t, {
    roles: [role(READ_ROLE, { trustPolicy })],
    broker: { ...BROKER_KEYS, account: BROKER_ACCOUNT, arn },
  })
  t.equal(await refusal(sts().send(assume({ DurationSeconds: 3600 }))), 'not refused')
  t.match(await refusal(sts().send(assume({ DurationSeconds: 3601 }))), /^ValidationError/)
})
