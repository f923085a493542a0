import t from 'tap'
import { evaluate } from '../../server/policy/evaluate.js'
import { countedSize, DENY_POLICY, INLINE_LIMIT } from '../../server/revocation/deny-document.js'
import type { PolicyDocument } from '../../server/types.js'
import { allow, policy } from '../local-aws/support.js'
import { intentItem, READ_ROLE } from '../support/items.js'
import { asOwner, check, type Stage, stage } from './support.js'

const issuance = (n: number): string => n.toString(36).padStart(12, '0')

/** As many more sessions of the agent, intended and recorded, with nothing at AWS. */
async function recorded({ ledger }: Stage, count: number): Promise<readonly string[]> {
  const items = Array.from({ length: count }, (_, n) =>
    intentItem({ issuance_id: issuance(n), role_arn: READ_ROLE, scopes: ['orders:read'] }),
  )
  await ledger.append(...items)
  await ledger.append(
    ...items.map(({ issuance_id, not_after }) => ({
      op: 'outcome' as const,
      issuance_id,
      state: 'issued' as const,
      access_key_id: `ASIA${issuance_id}`,
      expires_at: not_after,
    })),
  )
  return items.map(({ issuance_id }) => issuance_id)
}

/** Whom the document leaves alive, by the evaluator that local AWS has. */
function living(denies: PolicyDocument | undefined, issuances: readonly string[]): readonly string[] {
  const identityPolicies = [policy(allow('s3:*')), ...(denies === undefined ? [] : [denies])]
  const issued = new Date().toISOString()
  return issuances.filter((one) => {
    const context = { 'aws:PrincipalTag/writ:issuance': [one], 'aws:TokenIssueTime': [issued] }
    return evaluate({ identityPolicies, action: 's3:GetObject', resource: 'arn:aws:s3:::orders/a', context })
      .allowed
  })
}

t.test('one of a thousand sessions, then all of them', async (t) => {
  const all = await stage(t)
  const { session, revoke, worker, alive, denies, clock, iam, aws } = all
  const others = await recorded(all, 996)
  const real = await Promise.all(Array.from({ length: 4 }, () => session()))
  const [victim] = real
  const everyone = [...others, ...real.map((one) => one.issuance)]
  await revoke(victim?.issuance ?? '')
  const one = worker()
  await one.idle()
  t.equal(living(await denies(), everyone).length, 999)
  t.strictSame(await Promise.all(real.map(alive)), [false, true, true, true])

  for (let from = 0; from < everyone.length; from += 50) {
    const argument = `jsonb_build_object('issuance_id', x, 'operator', 'bob', 'reason', 'a test')`
    const some = everyone.slice(from, from + 50)
    await asOwner(all, `SELECT writ.revoke_issuance(${argument}) FROM unnest($1::text[]) x`, some)
  }
  await one.idle()
  const text = (await iam.inlinePolicy(READ_ROLE, DENY_POLICY)) ?? ''
  const whole = text.length + countedSize((await iam.inlinePolicy(READ_ROLE, 'open')) ?? '')
  t.ok(whole <= INLINE_LIMIT, `${whole} characters`)
  t.strictSame(living(await denies(), everyone), [])
  t.strictSame(await Promise.all(real.map(alive)), [false, false, false, false])
  const kills = await all.kills()
  t.ok(kills.every(({ written }) => written))
  t.ok(
    kills.some(({ widened }) => widened),
    'it fell over to a cutoff',
  )
  t.ok((await all.entries('deny.written')).some(({ widened }) => widened === true))
  clock.ahead = 70
  const later = await session()
  t.equal(await alive(later), true, 'whoever comes after that cutoff lives')
  t.ok(
    aws.calls.every(
      ({ code }) =>
        code === undefined || code === 'AccessDenied' || code === 'NoSuchEntity' || code === 'LimitExceeded',
    ),
  )
})

