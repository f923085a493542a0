import { PutRolePolicyCommand } from '@aws-sdk/client-iam'
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import t from 'tap'
import type { PolicyStatement } from '../../server/types.js'
import { allow, BROKER_KEYS, type Keys, narrow, policy, READ_ROLE, refusal, role, world } from './support.js'

const READ = allow('s3:GetObject', 'arn:aws:s3:::orders/*')
const get = (Key = 'a.txt') => new GetObjectCommand({ Bucket: 'orders', Key })
const deny = (Condition: NonNullable<PolicyStatement['Condition']>): PolicyStatement => ({
  ...allow('*'),
  Effect: 'Deny',
  Condition,
})

t.test('a session may what its role and its policy both allow', async (t) => {
  const { s3, session, aws } = await world(t)
  aws.putRole(
    role(READ_ROLE, {
      policies: { a: policy(allow('s3:Get*', ['arn:aws:s3:::orders/a*', 'arn:aws:s3:::orders/b/*'])) },
    }),
  )
  const may = async (keys: Keys, key: string) => (await refusal(s3(keys).send(get(key)))) === 'not refused'
  const whole = await session()
  t.ok((await may(whole, 'a.txt')) && (await may(whole, 'b/c.txt')))
  const narrowed = await session({ Policy: narrow(allow('s3:*', 'arn:aws:s3:::orders/b/*')) })
  t.notOk(await may(narrowed, 'a.txt'), 'the session policy has it not')
  t.ok(await may(narrowed, 'b/c.txt'))
  const everything = await session({ Policy: narrow(allow('*')) })
  t.equal(
    await refusal(s3(everything).send(new ListObjectsV2Command({ Bucket: 'orders' }))),
    'AccessDenied 403',
    'the role has it not',
  )
  const denied = await session({
    Policy: narrow(allow('*'), {
      ...allow('s3:*', '*/a.txt'.replace('*', 'arn:aws:s3:::orders')),
      Effect: 'Deny',
    }),
  })
  t.notOk(await may(denied, 'a.txt'))
  t.ok(await may(denied, 'b/c.txt'))
  aws.putRole(role(READ_ROLE, { policies: {} }))
  t.notOk(await may(whole, 'a.txt'), 'policies of the role are read at each call')
})

t.test('a deny on aws:CurrentTime ends a session to the second', async (t) => {
  const { s3, session, clock } = await world(t)
  const at = '2026-03-01T12:01:30Z'
  const keys = await session({
    Policy: narrow(READ, deny({ DateGreaterThanEquals: { 'aws:CurrentTime': at } })),
  })
  clock.set('2026-03-01T12:01:29.999Z')
  t.equal(await refusal(s3(keys).send(get())), 'not refused')
  clock.set(at)
  t.equal(await refusal(s3(keys).send(get())), 'AccessDenied 403')
})

t.test('an expired session is refused at its second', async (t) => {
  const { s3, session, clock, sts } = await world(t)
  const keys = await session({ DurationSeconds: 900 })
  clock.forward(899)
  t.equal(await refusal(s3(keys).send(get())), 'not refused')
  clock.forward(1)
  t.equal(await refusal(s3(keys).send(get())), 'ExpiredToken 400')
  const { GetCallerIdentityCommand } = await import('@aws-sdk/client-sts')
  t.match(await refusal(sts(keys).send(new GetCallerIdentityCommand({}))), /^ExpiredToken(Exception)? 403$/)
})

t.test('a session bound to a network', async (t) => {
  const { session, s3 } = await world(t)
  const from = async (cidr: string) => {
    const condition = { NotIpAddress: { 'aws:SourceIp': cidr }, Bool: { 'aws:ViaAWSService': 'false' } }
    return refusal(s3(await session({ Policy: narrow(READ, deny(condition)) })).send(get()))
  }
  t.equal(await from('127.0.0.1/32'), 'not refused')
  t.equal(await from('203.0.113.0/24'), 'AccessDenied 403')
  t.equal(await from('2001:db8::/32'), 'AccessDenied 403')
})

