import {
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { localRoles } from '../../local-aws/from-policy.js'
import { globMatches } from '../../server/policy/evaluate.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'

interface Had {
  readonly way: string
  readonly now: boolean
  readonly approvals: number
  readonly grant?: string
  readonly refusal?: { readonly code: string }
}
interface Permission extends Had {
  readonly action: string
  readonly resources: readonly string[]
  readonly scopes: readonly string[]
}
interface Place {
  readonly environment: string
  readonly scopes: readonly (Had & { readonly scope: string })[]
  readonly permissions: readonly Permission[]
  readonly never: readonly { readonly because: string; readonly actions: readonly string[] }[]
}

/** What local AWS can be asked for, and how. */
const CALLS: Readonly<Record<string, (client: S3Client, Bucket: string, Key: string) => Promise<unknown>>> = {
  's3:GetObject': (client, Bucket, Key) => client.send(new GetObjectCommand({ Bucket, Key })),
  's3:PutObject': (client, Bucket, Key) => client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' })),
  's3:DeleteObject': (client, Bucket, Key) => client.send(new DeleteObjectCommand({ Bucket, Key })),
  's3:ListBucket': (client, Bucket) => client.send(new ListObjectsV2Command({ Bucket })),
  's3:GetBucketVersioning': (client, Bucket) => client.send(new GetBucketVersioningCommand({ Bucket })),
}

const answered = (call: Promise<unknown>): Promise<'done' | 'AccessDenied'> =>
  call.then(
    () => 'done' as const,
    (error: Error) => {
      if (error.name === 'AccessDenied') return 'AccessDenied'
      // Allowed, and not there.
      if (error.name === 'NoSuchKey') return 'done'
      throw error
    },
  )

async function s3With(
  t: Test,
  broker: TestBroker,
  agent: string,
  wish: object,
): Promise<S3Client | undefined> {
  const token = await broker.agentToken(agent)
  const { status, body } = await broker.call('POST', '/v1/credentials', token, { reason: 'r', ...wish })
  if (status !== 200) return undefined
  const { access_key_id, secret_access_key, session_token } = body.credentials
  const client = new S3Client({
    region: 'eu-west-1',
    endpoint: broker.localAws.url,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: {
      accessKeyId: access_key_id,
      secretAccessKey: secret_access_key,
      sessionToken: session_token,
    },
  })
  t.teardown(() => client.destroy())
  return client
}

const placesOf = async (broker: TestBroker, agent: string): Promise<readonly Place[]> => {
  const { body } = await broker.call('GET', `/v1/agents/${agent}/reach`, await broker.operatorToken('carol'))
  return body.environments
}

/** Holds what reach says against what AWS does, for every scope that can be had and every call there is. */
async function holds(t: Test, broker: TestBroker, agent: string, places: readonly Place[]): Promise<number> {
  let calls = 0
  for (const { environment, scopes, permissions, never } of places) {
    const held = new Map<string, S3Client>()
    for (const { scope, now } of scopes) {
      const client = await s3With(t, broker, agent, { environment, scopes: [scope] })
      t.equal(
        client !== undefined,
        now,
        `${agent} ${environment} ${scope}: credentials just where it says now`,
      )
      if (client !== undefined) held.set(scope, client)
    }
    for (const bucket of ['orders', 'reports', 'releases'].map((name) => `${name}-${environment}`))
      for (const key of ['example.txt', 'current.json', `${agent}/a`])
        for (const [action, call] of Object.entries(CALLS)) {
          const inBucket = ['s3:ListBucket', 's3:GetBucketVersioning'].includes(action)
          if (inBucket && key !== 'example.txt') continue
          const resource = inBucket ? `arn:aws:s3:::${bucket}` : `arn:aws:s3:::${bucket}/${key}`
          const said = permissions.filter(
            (one) =>
              one.action === action &&
              one.now &&
              one.resources.some((pattern) => globMatches(pattern, resource)),
          )
          for (const [scope, client] of held) {
            calls++
            const may = said.some((one) => one.scopes.includes(scope))
            const did = await answered(call(client, bucket, key)).catch((error: Error) => error.name)
            if (did === 'NoSuchBucket' && !may) continue
            if (did !== (may ? 'done' : 'AccessDenied'))
              t.fail(`${agent} ${environment} ${scope} ${action} ${resource}: said ${may}, was ${did}`)
          }
        }
    const names = new Set(never.flatMap(({ actions }) => actions))
    t.notOk(
      permissions.some(({ action, way }) => way !== 'never' && names.has(action)),
      `${environment}: nothing is both`,
    )
  }
  return calls
}

t.test('what it says can be done now can be done, and nothing else', { timeout: 120_000 }, async (t) => {
  const broker = await startTestBroker(t)
  const [carol, bob] = [await broker.operatorToken('carol'), await broker.operatorToken('bob')]
  for (const agent of ['orders-coder', 'report-bot', 'deploy-bot'])
    t.ok((await holds(t, broker, agent, await placesOf(broker, agent))) > 30, agent)

  const [, production] = (await placesOf(broker, 'orders-coder')).map((place) => place)
  t.match(production, {
    environment: 'production',
    scopes: [
      { scope: 'orders:read', way: 'alone', now: true, approvals: 0 },
      {
        scope: 'orders:write',
        way: 'grant',
        now: false,
        approvals: 1,
        refusal: { code: 'grant_required', next: String },
      },
    ],
    permissions: [
      { action: 's3:GetObject', resources: ['arn:aws:s3:::orders-production/*'], now: true },
      { action: 's3:ListBucket', resources: ['arn:aws:s3:::orders-production'], now: true },
      { action: 's3:PutObject', levels: ['write'], way: 'grant', now: false, scopes: ['orders:write'] },
    ],
  })
  const why = (action: string): string | undefined =>
    production?.never.find(({ actions }) => actions.includes(action))?.because
  t.match(why('s3:DeleteObject'), /deletes, and production .* allows that to nobody/)
  t.match(why('s3:PutBucketVersioning'), /destroys backups/)
  t.match(why('s3:PutBucketPolicy'), /manages permissions/)

  const wish = { agent: 'orders-coder', environment: 'production', scopes: ['orders:read', 'orders:write'] }
  const granted = await broker.grant('bob', { ...wish, reason: 'r', uses: 5 })
  t.equal(granted.status, 200, JSON.stringify(granted.body))
  const after = (await placesOf(broker, 'orders-coder'))[1]
  t.match(after?.scopes[1], { scope: 'orders:write', way: 'grant', now: true, grant: granted.body.grant_id })
  t.match(
    after?.permissions.find(({ action }) => action === 's3:PutObject'),
    { now: true, way: 'grant', grant: granted.body.grant_id },
  )
  const both = await s3With(t, broker, 'orders-coder', {
    environment: 'production',
    scopes: wish.scopes,
  })
  if (both === undefined) throw new Error('the grant gives nothing')
  t.equal(await answered(CALLS['s3:PutObject']?.(both, 'orders-production', 'a') ?? Promise.reject()), 'done')
  t.equal(
    await answered(CALLS['s3:DeleteObject']?.(both, 'orders-production', 'a') ?? Promise.reject()),
    'AccessDenied',
  )

  const own = await broker.call('GET', '/v1/reach', await broker.agentToken('orders-coder'))
  const theirs = await broker.call('GET', '/v1/agents/orders-coder/reach', bob)
  t.strictSame({ ...own.body, at: '' }, { ...theirs.body, at: '' }, 'an agent sees the same of itself')
  const one = await broker.call('GET', '/v1/agents/orders-coder/reach?environment=sandbox', carol)
  t.match(one.body.environments, [{ environment: 'sandbox', permissions: { length: 4 } }])
  t.ok(one.body.red_lines.some(({ actions }: { actions: string[] }) => actions.includes('iam:PassRole')))
  for (const [path, token, status] of [
    ['/v1/agents/nobody/reach', carol, 404],
    ['/v1/agents/orders-coder/reach?environment=moon', carol, 404],
    ['/v1/agents/orders-coder/reach?env=sandbox', carol, 422],
    ['/v1/agents/orders-coder/reach', await broker.agentToken('orders-coder'), 401],
    ['/v1/reach', carol, 401],
  ] as const)
    t.equal((await broker.call('GET', path, token)).status, status, path)

  const roles = localRoles(broker.policy.current(), 'arn:aws:iam::999900001111:user/any')
  const { status, body } = await broker.call('GET', '/v1/doctor', carol)
  t.equal(status, 200, JSON.stringify(body))
  t.match(
    body,
    { checked: roles.length, clean: true, next: null, broker: /writ-broker$/ },
    'the examples are clean',
  )
  const first = await broker.call('GET', '/v1/doctor?limit=4', carol)
  t.match(first.body, { checked: 4, next: roles[3]?.arn })
  const rest = await broker.call('GET', `/v1/doctor?after=${encodeURIComponent(first.body.next)}`, carol)
  t.match(rest.body, { checked: roles.length - 4, next: null })
  for (const [query, code] of [
    ['agent=nobody', 404],
    ['environment=moon', 404],
    ['agents=x', 422],
    ['limit=0', 422],
  ] as const)
    t.equal((await broker.call('GET', `/v1/doctor?${query}`, carol)).status, code, query)

  const alice = await broker.operatorToken('alice')
  const stopped = await broker.call('PUT', '/v1/stops/environment/development', alice, { reason: 'r' })
  t.ok(stopped.status < 300, JSON.stringify(stopped.body))
  const halted = (await placesOf(broker, 'orders-coder'))[0]
  if (halted === undefined) throw new Error('no environment')
  for (const one of [...halted.scopes, ...halted.permissions])
    t.match(one, { way: 'alone', now: false, refusal: { code: 'agent_stopped' } })
  t.equal(halted.scopes.length, 3)
  await holds(t, broker, 'orders-coder', [halted])
})
