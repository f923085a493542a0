import t from 'tap'
import { intentItem, READ_ROLE, WRITE_ROLE } from '../support/items.js'
import { stage } from './support.js'

t.test('one session dies, its neighbours live', async (t) => {
  const { session, revoke, worker, alive, kills, entries, aws, ledger } = await stage(t)
  const sessions = [await session(), await session(), await session('other')] as const
  const [victim, neighbour, other] = sessions
  t.strictSame(await Promise.all(sessions.map(alive)), [true, true, true])
  t.match(await revoke(victim.issuance), { status: 'ok', already: false, over: false })
  t.match(await revoke(victim.issuance), { status: 'ok', already: true })
  t.match(await revoke('000000000000'), { status: 'refused', code: 'not_found' })
  t.match(await kills(), [{ target: victim.issuance, written: false }], 'asked for, and no more claimed')
  await worker().idle()
  t.strictSame(await Promise.all(sessions.map(alive)), [false, true, true])
  t.match(await kills(), [{ target: victim.issuance, written: true, widened: false }])
  const [revoked, ...more] = await entries('issuance.revoked')
  t.match(revoked, {
    agent: 'orders-coder',
    issuance_id: victim.issuance,
    operator: 'bob',
    role_arn: READ_ROLE,
  })
  t.equal(more.length, 0)
  t.match(await entries('deny.written'), [
    {
      role_arn: READ_ROLE,
      agent: 'orders-coder',
      issuance_id: victim.issuance,
      kills: [{ kind: 'issuance', target: victim.issuance }],
      document_sha256: /^[0-9a-f]{64}$/,
    },
  ])
  const [verdict] = await ledger.append({
    op: 'delivery',
    issuance_id: victim.issuance,
    agent: 'orders-coder',
    payload: {},
  })
  t.match(verdict, { status: 'refused', code: 'session_over' }, 'nor is it handed out again')
  const [next] = await ledger.append({
    op: 'delivery',
    issuance_id: neighbour.issuance,
    agent: 'orders-coder',
    payload: {},
  })
  t.match(next, { status: 'ok' })
  t.equal(aws.calls.filter(({ action }) => action === 'iam:PutRolePolicy').length, 1)
  t.equal(await alive(other), true)
})

t.test('an agent dies on every role, and begins anew after the cutoff', async (t) => {
  const { session, ask, worker, alive, clock, denies } = await stage(t)
  const before = [await session('a', READ_ROLE), await session('a', READ_ROLE), await session('b', READ_ROLE)]
  const cutoff = new Date(Date.now() + 60_000)
  await ask('agent', 'a', cutoff, READ_ROLE)
  await ask('agent', 'a', cutoff, WRITE_ROLE)
  await worker().idle()
  t.strictSame(await Promise.all(before.map(alive)), [false, false, true])
  t.ok(await denies(WRITE_ROLE), 'also where no session is known of')
  clock.ahead = 62
  t.equal(await alive(await session('a', READ_ROLE)), true)
})

t.test('revoking a grant kills the sessions on it, and no others', async (t) => {
  const { ledger, worker, kills, entries, session } = await stage(t)
  const grant = await ledger.grant({ max_uses: 3 })
  const [first, second] = [intentItem({ grant_id: grant }), intentItem({ grant_id: grant })]
  await ledger.append(first, second)
  await session()
  await ledger.broker.query('SELECT writ.revoke_grant($1, $2, $3)', [grant, 'bob', 'enough'])
  const both = [first.issuance_id, second.issuance_id]
  t.strictSame(
    (await kills()).map(({ target }) => target),
    both,
  )
  t.match(
    await entries('issuance.revoked'),
    both.map((issuance_id) => ({ issuance_id, grant_id: grant, cause: 'grant' })),
  )
  const verdicts = await ledger.append({
    op: 'outcome',
    issuance_id: first.issuance_id,
    state: 'issued',
    access_key_id: 'ASIATOOLATE',
    expires_at: first.not_after,
  })
  t.match(
    verdicts,
    [{ status: 'refused', code: 'grant_revoked' }],
    'what AWS minted meanwhile reaches nobody',
  )
  await worker().idle()
  t.ok((await kills()).every(({ written }) => written))
  t.match(await entries('deny.written'), [{ grant_id: grant, kills: [{}, {}], role_arn: WRITE_ROLE }])
})

t.test('revoked while AWS is minting, told twice', async (t) => {
  const { ledger, revoke } = await stage(t)
  const intent = intentItem({ role_arn: READ_ROLE, scopes: ['orders:read'] })
  await ledger.append(intent)
  await revoke(intent.issuance_id)
  const outcome = {
    op: 'outcome',
    issuance_id: intent.issuance_id,
    state: 'issued',
    access_key_id: 'ASIALATE',
    expires_at: intent.not_after,
  } as const
  t.match(await ledger.append(outcome), [{ status: 'refused', code: 'session_over' }])
  t.match(
    await ledger.append(outcome),
    [{ status: 'refused', code: 'session_over' }],
    'again, after a lost answer',
  )
})
