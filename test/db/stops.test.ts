import fc from 'fast-check'
import t from 'tap'
import { createPool, type Queryable } from '../../server/db/pool.js'
import { newId } from '../../server/issuance/id.js'
import { failsWith } from '../support/fails.js'
import { intentItem, READ_ROLE, requestArgument } from '../support/items.js'
import { type Ledger, testLedger } from '../support/ledger.js'
import { silent } from '../support/postgres.js'

let ledger: Ledger
t.before(async () => {
  ledger = await testLedger(t)
})

async function engage(broker: Queryable, kind: string, name: string, change: object = {}): Promise<string> {
  const argument = { id: newId(), kind, name, operator: 'bob', reason: 'a test', ...change }
  const [row] = await broker.query<{ answer: { id: string } }>(
    'SELECT writ.engage_stop($1::jsonb) AS answer',
    [JSON.stringify(argument)],
  )
  return row?.answer.id ?? ''
}

/** Ends every stop without a signature: only a superuser can. */
async function clear({ superuserUrl }: Ledger): Promise<void> {
  const admin = createPool({ connectionString: superuserUrl, applicationName: 'test', log: silent, max: 1 })
  await admin.query('SET session_replication_role = replica')
  await admin.query('DELETE FROM writ.stopped; DELETE FROM writ.stop_release; DELETE FROM writ.stop')
  await admin.end()
}

t.test("the broker's login cannot take a stop away, nor the owner without signatures", async (t) => {
  const { broker, owner } = ledger
  await engage(broker, 'agent', 'orders-coder')
  const denied = [
    'DELETE FROM writ.stopped',
    'DELETE FROM writ.stop',
    'UPDATE writ.stop SET released_at = now()',
    "UPDATE writ.stopped SET name = 'other'",
    "INSERT INTO writ.stop_release VALUES ('x', 'bob', '{bob}', now(), '{}')",
    'DELETE FROM writ.kill',
    'UPDATE writ.kill SET written_at = now()',
    'TRUNCATE writ.stopped',
    'DELETE FROM writ.pace',
    'ALTER TABLE writ.stopped DISABLE TRIGGER guard',
    "SELECT writ.ask_kill('arn:aws:iam::111122223333:role/x', 'role', '', now(), now(), now())",
  ]
  for (const sql of denied) await failsWith(t, broker.query(sql), '42501', sql)
  const guarded = [
    'DELETE FROM writ.stopped',
    "UPDATE writ.stopped SET name = 'other'",
    'TRUNCATE writ.stopped',
    'TRUNCATE writ.stop CASCADE',
    'DELETE FROM writ.stop',
    "UPDATE writ.stop SET cutoff = now() - interval '1 hour'",
    'UPDATE writ.stop SET approvals_needed = 1',
    "UPDATE writ.stop SET released_at = cutoff + interval '1 second', released_by = '{bob,carol}'",
    "UPDATE writ.stop SET kills = '{}'",
  ]
  for (const sql of guarded) await failsWith(t, owner.query(sql), 'WR001', `the owner: ${sql}`)
  const [stop] = await broker.query<{ on: string | null }>(
    "SELECT writ.stop_on('orders-coder', 'production', '111122223333', '{}') AS on",
  )
  t.ok(stop?.on)
  await clear(ledger)
})

