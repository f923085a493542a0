import t from 'tap'
import { commandOnBroker } from './support.js'

t.test('writ revoke says what is so, and waits for the Deny', async (t) => {
  const { broker, operator } = await commandOnBroker(t)
  const wish = { environment: 'development', scopes: ['orders:read'], reason: 'a test' }
  const token = await broker.agentToken('orders-coder')
  const { body } = await broker.call('POST', '/v1/credentials', token, wish)
  const done = await operator('bob', ['revoke', body.issuance, '--reason', 'it is in a chat'])
  t.match(done, {
    code: 0,
    stdout: /Handed out: +no more\nDeny in IAM: +written .*Z\nIn effect: +presumed everywhere from .*Z\n/,
  })
  t.match(await operator('bob', ['revoke', body.issuance, '--reason', 'again', '--json']), {
    code: 0,
    json: { state: 'written', revoked_by: 'bob' },
  })
  t.match(await operator('bob', ['revoke', '000000000000', '--reason', 'x']), {
    code: 7,
    stderr: /no such issuance/,
  })
  t.match(await operator('bob', ['revoke', body.issuance]), { code: 2 })
})
