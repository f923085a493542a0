import { startChild } from './child.js'
import type { BrokerConfig } from './children/broker.js'
import { wish } from './intents.js'
import { cpuCells, type Round, rates, ratio, samplesOf, sendLoad } from './load.js'
import { median } from './measure.js'
import type { Cell, Result } from './result.js'
import type { Run } from './run.js'
import type { Stage } from './stage.js'

interface Case {
  readonly name: string
  /** The path of the floor that does the same kind of work. */
  readonly floor: '/mint' | '/record'
  readonly status: number
  /** What agent n sends; `%n%` differs in every request. */
  readonly body: (agent: number) => object
  readonly agents: readonly number[]
}

const casesOf = (smoke: boolean): readonly Case[] => [
  {
    name: 'mint',
    floor: '/mint',
    status: 200,
    body: (agent) => ({ ...wish(agent), session: '%n%' }),
    agents: smoke ? [1, 4] : [1, 50, 200],
  },
  { name: 'deliver again', floor: '/record', status: 200, body: wish, agents: smoke ? [4] : [50] },
  {
    name: 'deny',
    floor: '/record',
    status: 403,
    // Another scope each time: the same refusal soon after is only counted on the entry of the first.
    body: (agent) => ({ ...wish(agent), scopes: ['none:%n%'] }),
    agents: smoke ? [4] : [50],
  },
]

/** Fresh sessions, sessions handed out again, and refusals, over HTTP against a broker in its own process. */
export async function issuance({ pace, smoke, stage: open, say }: Run): Promise<Result> {
  const stage = await open()
  const broker = await startBroker(stage)
  const rows: Record<string, Cell>[] = []
  try {
    for (const one of casesOf(smoke)) {
      for (const agents of one.agents) {
        const bodies = stage.tokens.map((_, agent) => JSON.stringify(one.body(agent)))
        const send = (url: string, server: number, status: number) =>
          sendLoad(
            stage.load,
            { url, tokens: stage.tokens, bodies, workers: agents, pace, status },
            { server, ...stage.pids },
          )
        const rounds: Round[] = []
        const floorRounds: Round[] = []
        for (let round = 0; round <= pace.rounds; round++) {
          say(`issuance: ${one.name}, ${agents} agents, ${round === 0 ? 'warm-up' : `round ${round}`}`)
          const floor = await send(`${stage.floor.ready.url}${one.floor}`, stage.floor.pid, 200)
          const ours = await send(`${broker.ready.url}/v1/credentials`, broker.pid, one.status)
          if (round === 0) continue
          floorRounds.push(floor)
          rounds.push(ours)
        }
        rows.push(...compared(one.name, agents, floorRounds, rounds))
      }
    }
  } finally {
    await broker.stop()
  }
  return {
    name: 'issuance',
    title: 'Issuance: the whole way of a request',
    about:
      'Each agent has an ES256 token of its own and asks again as soon as it is answered. The floor of `mint` is a bare fastify route that verifies the token with jose, commits one row in a group commit and calls AssumeRole through client-sts; the floor of the others leaves AssumeRole out. CPU is of one request; its ratio leaves out the load.',
    rows,
  }
}

function startBroker({ dataDir, policies, brokerUrl, aws }: Stage) {
  const config: BrokerConfig = { dataDir, policies, databaseUrl: brokerUrl, aws }
  return startChild<{ url: string }>('children/broker.js', config)
}

function compared(
  name: string,
  agents: number,
  floor: readonly Round[],
  broker: readonly Round[],
): Record<string, Cell>[] {
  const cpu = median(broker.map((round, n) => cpuOf(round) / cpuOf(floor[n])))
  const row = (by: string, rounds: readonly Round[]) => ({
    case: name,
    agents,
    by,
    ...rates(samplesOf(rounds)),
    failed: rounds.reduce((sum, round) => sum + round.failed, 0),
    ...cpuCells(rounds),
  })
  return [
    { ...row('floor', floor), 'rate of floor': { ratio: 1 }, 'CPU of floor': { ratio: 1 } },
    {
      ...row('broker', broker),
      'rate of floor': ratio(samplesOf(broker), samplesOf(floor)),
      'CPU of floor': { ratio: cpu },
    },
  ]
}

/** Server, database and AWS together. */
function cpuOf(round: Round | undefined): number {
  return Object.entries(round?.cpu ?? {})
    .filter(([name]) => name !== 'load')
    .reduce((sum, [, ms]) => sum + ms, 0)
}
