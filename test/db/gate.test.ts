import t from 'tap'
import { createPool } from '../../server/db/pool.js'
import { newId } from '../../server/issuance/id.js'
import { failsWith } from '../support/fails.js'
import { intentItem, READ_ROLE, requestArgument, WRITE_ROLE } from '../support/items.js'
import { testLedger } from '../support/ledger.js'
import { silent } from '../support/postgres.js'

t.test('the append function refuses what the decision should have refused', async (t) => {
  const ledger = await testLedger(t)
  const refusal = async (change: Parameters<typeof intentItem>[0]) => {
    const [verdict] = await ledger.append(intentItem(change))
    return verdict?.status === 'refused' ? verdict.code : verdict?.status
  }

  t.equal(await refusal({}), 'grant_required', 'a production write without a grant')
  t.equal(await refusal({ grant_id: newId() }), 'grant_required', 'a grant that does not exist')
  t.equal(await refusal({ role_arn: READ_ROLE }), 'ok', 'reading needs none')

  const grant = await ledger.grant({ max_uses: 100 })
  t.equal(await refusal({ grant_id: grant, agent: 'report-bot' }), 'grant_required', 'for another agent')
  t.equal(await refusal({ grant_id: grant, scopes: ['orders:purge'] }), 'grant_required', 'for other scopes')
  t.equal(await refusal({ grant_id: grant, role_arn: READ_ROLE }), 'grant_required', 'for another role')
  t.equal(await refusal({ grant_id: grant, policy_digest: 'sha256:other' }), 'grant_stale', 'another policy')
  t.equal(await refusal({ grant_id: grant, permissions_sha256: 'other' }), 'grant_stale', 'other permissions')
  const late = new Date(Date.now() + 7_200_000).toISOString()
  t.equal(
    await refusal({ grant_id: grant, not_after: late }),
    'grant_expired',
    'a session longer than the grant',
  )
  t.equal(await refusal({ grant_id: grant }), 'ok', 'and the right one passes')

  await ledger.broker.query("SELECT writ.revoke_grant($1, 'bob', 'enough')", [grant])
  t.equal(await refusal({ grant_id: grant }), 'grant_revoked')

  const soon = await ledger.grant({ not_before: new Date(Date.now() + 60_000).toISOString() })
  t.equal(await refusal({ grant_id: soon }), 'grant_not_yet_valid')

  const once = await ledger.grant()
  t.equal(await refusal({ grant_id: once }), 'ok')
  t.equal(await refusal({ grant_id: once }), 'grant_used_up')

  const denied = await ledger.broker.query("SELECT code FROM writ.entry WHERE kind = 'issuance.denied'")
  t.ok(denied.length >= 9, 'and every refusal is in the log')
})

t.test('the owner of the tables cannot get round the constraints by inserting', async (t) => {
  const { owner, grant, append, broker } = await testLedger(t)
  const live = await grant({ max_uses: 2 })
  const insert = (change: Record<string, unknown>) => {
    const row: Record<string, unknown> = {
      issuance_id: newId(),
      entry_idx: Math.floor(Math.random() * 1e12),
      at: new Date(),
      agent: 'orders-coder',
      environment: 'production',
      role_arn: WRITE_ROLE,
      sensitivity: 'production-write',
      scopes: ['orders:write'],
      policy_digest: 'sha256:policy',
      permissions_sha256: 'permissions',
      not_after: new Date(Date.now() + 600_000),
      payload_sha256: Buffer.alloc(32),
      ...change,
    }
    const names = Object.keys(row)
    return owner.query(
      `INSERT INTO writ.intent (${names.join(', ')}) VALUES (${names.map((_, i) => `$${i + 1}`).join(', ')})`,
      Object.values(row),
    )
  }
  const [{ expires_at: expires } = { expires_at: new Date() }] = await owner.query<{ expires_at: string }>(
    'SELECT expires_at::text FROM writ.grants WHERE id = $1',
    [live],
  )
  const used = { grant_id: live, grant_use: 1, grant_max: 2, grant_expires: expires }
  await owner.query('INSERT INTO writ.grant_use VALUES ($1, 1, $2), ($1, 2, $3)', [live, newId(), newId()])

  const refused = (change: Record<string, unknown>, sqlState: string, why: string) =>
    failsWith(t, insert(change), sqlState, why)
  await refused({}, '23514', 'no grant')
  await refused({ sensitivity: 'read' }, '23503', 'a production role labelled read')
  await refused({ ...used, agent: 'report-bot' }, '23503', "another agent's grant")
  await refused({ ...used, scopes: ['orders:purge'] }, '23503', 'other scopes')
  await refused({ ...used, policy_digest: 'x' }, '23503', 'another policy')
  await refused({ ...used, grant_max: 9 }, '23503', 'a forged maximum')
  await refused({ ...used, grant_use: 3 }, '23514', 'a third use of two')
  await refused({ ...used, grant_expires: null }, '23514', 'a NULL that makes the key match nothing')
  await refused({ ...used, grant_expires: '2999-01-01' }, '23503', 'a forged end')
  await refused(
    { ...used, not_after: new Date(Date.now() + 9e6) },
    '23514',
    'a session longer than the grant',
  )
  await insert(used)
  await refused(used, '23505', 'a slot used twice')
  await broker.query("SELECT writ.revoke_grant($1, 'bob', 'enough')", [live])
  await refused({ ...used, grant_use: 2 }, 'WR005', 'a revoked grant')

  for (const table of ['entry', 'intent', 'grant_use', 'grant_decision', 'role_catalog', 'log_batch']) {
    await append(intentItem({ role_arn: READ_ROLE }))
    await failsWith(t, owner.query(`DELETE FROM writ.${table}`), 'WR001', `delete from ${table}`)
    await failsWith(t, owner.query(`TRUNCATE writ.${table} CASCADE`), 'WR001', `truncate ${table}`)
  }
  await failsWith(t, owner.query("UPDATE writ.entry SET kind = 'x'"), 'WR001')
  await failsWith(t, owner.query('UPDATE writ.grants SET max_uses = 100'), 'WR001', 'a widened grant')
  await failsWith(
    t,
    owner.query('UPDATE writ.grants SET revoked_at = NULL, revoked_by = NULL'),
    'WR001',
    'a revocation undone',
  )
})

