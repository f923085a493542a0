import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PutRolePolicyCommand } from '@aws-sdk/client-iam'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import t from 'tap'
import { createPool } from '../server/db/pool.js'
import { packageRoot } from '../server/paths.js'
import { READ_ROLE, refusal, role, world } from './local-aws/support.js'
import { startTestBroker } from './support/broker.js'
import { testDatabase } from './support/postgres.js'

/** What docs/operations.md tells a human to type in an incident is tried here. */
const PAGE = readFileSync(join(packageRoot(), 'docs/operations.md'), 'utf8')

const denials = Object.fromEntries(
  [...PAGE.matchAll(/<!-- deny: (\w+) -->\n```json\n([\s\S]*?)```/g)].map(([, name = '', text = '']) => [
    name,
    text,
  ]),
)

t.test('each deny policy ends the sessions it is for, and no other', async (t) => {
  const { aws, session, s3, iam, clock } = await world(t)
  const now = '2026-11-21T12:00:00Z'
  clock.set('2026-11-21T11:59:00Z')
  const minted = (agent: string, issuance: string) =>
    session({
      RoleSessionName: issuance,
      Tags: [
        { Key: 'writ:agent', Value: agent },
        { Key: 'writ:issuance', Value: issuance },
      ],
    })
  const before = {
    named: await minted('orders-coder', 'c80r7cpqamke'),
    agents: await minted('orders-coder', 'another00000'),
    neighbour: await minted('report-bot', 'third0000000'),
  }
  clock.set(now)
  const sessions = { ...before, later: await minted('orders-coder', 'later0000000') }
  const alive = async () => {
    const names: string[] = []
    for (const [name, keys] of Object.entries(sessions)) {
      const got = await refusal(s3(keys).send(new GetObjectCommand({ Bucket: 'orders', Key: 'a.txt' })))
      if (got === 'not refused') names.push(name)
    }
    return names
  }
  t.same(await alive(), ['named', 'agents', 'neighbour', 'later'])
  const expected = {
    agent: ['neighbour', 'later'],
    issuance: ['agents', 'neighbour', 'later'],
    role: ['later'],
  }
  t.same(Object.keys(denials), Object.keys(expected))
  for (const [name, left] of Object.entries(expected)) {
    await iam().send(
      new PutRolePolicyCommand({
        RoleName: 'orders-read',
        PolicyName: 'writ-end',
        PolicyDocument: denials[name] ?? '',
      }),
    )
    t.same(await alive(), left, name)
    aws.putRole(role(READ_ROLE))
  }
})

t.test('after a restore, every open grant is revoked', async (t) => {
  const sql = await testDatabase(t)
  const broker = await startTestBroker(t, { sql })
  const bob = await broker.operatorToken('bob')
  const grant = () =>
    broker.grant('bob', {
      agent: 'orders-coder',
      environment: 'production',
      scopes: ['orders:write'],
      reason: 'a test',
    })
  const [first, second] = [(await grant()).body.grant_id, (await grant()).body.grant_id]
  t.ok(first && second && first !== second)
  await broker.call('POST', `/v1/grants/${first}/revoke`, bob, { reason: 'by hand' })

  const block = /```sql\n([\s\S]*?)```/.exec(PAGE)?.[1] ?? ''
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const database = createPool({
    connectionString: sql.ownerUrl,
    applicationName: 'writ test',
    log: silent,
    max: 1,
  })
  const revoked = await database.query<{ id: string }>(block)
  await database.end()
  t.same(
    revoked.map(({ id }) => id),
    [second],
  )
  const { body } = await broker.call('GET', '/v1/grants', bob)
  t.same(
    body.items.map((one: { state: string; revoked_by: string }) => [one.state, one.revoked_by]),
    [
      ['revoked', 'restore'],
      ['revoked', 'bob'],
    ],
  )
})
