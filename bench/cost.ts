import { startChild } from './child.js'
import type { BrokerConfig } from './children/broker.js'
import { wish } from './intents.js'
import { cpuCells, type Round, rates, ratio, samplesOf, sendLoad } from './load.js'
import type { Cell, Result } from './result.js'
import type { Run } from './run.js'

/** What the record costs an issuance: the same broker with its record, and with rows that nothing is asked of. */
export async function cost({ pace, smoke, stage: open, say }: Run): Promise<Result> {
  const stage = await open()
  const { dataDir, policies, brokerUrl, plainUrl, aws } = stage
  const config: BrokerConfig = { dataDir, policies, databaseUrl: brokerUrl, aws }
  const bare = await startChild<{ url: string }>('children/broker.js', { ...config, bareUrl: plainUrl })
  const full = await startChild<{ url: string }>('children/broker.js', config)
  const rows: Record<string, Cell>[] = []
  try {
    for (const agents of smoke ? [4] : [50, 200]) {
      const bodies = stage.tokens.map((_, agent) => JSON.stringify({ ...wish(agent), session: '%n%' }))
      const send = ({ ready, pid }: typeof bare) =>
        sendLoad(
          stage.load,
          {
            url: `${ready.url}/v1/credentials`,
            tokens: stage.tokens,
            bodies,
            workers: agents,
            pace,
            status: 200,
          },
          { server: pid, ...stage.pids },
        )
      const without: Round[] = []
      const whole: Round[] = []
      for (let round = 0; round <= pace.rounds; round++) {
        say(`cost: ${agents} agents, ${round === 0 ? 'warm-up' : `round ${round}`}`)
        const [floor, ours] = [await send(bare), await send(full)]
        if (round === 0) continue
        without.push(floor)
        whole.push(ours)
      }
      for (const [record, rounds] of [
        ['bare inserts, batched', without],
        ['the record', whole],
      ] as const) {
        rows.push({
          record,
          agents,
          ...rates(samplesOf(rounds)),
          ...cpuCells(rounds),
          'rate of bare': ratio(samplesOf(rounds), samplesOf(without)),
        })
      }
    }
  } finally {
    await bare.stop()
    await full.stop()
  }
  return {
    name: 'cost',
    title: 'Cost: what the record takes from an issuance',
    about:
      'Fresh sessions over HTTP from the whole broker, with its record, and with the same items inserted as text in the same group commits into a table without index: no checks, no hashes, no chain. CPU is of one issuance, which records twice.',
    rows,
  }
}
