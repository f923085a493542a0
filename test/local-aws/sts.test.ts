import { AssumeRoleCommand, type AssumeRoleCommandInput, GetCallerIdentityCommand } from '@aws-sdk/client-sts'
import t from 'tap'
import {
  allow,
  BROKER_ACCOUNT,
  BROKER_KEYS,
  narrow,
  READ_ROLE,
  refusal,
  role,
  WRITE_ROLE,
  world,
} from './support.js'

const assume = (more: Partial<AssumeRoleCommandInput> = {}) =>
  new AssumeRoleCommand({ RoleArn: READ_ROLE, RoleSessionName: 'writ-1', ...more })

t.test('a session looks like one of AWS', async (t) => {
  const { sts, clock } = await world(t)
  const answer = await sts().send(
    assume({
      DurationSeconds: 900,
      SourceIdentity: 'ada@example.com',
      Policy: narrow(allow('s3:GetObject')),
      Tags: [{ Key: 'writ:agent', Value: 'coder' }],
    }),
  )
  t.match(answer.Credentials, {
    AccessKeyId: /^ASIA[A-Z2-7]{16}$/,
    SecretAccessKey: /^[A-Za-z0-9+/]{40}$/,
    SessionToken: /^IQoJb3JpZ2luX2Vj/,
  })
  t.same(answer.Credentials?.Expiration, new Date(clock.now().getTime() + 900_000))
  t.match(answer.AssumedRoleUser?.AssumedRoleId, /^AROA[A-Z2-7]{17}:writ-1$/)
  t.equal(answer.AssumedRoleUser?.Arn, `arn:aws:sts::${BROKER_ACCOUNT}:assumed-role/orders-read/writ-1`)
  t.equal(answer.SourceIdentity, 'ada@example.com')
  t.ok((answer.PackedPolicySize ?? 0) > 0 && (answer.PackedPolicySize ?? 101) <= 100)
})

t.test('GetCallerIdentity works for everyone with credentials', async (t) => {
  const { sts, session } = await world(t)
  t.match(await sts().send(new GetCallerIdentityCommand({})), {
    Account: BROKER_ACCOUNT,
    Arn: `arn:aws:iam::${BROKER_ACCOUNT}:user/writ-broker`,
  })
  const keys = await session({ Policy: narrow({ ...allow('*'), Effect: 'Deny' }) })
  t.match(await sts(keys).send(new GetCallerIdentityCommand({})), {
    Account: BROKER_ACCOUNT,
    Arn: `arn:aws:sts::${BROKER_ACCOUNT}:assumed-role/orders-read/writ-1`,
    UserId: /^AROA[A-Z2-7]{17}:writ-1$/,
  })
})

t.test('every limit of AssumeRole', async (t) => {
  const { sts, aws } = await world(t, { roles: [role(READ_ROLE, { maxSessionSeconds: 43_200 })] })
  const client = sts()
  const tags = (count: number) => Array.from({ length: count }, (_, n) => ({ Key: `k${n}`, Value: '' }))
  const padded = (length: number) => narrow(allow('s3:GetObject')).padEnd(length, ' ')
  const accepted: [string, Partial<AssumeRoleCommandInput>][] = [
    ['shortest', { DurationSeconds: 900 }],
    ['longest', { DurationSeconds: 43_200 }],
    ['name of 2', { RoleSessionName: 'ab' }],
    ['name of 64', { RoleSessionName: 'a'.repeat(64) }],
    ['name with every sign', { RoleSessionName: '_+=,.@-' }],
    ['source identity of 64', { SourceIdentity: 's'.repeat(64) }],
    ['50 tags', { Tags: tags(50) }],
    ['tag key of 128, value of 256', { Tags: [{ Key: 'k'.repeat(128), Value: 'v'.repeat(256) }] }],
    ['tags beyond ASCII', { Tags: [{ Key: 'Schlüssel', Value: 'größe 5 / 日本 _.:/=+-@' }] }],
    ['policy of 2,048', { Policy: padded(2048) }],
    ['policy in Latin-1', { Policy: narrow(allow('s3:GetObject', 'arn:aws:s3:::o/ÿ')) }],
    [
      'one statement without an array',
      {
        Policy:
          '{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:ViaAWSService":false}}}}',
      },
    ],
  ]
  for (const [name, more] of accepted)
    t.match(await client.send(assume(more)), { Credentials: { AccessKeyId: /^ASIA/ } }, name)

  const invalid: [string, Partial<AssumeRoleCommandInput>][] = [
    ['899 seconds', { DurationSeconds: 899 }],
    ['43,201 seconds', { DurationSeconds: 43_201 }],
    ['name of 1', { RoleSessionName: 'a' }],
    ['name of 65', { RoleSessionName: 'a'.repeat(65) }],
    ['name with a space', { RoleSessionName: 'a b' }],
    ['name with a slash', { RoleSessionName: 'a/b' }],
    ['name with a line feed at its end', { RoleSessionName: 'ab\n' }],
    ['name beyond ASCII', { RoleSessionName: 'häns' }],
    ['source identity of 1', { SourceIdentity: 'a' }],
    ['source identity of 65', { SourceIdentity: 'a'.repeat(65) }],
    ['source identity with a colon', { SourceIdentity: 'aws:x' }],
    ['51 tags', { Tags: tags(51) }],
    ['empty tag key', { Tags: [{ Key: '', Value: 'x' }] }],
    ['tag key of 129', { Tags: [{ Key: 'k'.repeat(129), Value: 'x' }] }],
    ['tag value of 257', { Tags: [{ Key: 'k', Value: 'v'.repeat(257) }] }],
    ['tag value with a star', { Tags: [{ Key: 'k', Value: '*' }] }],
    ['tag key with a dollar', { Tags: [{ Key: '$', Value: 'x' }] }],
    ['tag key of AWS', { Tags: [{ Key: 'AWS:x', Value: 'x' }] }],
    ['policy of 2,049', { Policy: padded(2049) }],
    ['policy beyond Latin-1', { Policy: narrow(allow('s3:GetObject', 'arn:aws:s3:::o/Ā')) }],
    ['managed policies', { PolicyArns: [{ arn: 'arn:aws:iam::aws:policy/ReadOnlyAccess' }] }],
    ['transitive tags', { TransitiveTagKeys: ['k'] }],
    ['MFA', { SerialNumber: 'x'.repeat(9), TokenCode: '123456' }],
  ]
  for (const [name, more] of invalid)
    t.match(await refusal(client.send(assume(more))), /^ValidationError(Exception)? 400$/, name)
  t.equal(
    await refusal(
      client.send(
        assume({
          Tags: [
            { Key: 'Writ', Value: 'a' },
            { Key: 'writ', Value: 'a' },
          ],
        }),
      ),
    ),
    'InvalidParameterValue 400',
    'keys that differ in case only',
  )
  const calls = aws.calls.filter((call) => call.allowed)
  t.equal(calls.length, accepted.length, 'nothing was minted for what was refused')
})

