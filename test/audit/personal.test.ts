import t from 'tap'
import { commitment, readPersonal, seenFrom } from '../../server/audit/personal.js'

t.test('an address is a column only when it is one', async (t) => {
  const found = (ip: string) => seenFrom(ip).source_ip
  t.equal(found('192.0.2.1'), '192.0.2.1')
  t.equal(found('2001:db8::1'), '2001:db8::1')
  t.equal(found('fe80::1%eth0'), 'fe80::1', 'a zone is of this machine alone')
  t.equal(found('::ffff:192.0.2.1'), '192.0.2.1', 'as everybody writes it')
  t.equal(found('::FFFF:192.0.2.1'), '192.0.2.1')
  // What a proxy may pass on: it would fail the batch that it is in.
  for (const odd of [
    '',
    'unknown',
    '192.0.2.1:443',
    '[2001:db8::1]',
    '::ffff:1',
    '192.0.2.1, 192.0.2.2',
    "'",
  ]) {
    t.equal(found(odd), odd === '::ffff:1' ? '::ffff:1' : undefined, odd)
  }
})

t.test('what lies beside an entry is shown only as it was recorded', async (t) => {
  const personal = Buffer.from('{"reason": "a test"}')
  const [salt, other] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)]
  const body = { v: 2, personal: commitment(salt, personal).toString('hex') }
  t.strictSame(readPersonal(body, personal, salt), { state: 'shown', data: { reason: 'a test' } })
  t.strictSame(readPersonal(body, null, null), { state: 'erased', data: null })
  const altered = { state: 'altered', data: null }
  t.strictSame(readPersonal(body, Buffer.from('{"reason": "a  test"}'), salt), altered)
  t.strictSame(readPersonal(body, personal, other), altered)
  t.strictSame(readPersonal({ v: 2 }, personal, salt), altered, 'where the entry never had any')
  t.strictSame(readPersonal({ v: 2 }, null, null), { state: 'none', data: null })
  t.strictSame(readPersonal({ v: 1 }, personal, null), { state: 'shown', data: { reason: 'a test' } })
  t.strictSame(readPersonal({ v: 1 }, null, null), { state: 'none', data: null })
})
