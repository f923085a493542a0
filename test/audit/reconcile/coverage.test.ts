import t from 'tap'
import { ACCOUNT, call, ISSUANCE, kinds, mint, minute, reconcile } from './fixtures.js'

t.test('the same call, seen twice', async (t) => {
  const once = call()
  const again = reconcile([once, once])
  t.match(again, { verdict: 'clean', duplicates: 1 })
  t.equal(again.issuances[0]?.calls, 1)
  const shared = { sharedEventID: 'b1946ac9-2492-4d23-8f4a-6c2ee2EXAMPLE' }
  const both = reconcile([
    call(shared),
    call({ ...shared, recipientAccountId: '444455556666', userIdentity: foreign(ISSUANCE) }),
  ])
  t.equal(both.verdict, 'clean')
  t.equal(both.issuances[0]?.calls, 1, 'in the logs of two accounts')
})

t.test("in another account's log", async (t) => {
  const elsewhere = call({ recipientAccountId: '444455556666', userIdentity: foreign(ISSUANCE) })
  const joined = reconcile([elsewhere])
  t.equal(joined.verdict, 'clean')
  t.equal(joined.issuances[0]?.calls, 1)
  const unknown = call({ recipientAccountId: '444455556666', userIdentity: foreign('jane') })
  t.equal(reconcile([unknown]).verdict, 'clean', 'whose role it is nothing says')
  for (const order of [
    [unknown, call(), unknown],
    [mint(), unknown],
  ]) {
    t.strictSame(kinds(reconcile(order)), ['unrecorded_call'], 'another record says whose id it is')
  }
})

t.test('nothing to judge is not clean', async (t) => {
  t.equal(reconcile([]).verdict, 'unreadable')
  const since = Date.parse(minute(100))
  t.equal(reconcile([call()], { settings: { since } }).verdict, 'unreadable', 'all before the period')
  const until = reconcile([call(), call({ eventTime: minute(20) })], {
    settings: { until: Date.parse(minute(10)) },
  })
  t.match(until, { verdict: 'clean', outside_period: 1, records: 2 })
})

t.test('accounts whose logs are not there', async (t) => {
  t.strictSame(reconcile([mint()]).accounts_missing, [])
  const other = call({
    userIdentity: { type: 'Root', accountId: '444455556666' },
    recipientAccountId: '444455556666',
  })
  t.strictSame(reconcile([other]).accounts_missing, [ACCOUNT])
})

function foreign(session: string) {
  return { type: 'AWSAccount', principalId: `AROAEXAMPLEWRITREAD00:${session}`, accountId: ACCOUNT }
}