t.test('a grant comes only out of enough different, unbarred approvers', async (t) => {
  const { owner, broker, sign } = await testLedger(t)
  const call = async (name: string, argument: object) => {
    const rows = await broker.query<{ answer: Record<string, unknown> }>(
      `SELECT writ.${name}($1::jsonb) AS answer`,
      [JSON.stringify(argument)],
    )
    return rows[0]?.answer ?? {}
  }
  const open = async (change: Record<string, unknown>) => {
    const asked = requestArgument({ limit_pending: false, ...change })
    await call('open_grant_request', asked)
    return asked
  }
  const decide = async (asked: Record<string, unknown>, operator: string, change = {}) =>
    call('decide_grant_request', await sign(asked, operator, change))

  const two = await open({ approvals_needed: 2 })
  t.match(await decide(two, 'bob'), { state: 'pending', approvals: 1 })
  t.match(
    await decide(two, 'bob'),
    { status: 'refused', code: 'already_decided' },
    'the same person with two keys',
  )
  t.match(await decide(two, 'dora'), { state: 'granted', approvals: 2 })

  const owned = await open({ barred_teams: ['orders'], barred_humans: ['erin@example.com'] })
  t.match(await decide(owned, 'alice', { operator_teams: ['orders'] }), { code: 'approver_is_owner' })
  t.match(await decide(owned, 'erin', { operator_names: ['erin', 'erin@example.com'] }), {
    code: 'approver_is_beneficiary',
  })
  t.match(
    await decide(owned, 'bob', { policy_digest: 'other' }),
    { code: 'grant_stale' },
    'not what was shown',
  )
  t.match(await decide(owned, 'bob', { decision: 'deny' }), { state: 'denied' })
  t.match(await decide(owned, 'dora'), { code: 'request_closed' }, 'one deny ends it')

  await failsWith(
    t,
    owner.query(
      `INSERT INTO writ.grant_decision (request_id, operator, decision, at, proof_kind, proof, operator_names, operator_teams)
       VALUES ($1, 'mallory', 'approve', now(), 'fresh-token', '{}', '{mallory}', '{}')`,
      [owned.id],
    ),
    'WR002',
    'deciding on a closed request past the function',
  )
  const barred = await open({ barred_teams: ['orders'] })
  await failsWith(
    t,
    owner.query(
      `INSERT INTO writ.grant_decision (request_id, operator, decision, at, proof_kind, proof, operator_names, operator_teams)
       VALUES ($1, 'alice', 'approve', now(), 'fresh-token', '{}', '{alice}', '{orders}')`,
      [barred.id],
    ),
    'WR003',
    "the owner's approval past the function",
  )
  await failsWith(
    t,
    owner.query(
      `INSERT INTO writ.grants (id, request_id, created_at, agent, environment, role_arn, scopes, policy_digest,
         permissions_sha256, max_uses, not_before, expires_at, max_session_seconds, approved_by)
       SELECT $2, id, now(), agent, environment, role_arn, scopes, policy_digest, permissions_sha256, max_uses, now(),
         now() + interval '1 minute', max_session_seconds, '{bob}' FROM writ.grant_request WHERE id = $1`,
      [barred.id, newId()],
    ),
    'WR004',
    'a grant without an approval',
  )

  for (let i = 0; i < 3; i++) await call('open_grant_request', requestArgument())
  t.match(
    await call('open_grant_request', requestArgument()),
    { code: 'grant_requests_pending' },
    'a fourth pending',
  )
})

t.test('an approval that waits for the log past the end of its request is refused as closed', async (t) => {
  const { broker, superuserUrl, sign } = await testLedger(t)
  const asked = requestArgument({ pending_seconds: 1 })
  await broker.query('SELECT writ.open_grant_request($1::jsonb)', [JSON.stringify(asked)])
  const signed = await sign(asked, 'bob')
  const admin = createPool({ connectionString: superuserUrl, applicationName: 'test', log: silent, max: 2 })
  t.teardown(() => admin.end())
  const is = async (sql: string) =>
    (await admin.query<{ yes: boolean }>(`SELECT ${sql} AS yes`))[0]?.yes === true
  const decided = await admin.transaction(async (client) => {
    await client.query('SELECT FROM writ.log_head FOR UPDATE')
    const waiting = broker.query<{ answer: object }>(
      'SELECT writ.decide_grant_request($1::jsonb) AS answer',
      [JSON.stringify(signed)],
    )
    while (!(await is('EXISTS (SELECT FROM pg_catalog.pg_locks WHERE NOT granted)')));
    while (!(await is('(SELECT bool_and(expires_at < clock_timestamp()) FROM writ.grant_request)')));
    return { waiting }
  })
  t.match(await decided.waiting, [{ answer: { status: 'refused', code: 'request_closed' } }])
  t.strictSame(await broker.query('SELECT FROM writ.grant_decision'), [])
})