t.test('under the head’s lock: what was decided on older facts ends here', async (t) => {
  const { broker, append } = ledger
  const [before, minting] = [newId(), newId()]
  const read = { role_arn: READ_ROLE, agent: 'report-bot', humans: ['aNN@example.com'] }
  const outcome = (issuance_id: string) =>
    ({
      op: 'outcome',
      issuance_id,
      state: 'issued',
      access_key_id: `ASIA${issuance_id}`,
      expires_at: '2999-01-01T00:00:00Z',
      humans: read.humans,
    }) as const
  await append(intentItem({ issuance_id: before, ...read }), outcome(before))
  await append(intentItem({ issuance_id: minting, ...read }))
  const waiting = requestArgument({ agent: 'report-bot', human: 'ann@example.com', human_how: 'verified' })
  await broker.query('SELECT writ.open_grant_request($1::jsonb)', [JSON.stringify(waiting)])

  for (const [kind, name] of [
    ['agent', 'report-bot'],
    ['human', 'Ann@Example.com'],
    ['environment', 'production'],
    ['account', '111122223333'],
    ['everything', ''],
  ] as const) {
    const id = await engage(broker, kind, name)
    t.equal(await engage(broker, kind, name), id, `${kind}: idempotent`)
    const stopped = { status: 'refused', code: 'agent_stopped', stop: id }
    t.match(await append(intentItem(read)), [stopped], `${kind}: an intent`)
    const delivery = {
      op: 'delivery',
      issuance_id: before,
      agent: 'report-bot',
      payload: {},
      humans: read.humans,
    } as const
    t.match(await append(delivery), [stopped], `${kind}: a delivery`)
    if (kind === 'agent') {
      t.match(await append(outcome(minting)), [stopped], 'what was being minted is recorded, and refused')
      const [row] = await broker.query('SELECT state FROM writ.issuance WHERE issuance_id = $1', [minting])
      t.match(row, { state: 'issued' })
    }
    const asked = requestArgument({ agent: 'report-bot', human: 'ann@example.com', human_how: 'verified' })
    await failsWith(
      t,
      broker.query('SELECT writ.open_grant_request($1::jsonb)', [JSON.stringify(asked)]),
      'WR012',
      `${kind}: a request`,
    )
    const signed = await ledger.sign(waiting, 'bob')
    await failsWith(
      t,
      broker.query('SELECT writ.decide_grant_request($1::jsonb)', [JSON.stringify(signed)]),
      'WR012',
      `${kind}: an approval before the request is withdrawn`,
    )
    const neighbour = intentItem({
      role_arn: 'arn:aws:iam::222233334444:role/writ/x',
      environment: 'development',
      agent: 'deploy-bot',
      humans: [],
    })
    if (kind !== 'everything') {
      await broker.query('SELECT writ.register_roles($1::jsonb)', [
        JSON.stringify([{ role_arn: neighbour.role_arn, environment: 'development', sensitivity: 'read' }]),
      ])
      t.match(await append(neighbour), [{ status: 'ok' }], `${kind}: the neighbour`)
    }
    if (kind !== 'everything') await clear(ledger)
  }
  const [n] = await broker.query<{ n: number }>('SELECT writ.withdraw_stopped() AS n')
  t.equal(n?.n, 1)
  await clear(ledger)
})

t.test('what is stopped, by a model', async (t) => {
  const { broker } = ledger
  const word = fc.constantFrom('ann', 'Ann', 'bo', 'x-1')
  const account = fc.constantFrom('111122223333', '222233334444')
  const kind = fc.constantFrom('agent', 'human', 'environment', 'account', 'everything')
  const one = fc.record({ kind, word, account }).map(({ kind, word, account }) => ({
    kind,
    name: kind === 'everything' ? '' : kind === 'account' ? account : word,
  }))
  const asked = fc.record({
    agent: word,
    environment: word,
    account,
    humans: fc.array(word, { maxLength: 2 }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(one, { maxLength: 3 }),
      fc.array(asked, { minLength: 1, maxLength: 6 }),
      async (stops, asks) => {
        for (const { kind, name } of stops) await engage(broker, kind, name, { names: [name] })
        const on = (kind: string, name: string) =>
          stops.some((stop) => stop.kind === kind && stop.name.toLowerCase() === name.toLowerCase())
        for (const { agent, environment, account, humans } of asks) {
          const [row] = await broker.query<{ stopped: boolean }>(
            'SELECT writ.stop_on($1, $2, $3, $4) IS NOT NULL AS stopped',
            [agent, environment, account, humans],
          )
          const model =
            on('everything', '') ||
            on('agent', agent) ||
            on('environment', environment) ||
            on('account', account) ||
            humans.some((human) => on('human', human))
          t.equal(row?.stopped, model)
        }
        await clear(ledger)
      },
    ),
    { numRuns: 15 },
  )
})