t.test('policies that are none', async (t) => {
  const { sts } = await world(t)
  const bad = [
    'not json',
    '{}',
    '[]',
    '{"Statement":[]}',
    '{"Statement":[{"Effect":"Allow","Action":"s3:*"}]}',
    '{"Statement":[{"Effect":"allow","Action":"s3:*","Resource":"*"}]}',
    '{"Version":"2020-01-01","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
    '{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}]}',
    '{"Statement":[{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}]}',
    '{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"orders"}]}',
    '{"Statement":[{"Effect":"Allow","Action":["s3:*",1],"Resource":"*"}]}',
    '{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringMaybe":{"a":"b"}}}]}',
    '{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"soon"}}}]}',
    '{"Statement":[{"Sid":"a b","Effect":"Deny","Action":"*","Resource":"*"}]}',
    '{"Statement":[{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}]}',
    '{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}],"Extra":1}',
  ]
  for (const text of bad)
    t.match(
      await refusal(sts().send(assume({ Policy: text }))),
      /^MalformedPolicyDocument(Exception)? 400$/,
      text,
    )
})

t.test('policy and tags share a packed limit', async (t) => {
  const { sts } = await world(t)
  const size = async (more: Partial<AssumeRoleCommandInput>) =>
    (await sts().send(assume(more))).PackedPolicySize ?? 0
  const Policy = narrow(allow('s3:GetObject'))
  const Tags = [{ Key: 'writ:agent', Value: 'v'.repeat(200) }]
  t.ok((await size({ Policy, Tags })) > (await size({ Policy })))
  const many = Array.from({ length: 10 }, (_, n) => ({ Key: `k${n}`, Value: 'v'.repeat(256) }))
  t.match(await refusal(sts().send(assume({ Policy, Tags: many }))), /^PackedPolicyTooLarge(Exception)? 400$/)
})

t.test("durations: the role's own maximum", async (t) => {
  const { sts } = await world(t)
  await sts().send(assume({ DurationSeconds: 7200 }))
  t.match(await refusal(sts().send(assume({ DurationSeconds: 7201 }))), /^ValidationError/)
})

t.test('every call is on record', async (t) => {
  const { sts, aws, session, clock } = await world(t)
  const keys = await session({ RoleSessionName: 'writ-9' })
  await refusal(sts().send(assume({ RoleArn: WRITE_ROLE, RoleSessionName: 'writ-10' })))
  await sts(keys).send(new GetCallerIdentityCommand({}))
  t.match(aws.calls, [
    {
      action: 'sts:AssumeRole',
      accessKeyId: BROKER_KEYS.accessKeyId,
      sessionName: 'writ-9',
      allowed: true,
      at: clock.now(),
    },
    { action: 'sts:AssumeRole', sessionName: 'writ-10', allowed: false, code: 'AccessDenied' },
    { action: 'sts:GetCallerIdentity', accessKeyId: keys.accessKeyId, sessionName: 'writ-9', allowed: true },
  ])
  t.notMatch(JSON.stringify(aws.calls), keys.secretAccessKey)
})