t.test('conditions see the session', async (t) => {
  const { session, s3, clock } = await world(t)
  const conditions: [NonNullable<PolicyStatement['Condition']>, boolean][] = [
    [{ StringEquals: { 'aws:PrincipalTag/writ:agent': 'coder' } }, true],
    [{ StringEquals: { 'aws:PrincipalTag/writ:agent': 'other' } }, false],
    [{ StringEquals: { 'aws:SourceIdentity': 'ada' } }, true],
    [
      {
        Null: {
          'sts:SourceIdentity': 'true',
          'sts:RoleSessionName': 'true',
          'aws:RequestTag/writ:agent': 'true',
        },
      },
      true,
    ],
    [{ StringLike: { 'aws:userid': 'AROA*:writ-1' } }, true],
    [{ ArnEquals: { 'aws:PrincipalArn': READ_ROLE } }, true],
    [
      { StringEquals: { 'aws:PrincipalAccount': '111122223333', 'aws:ResourceAccount': '111122223333' } },
      true,
    ],
    [{ StringEquals: { 'aws:RequestedRegion': 'eu-west-1' } }, true],
    [{ StringNotEquals: { 'aws:RequestedRegion': 'eu-west-1' } }, false],
    [{ DateEquals: { 'aws:TokenIssueTime': clock.now().toISOString() } }, true],
    [{ Bool: { 'aws:SecureTransport': 'true', 'aws:ViaAWSService': 'false' } }, true],
  ]
  for (const [Condition, expected] of conditions) {
    const keys = await session({
      Tags: [{ Key: 'writ:agent', Value: 'coder' }],
      SourceIdentity: 'ada',
      Policy: narrow({ ...READ, Condition }),
    })
    t.equal((await refusal(s3(keys).send(get()))) === 'not refused', expected, JSON.stringify(Condition))
  }
})

t.test('listing is authorised by prefix, delimiter and max-keys', async (t) => {
  const { session, s3 } = await world(t)
  const Condition = { StringLike: { 's3:prefix': 'b/*' }, NumericLessThanEquals: { 's3:max-keys': '10' } }
  const keys = await session({
    Policy: narrow({ ...allow('s3:ListBucket', 'arn:aws:s3:::orders'), Condition }),
  })
  const list = (more: object) =>
    refusal(s3(keys).send(new ListObjectsV2Command({ Bucket: 'orders', ...more })))
  t.equal(await list({ Prefix: 'b/', MaxKeys: 10 }), 'not refused')
  t.equal(await list({ Prefix: 'b/', MaxKeys: 11 }), 'AccessDenied 403')
  t.equal(await list({ Prefix: 'a', MaxKeys: 10 }), 'AccessDenied 403')
  t.equal(await list({ MaxKeys: 10 }), 'AccessDenied 403', 'no prefix at all')
})

t.test('a deny hits the session it names, and leaves its neighbour alive', async (t) => {
  const { session, s3, iam, clock } = await world(t)
  const tagged = (issuance: string) =>
    session({
      RoleSessionName: issuance,
      Policy: narrow(READ),
      Tags: [
        { Key: 'writ:issuance', Value: issuance },
        { Key: 'writ:agent', Value: 'coder' },
      ],
    })
  const [first, second] = [await tagged('iss-1'), await tagged('iss-2')]
  const may = async (keys: Keys) => (await refusal(s3(keys).send(get()))) === 'not refused'
  const put = (name: string, statement: PolicyStatement) =>
    iam().send(
      new PutRolePolicyCommand({
        RoleName: 'orders-read',
        PolicyName: name,
        PolicyDocument: narrow(statement),
      }),
    )
  t.ok((await may(first)) && (await may(second)))
  await put('writ-stop', deny({ StringEquals: { 'aws:PrincipalTag/writ:issuance': ['iss-1', 'iss-9'] } }))
  t.notOk(await may(first))
  t.ok(await may(second), 'the neighbour lives')

  const cutoff = new Date(clock.now().getTime() + 5000).toISOString()
  const everythingSoFar = deny({
    StringEquals: { 'aws:PrincipalTag/writ:agent': 'coder' },
    DateLessThan: { 'aws:TokenIssueTime': cutoff },
  })
  await put('writ-stop-agent', everythingSoFar)
  t.notOk(await may(second))
  clock.forward(5)
  const later = await tagged('iss-3')
  t.ok(await may(later), 'a session minted after the cutoff lives')
  t.ok(await may(BROKER_KEYS), 'the broker is not touched')
})
