import { createRecorder } from '../server/audit/recorder.js'
import { appendTo } from '../server/audit/store.js'
import { another, sampleIntent } from './intents.js'
import { rates, ratio } from './load.js'
import { closedLoop, type Sample } from './measure.js'
import { pgbenchInserts, pgbenchVersion } from './pgbench.js'
import { openPool, POOL, plainAppend, plainInsert } from './plain.js'
import type { Cell, Result } from './result.js'
import type { Run } from './run.js'

/** What it costs to record an intent, and what group commit is worth. */
export async function record({ pace, smoke, stage: open, say }: Run): Promise<Result> {
  const stage = await open()
  const { intent } = sampleIntent(stage.policySet)
  const plain = openPool(stage.plainUrl)
  const writ = openPool(stage.brokerUrl)
  const append = appendTo(writ)
  const plainRecorder = createRecorder(plainAppend(plain))
  const recorder = createRecorder(append)
  const version = await pgbenchVersion()
  const bytes = JSON.stringify(intent).length
  const calling = (call: () => Promise<unknown>) => (writers: number) => closedLoop(writers, pace, call)
  const ways: Readonly<Record<string, (writers: number) => Promise<Sample>>> = {
    'bare insert, one row a commit': calling(() => plainInsert(plain, another(intent))),
    ...(version === undefined
      ? {}
      : {
          [`pgbench ${version}, one row a commit`]: (writers) =>
            pgbenchInserts(stage.plainUrl, Math.min(writers, POOL), bytes, pace),
        }),
    'bare insert, batched': calling(() => plainRecorder.record(another(intent))),
    'writ.append, one item a commit': calling(() => append([another(intent)])),
    'writ.append, batched (the recorder)': calling(() => recorder.record(another(intent))),
  }
  const rows: Record<string, Cell>[] = []
  try {
    for (const writers of smoke ? [4] : [50, 200]) {
      const samples: Record<string, Sample[]> = {}
      for (let round = 1; round <= pace.rounds; round++) {
        for (const [way, measure] of Object.entries(ways)) {
          say(`record: ${way}, ${writers} writers, round ${round}`)
          const list = samples[way] ?? []
          samples[way] = list
          list.push(await measure(writers))
        }
      }
      const [floor = []] = Object.values(samples)
      for (const [way, list] of Object.entries(samples)) {
        rows.push({ way, writers, ...rates(list), 'of floor': ratio(list, floor) })
      }
    }
  } finally {
    await plain.end()
    await writ.end()
  }
  return {
    name: 'record',
    title: 'Record: rows durable per second',
    about:
      'The same item everywhere, an intent as the broker records it, on a pool of 20 connections. The floor inserts it as text into a table without index but its key, one row a commit; pgbench, where it is installed, does the same from C with a client for each connection and a row of the same size; `writ.append` checks it, hashes it into the chain and fills two tables with their indexes.',
    rows,
  }
}
