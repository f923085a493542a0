import t from 'tap'
import type { PolicySet } from '../../server/types.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'
import { testDatabase } from '../support/postgres.js'
import { stop } from '../support/stops.js'

/** WRIT_STOP_TRIES=10000 for the whole of it. */
const TRIES = Number(process.env.WRIT_STOP_TRIES ?? 600)
const AT_ONCE = 50

const unlimited = (real: PolicySet): PolicySet => {
  const limits = {
    issuancesPerMinute: 1e6,
    liveSessions: 1e6,
    scopesPerHour: 1e6,
    denialsPerHour: 1e6,
  }
  const agents = [...real.agents.values()].map((agent) => ({
    ...agent,
    environments: new Map(
      [...agent.environments].map(([name, place]) => [name, { ...place, limits }] as const),
    ),
  }))
  return { ...real, agents: new Map(agents.map((agent) => [agent.name, agent])) }
}

t.test('three brokers: nothing leaves any of them once a stop is answered', async (t) => {
  const sql = await testDatabase(t)
  const brokers = await Promise.all(
    Array.from({ length: 3 }, () => startTestBroker(t, { sql, policySet: unlimited })),
  )
  const tokens = await Promise.all(brokers.map((broker) => broker.agentToken('orders-coder')))
  const neighbours = await Promise.all(brokers.map((broker) => broker.agentToken('report-bot')))
  let n = 0
  const ask = async (token: readonly string[]) => {
    const i = n++
    const at = i % brokers.length
    const broker = brokers[at] as TestBroker
    // One in two is for a session that is out already.
    const session = i % 2 === 0 ? `old${at}` : `new${i}`
    const wish = { environment: 'development', scopes: ['orders:read'], reason: 'a test', session }
    return broker.call('POST', '/v1/credentials', token[at], wish)
  }
  for (let i = 0; i < 12; i++) t.equal((await ask(tokens)).status, 200)

  let stopped = false
  const after = { got: 0, refused: 0, busy: 0, other: [] as unknown[] }
  const before = { got: 0 }
  let underWay: () => void = () => undefined
  const begun = new Promise<void>((resolve) => {
    underWay = resolve
  })
  const asker = async () => {
    while (after.got + after.refused < TRIES) {
      const late = stopped
      const answer = await ask(tokens)
      if (!late) {
        before.got += answer.status === 200 ? 1 : 0
        if (before.got === 60) underWay()
      } else if (answer.status === 200) after.got++
      else if (answer.body.code === 'agent_stopped') after.refused++
      // A machine that is busy with other tests: refused all the same.
      else if (answer.status === 503) after.busy++
      else after.other.push([answer.status, answer.body.code])
      if (after.other.length > 10) return
    }
  }
  const askers = Array.from({ length: AT_ONCE }, asker)
  await begun
  const engaged = await stop(brokers[0] as TestBroker, 'agent', 'orders-coder')
  stopped = true
  t.equal(engaged.status, 201)
  await Promise.all(askers)
  t.strictSame({ got: after.got, other: after.other }, { got: 0, other: [] }, `none of ${TRIES}`)
  t.ok(after.refused >= TRIES)
  for (const _ of brokers) t.equal((await ask(neighbours)).status, 200, 'the neighbour goes on everywhere')

  const [late] = await (brokers[0] as TestBroker).database.query<{ n: number }>(
    `SELECT count(*)::integer AS n FROM writ.entry WHERE agent = 'orders-coder' AND idx > $1
       AND kind IN ('issuance.intended', 'issuance.delivered')`,
    [engaged.body.index],
  )
  t.equal(late?.n, 0, 'nor does the record have one')
})
