import { join } from 'node:path'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { localBuckets, localRoles } from '../../local-aws/from-policy.js'
import { startLocalAws } from '../../local-aws/server.js'
import { createSts } from '../../server/aws/sts.js'
import { decide } from '../../server/decision/decide.js'
import { planSession } from '../../server/issuance/plan.js'
import { packageRoot } from '../../server/paths.js'
import { loadPolicySet } from '../../server/policy/load.js'
import type { CredentialRequest } from '../../server/types.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'
import { identity } from '../support/policy.js'

interface Keys {
  access_key_id: string
  secret_access_key: string
  session_token: string
}

function client(t: Test, endpoint: string, keys: Keys, region = 'eu-west-1'): S3Client {
  const s3 = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: {
      accessKeyId: keys.access_key_id,
      secretAccessKey: keys.secret_access_key,
      sessionToken: keys.session_token,
    },
  })
  t.teardown(() => s3.destroy())
  return s3
}

const outcome = (work: Promise<unknown>) =>
  work.then(
    () => 'ok',
    (error: Error) => error.name,
  )

async function keysFor(broker: TestBroker, environment: string, ...scopes: string[]): Promise<Keys> {
  const token = await broker.agentToken('orders-coder')
  const { body } = await broker.call('POST', '/v1/credentials', token, {
    environment,
    scopes,
    reason: 'a test',
  })
  return body.credentials
}

t.test('a session can do what its scopes say, through an unmodified SDK, and nothing else', async (t) => {
  const broker = await startTestBroker(t)
  const endpoint = broker.localAws.url
  const Bucket = 'orders-development'
  const Key = 'a-test.txt'
  const reader = client(t, endpoint, await keysFor(broker, 'development', 'orders:read'))
  const writer = client(t, endpoint, await keysFor(broker, 'development', 'orders:write'))

  t.equal(await outcome(writer.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))), 'ok')
  t.equal(await outcome(reader.send(new GetObjectCommand({ Bucket, Key }))), 'ok')
  t.equal(await outcome(reader.send(new ListObjectsV2Command({ Bucket }))), 'ok')

  t.equal(
    await outcome(reader.send(new PutObjectCommand({ Bucket, Key, Body: 'y' }))),
    'AccessDenied',
    'reading is not writing',
  )
  t.equal(
    await outcome(writer.send(new DeleteObjectCommand({ Bucket, Key }))),
    'AccessDenied',
    'writing is not deleting',
  )
  t.equal(
    await outcome(writer.send(new GetObjectCommand({ Bucket, Key }))),
    'AccessDenied',
    'though the role could: the session was narrowed to what was asked for',
  )
  t.equal(
    await outcome(reader.send(new GetObjectCommand({ Bucket: 'orders-production', Key }))),
    'AccessDenied',
    'another environment',
  )
  t.equal(
    await outcome(reader.send(new GetObjectCommand({ Bucket: 'reports-development', Key }))),
    'AccessDenied',
    'another bucket',
  )
  const elsewhere = client(t, endpoint, await keysFor(broker, 'development', 'orders:read'), 'ap-southeast-2')
  t.equal(
    await outcome(elsewhere.send(new GetObjectCommand({ Bucket, Key }))),
    'AccessDenied',
    'another region',
  )
})

t.test('a session ends at its second, long before STS would end it', async (t) => {
  const loaded = await loadPolicySet(join(packageRoot(), 'policies'))
  if (!loaded.ok) throw new Error('the example policies do not load')
  const broker = { account: '999900001111', accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'secret' }
  let ahead = 0
  const aws = await startLocalAws({
    roles: localRoles(loaded.policySet, `arn:aws:iam::${broker.account}:user/writ-broker`),
    buckets: localBuckets(loaded.policySet),
    broker,
    now: () => new Date(Date.now() + ahead),
  })
  t.teardown(() => aws.close())
  const sts = createSts({ endpoint: aws.url, credentials: broker, timeoutMs: 5_000 })
  t.teardown(() => sts.close())

  const mint = async (change: Partial<CredentialRequest>, cidrs?: string[]) => {
    const request = { environment: 'development', scopes: ['orders:read'], reason: 'a test', ...change }
    const decision = decide(loaded.policySet, 'orders-coder', request, { grants: [] }, new Date())
    if (decision.outcome !== 'allow') throw new Error(decision.refusal.code)
    const bound = cidrs === undefined ? decision : { ...decision, network: { kind: 'cidrs', cidrs } as const }
    const settings = { longestStsSeconds: 43_200, localAws: true }
    const plan = planSession(bound, identity(), { ip: '127.0.0.1' }, 'abcdefghjkmn', settings)
    if ('refusal' in plan) throw new Error(plan.refusal.code)
    const { credentials } = await sts.assumeRole(plan.assume)
    const keys = {
      access_key_id: credentials.accessKeyId,
      secret_access_key: credentials.secretAccessKey,
      session_token: credentials.sessionToken,
    }
    return { s3: client(t, aws.url, keys), stsEnd: credentials.expiresAt, notAfter: plan.notAfter }
  }
  const list = (s3: S3Client) => outcome(s3.send(new ListObjectsV2Command({ Bucket: 'orders-development' })))

  const { s3, stsEnd, notAfter } = await mint({ ttlSeconds: 60 })
  t.ok(stsEnd.getTime() - notAfter.getTime() > 800_000, 'STS itself would let it live for 900 s')
  t.equal(await list(s3), 'ok')
  ahead = notAfter.getTime() - Date.now() - 5_000
  t.equal(await list(s3), 'ok', 'five seconds before')
  ahead = notAfter.getTime() - Date.now()
  t.equal(await list(s3), 'AccessDenied', 'at the second')
  ahead = 0

  t.equal(await list((await mint({}, ['127.0.0.0/8'])).s3), 'ok', 'from its network')
  t.equal(await list((await mint({}, ['198.51.100.0/24'])).s3), 'AccessDenied', 'from another')
})
