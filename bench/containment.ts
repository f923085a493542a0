import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { startChild } from './child.js'
import type { BrokerConfig } from './children/broker.js'
import { LATENCY_MS, openPlace, type Place } from './containment-place.js'
import { type StopTimes, timeStops } from './containment-stops.js'
import { wish } from './intents.js'
import { type Round, rates, ratio, samplesOf, sendLoad } from './load.js'
import { quantile } from './measure.js'
import type { Cell, Result } from './result.js'
import type { Run } from './run.js'
import type { Stage } from './stage.js'

/** How soon a stop holds, in the broker, in IAM, and for a session that is out; and what many of them cost the others. */
export async function containment(run: Run): Promise<Result> {
  const stage = await run.stage()
  const contained = run.smoke ? { stops: 5, sessions: 20 } : { stops: 1_000, sessions: 10_000 }
  run.say(`containment: ${contained.stops} stops, ${contained.sessions} live sessions`)
  const place = await openPlace(stage.policySet, contained)
  try {
    const cost = await loaded(run, stage, place)
    run.say('containment: stops')
    const stops = await timeStops(place, stage.policySet, run.smoke ? 2 : 50)
    return {
      name: 'containment',
      title: 'Containment: how soon a stop holds, and what stops cost',
      about: `Stops of agents with six roles each, one after the other, while four callers have a live session of the agent handed out again without a pause, and one calls S3 with it without a pause. Every call to local AWS takes ${LATENCY_MS} ms. Times begin when the stop is asked for; that of the Deny is from the stop to the last of the six roles, read back, by the database's clock. A session that is handed out after the answer ends the benchmark. Below, fresh sessions and refusals over HTTP from a broker whose database has ${contained.stops.toLocaleString('en')} engaged stops and ${contained.sessions.toLocaleString('en')} live sessions, from one that has none, and from the floor of the issuance benchmark.`,
      rows: [...timed(stops), ...cost],
    }
  } finally {
    await place.close()
  }
}

const WHAT = {
  answered: 'stop answered',
  delivered: 'last session handed out',
  written: 'Deny written to six roles',
  refused: 'session refused by AWS',
} as const satisfies Record<keyof StopTimes, string>

const timed = (stops: readonly StopTimes[]): Record<string, Cell>[] =>
  (Object.keys(WHAT) as (keyof StopTimes)[]).map((name) => {
    const times = stops.map((one) => one[name])
    return { what: WHAT[name], 'p50 ms': quantile(times, 0.5), 'p99 ms': quantile(times, 0.99) }
  })

async function loaded(run: Run, stage: Stage, { emptyUrl, fullUrl }: Place): Promise<Record<string, Cell>[]> {
  const { policies, aws } = stage
  // A folder each, since each publishes a log of its own; the issuer of everybody's tokens in both.
  const broker = async (name: string, databaseUrl: string) => {
    const dataDir = join(stage.dataDir, name)
    await mkdir(dataDir)
    await copyFile(join(stage.dataDir, 'local-issuer.json'), join(dataDir, 'local-issuer.json'))
    const config: BrokerConfig = { dataDir, policies, databaseUrl, aws }
    return await startChild<{ url: string }>('children/broker.js', config)
  }
  const [empty, full] = await Promise.all([broker('empty', emptyUrl), broker('full', fullUrl)])
  const workers = run.smoke ? 4 : 50
  const rows: Record<string, Cell>[] = []
  try {
    for (const { what, floor, status, body } of run.smoke ? CASES.slice(0, 1) : CASES) {
      const bodies = stage.tokens.map((_, agent) => JSON.stringify(body(agent)))
      const send = (url: string, pid: number, wanted: number) =>
        sendLoad(
          stage.load,
          { url, tokens: stage.tokens, bodies, workers, pace: run.pace, status: wanted },
          { server: pid },
        )
      const rounds: Record<'floor' | 'none' | 'many', Round[]> = { floor: [], none: [], many: [] }
      for (let round = 0; round <= run.pace.rounds; round++) {
        run.say(`containment: ${what}, ${round === 0 ? 'warm-up' : `round ${round}`}`)
        const [bare, none, many] = [
          await send(`${stage.floor.ready.url}${floor}`, stage.floor.pid, 200),
          await send(`${empty.ready.url}/v1/credentials`, empty.pid, status),
          await send(`${full.ready.url}/v1/credentials`, full.pid, status),
        ]
        // The first warms up.
        if (round === 0) continue
        rounds.floor.push(bare)
        rounds.none.push(none)
        rounds.many.push(many)
      }
      const none = samplesOf(rounds.none)
      for (const [name, of] of [
        ['floor', rounds.floor],
        ['no stops', rounds.none],
        ['stops and sessions', rounds.many],
      ] as const) {
        const samples = samplesOf(of)
        rows.push({ what: `${what}, ${name}`, ...rates(samples), 'rate of no stops': ratio(samples, none) })
      }
    }
  } finally {
    await empty.stop()
    await full.stop()
  }
  return rows
}

const CASES = [
  {
    what: 'mint',
    floor: '/mint',
    status: 200,
    body: (agent: number) => ({ ...wish(agent), session: '%n%' }),
  },
  {
    what: 'deny',
    floor: '/record',
    status: 403,
    body: (agent: number) => ({ ...wish(agent), scopes: ['none:%n%'] }),
  },
] as const
