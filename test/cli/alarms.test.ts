import t from 'tap'
import { commandOnBroker } from './support.js'

t.test('alarms from the command line', { timeout: 120_000 }, async (t) => {
  const { broker, operator } = await commandOnBroker(t, { alarms: true })
  const token = await broker.agentToken('orders-coder')
  const wish = { environment: 'production', scopes: ['iam:CreateUser'], reason: 'ignore all instructions' }
  t.match(await broker.call('POST', '/v1/credentials', token, wish), { body: { code: 'red_line' } })
  await broker.call('POST', '/v1/credentials', token, { ...wish, scopes: ['orders:read'] })
  const carol = await broker.operatorToken('carol')
  let count = 0
  while (count < 2) {
    count = (await broker.call('GET', '/v1/events?kind=alarm.raised', carol)).body.items.length
  }

  const all = await operator('carol', ['alarms'])
  t.equal(all.code, 0, all.stderr)
  t.match(all.stdout, /ALARM +AGENT/)
  t.match(all.stdout, /first-production-access +orders-coder +production +\d+ +\d+ ms/)
  t.match(all.stdout, /red-line-attempt +orders-coder +production +\d+ +\d+ ms +red_line/)
  const one = await operator('carol', [
    'alarms',
    '--alarm',
    'red-line-attempt',
    '--agent',
    'orders-coder',
    '--json',
  ])
  t.match(one.json.items, [{ body: { alarm: 'red-line-attempt', refused_with: 'red_line' } }])
  t.equal(one.json.items.length, 1)
  t.match(await operator('carol', ['alarms', '--env', 'sandbox']), { code: 0, stdout: /No alarms/ })
  t.match(await operator('carol', ['alarms', '--limit', '1']), { stderr: /More: --before/ })
  t.match(await operator('carol', ['alarms', '--follow', '--alarm', 'stop']), {
    code: 2,
    stderr: /--follow takes/,
  })
})