t.test("somebody else's statements and policies survive, and there is room for little", async (t) => {
  const all = await stage(t)
  const { iam, worker, ask, denies } = all
  const theirs = { Sid: 'TheirOwn', Effect: 'Deny', Action: 's3:DeleteObject', Resource: '*' }
  const long = JSON.stringify(
    policy(allow('s3:GetObject', `arn:aws:s3:::${'x'.repeat(9_000)}`)),
    undefined,
    2,
  )
  await iam.putInlinePolicy(READ_ROLE, 'long', long)
  await iam.putInlinePolicy(
    READ_ROLE,
    DENY_POLICY,
    JSON.stringify({ Version: '2012-10-17', Statement: theirs }),
  )
  for (let n = 0; n < 120; n++) await ask('issuance', issuance(n), new Date(Date.now() - n * 1000))
  const one = worker()
  await one.idle()
  const { Statement = [] } = (await denies()) ?? {}
  t.same(
    Statement.map(({ Sid }) => Sid),
    ['TheirOwn', 'WritRole', 'WritIssuance'],
  )
  t.same(Statement[0], theirs)
  t.equal(await iam.inlinePolicy(READ_ROLE, 'long'), long)
  t.ok((await all.kills()).every(({ written }) => written))

  await iam.deleteInlinePolicy(READ_ROLE, 'open')
  const more = JSON.stringify(policy(allow('s3:GetObject', `arn:aws:s3:::${'x'.repeat(9_980)}`)))
  await asOwner(all, `UPDATE writ.kill SET ends = clock_timestamp() - interval '2 minutes'`)
  await one.idle()
  t.same((await denies())?.Statement, [theirs], 'pruned, but for what is not ours')
  t.equal((await all.entries('deny.removed')).length, 1)
  t.strictSame(await all.kills(), [])

  await iam.putInlinePolicy(READ_ROLE, 'long', more)
  await ask('agent', 'a')
  await one.idle()
  t.match(await all.kills(), [{ written: false }], 'no room, and no lie about it')
  t.match(await asOwner(all, 'SELECT last_error FROM writ.deny_role'), [{ last_error: 'deny_no_room' }])
  await iam.deleteInlinePolicy(READ_ROLE, 'long')
  await asOwner(all, `UPDATE writ.deny_role SET next_at = '-infinity'`)
  await one.idle()
  t.match(await all.kills(), [{ written: true }])
})

t.test('nothing of ours is left when all sessions have ended', async (t) => {
  const all = await stage(t)
  const { iam, worker, ask, denies } = all
  await ask('agent', 'a')
  await ask('agent', 'b')
  const one = worker()
  await one.idle()
  await asOwner(
    all,
    `UPDATE writ.kill SET ends = clock_timestamp() - interval '2 minutes' WHERE target = 'a'`,
  )
  await one.idle()
  t.match(await denies(), {
    Statement: [{ Condition: { StringEquals: { 'aws:PrincipalTag/writ:agent': 'b' } } }],
  })
  t.match(await all.entries('deny.removed'), [{ agent: 'a', kills: [{ kind: 'agent', target: 'a' }] }])
  // Asked for again just as it ends: it stays.
  await asOwner(all, `UPDATE writ.kill SET ends = clock_timestamp() - interval '2 minutes'`)
  await ask('agent', 'b', new Date(0))
  t.match(
    await all.kills(),
    [{ target: 'b', written: false }],
    'what may have been pruned is not called written',
  )
  await one.idle()
  t.match(await all.kills(), [{ target: 'b', written: true }])
  await asOwner(all, `UPDATE writ.kill SET ends = clock_timestamp() - interval '2 minutes'`)
  await one.idle()
  t.equal(await denies(), undefined)
  t.strictSame(await iam.inlinePolicies(READ_ROLE), ['open'])
  for (let n = 0; n < 3; n++) {
    await check(all)
    await one.idle()
  }
  t.strictSame(await asOwner(all, 'SELECT role_arn FROM writ.deny_role'), [], 'nor in the database')
})
