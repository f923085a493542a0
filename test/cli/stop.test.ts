import t from 'tap'
import { ageStops } from '../support/stops.js'
import { commandOnBroker } from './support.js'

t.test('writ stop, writ stops, writ release', async (t) => {
  const { broker, operator, writ, agent } = await commandOnBroker(t)
  const stopped = await operator('bob', ['stop', 'agent', 'orders-coder', '--reason', 'it deletes tables'])
  t.match(stopped, {
    code: 0,
    stderr: /Blocked: nothing is issued or delivered to agent orders-coder/,
    stdout: /Issuance: +blocked\nDeny written: +yes, 8 of 8 at .*Z\nIn effect: +presumed from .*Z/,
  })
  const ask = ['credentials', '--env', 'development', '--scope', 'orders:read', '--reason', 'a test']
  t.match(await agent('orders-coder', ask), { code: 3, stderr: /stopped/i })
  t.match(await operator('bob', ['stop', 'agent', 'orders-codr', '--reason', 'x']), {
    code: 7,
    stderr: /Did you mean orders-coder\?/,
  })
  t.match(await operator('bob', ['stop', 'everything', 'prod', '--reason', 'x']), { code: 2 })
  t.match(await operator('bob', ['stop', 'agent', '--reason', 'x']), { code: 2 })
  t.match(await operator('bob', ['stop', 'team', 'orders', '--reason', 'x']), { code: 2 })
  t.match(await operator('bob', ['stops']), {
    code: 0,
    stdout: /agent orders-coder .*bob +blocked +deny written +0 of 2 +it deletes tables/,
  })

  const release = (as: string, ...more: string[]) =>
    writ(['release', 'agent', 'orders-coder', '--as', as, ...more])
  t.match(await release('bob', '--yes'), { code: 7, stderr: /can be released in \d+ seconds/ })
  await ageStops(broker.sql)
  t.match(await release('bob'), { code: 2 }, 'nothing to ask on')
  t.match(await release('bob', '--yes'), {
    code: 0,
    stderr: /To be signed, that this stop may end:[\s\S]*On: +agent orders-coder[\s\S]*As: +bob/,
    stdout: /Signed: 1 of 2/,
  })
  t.match(await release('bob', '--yes'), { code: 7, stderr: /one person counts once/ })
  t.match(await release('alice', '--yes'), { code: 0, stdout: /Released: agent orders-coder goes on/ })
  t.match(await release('alice', '--yes'), { code: 7, stderr: /There is no stop on agent orders-coder/ })
  t.match(await operator('bob', ['stops']), { stdout: /Nothing is stopped/ })
  t.match(await operator('bob', ['stops', '--all', '--json']), {
    json: { items: [{ name: 'orders-coder', signed_by: ['bob', 'alice'] }] },
  })
  t.equal((await agent('orders-coder', ask)).code, 0)
})
