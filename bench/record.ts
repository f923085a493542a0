import { createRecorder } from '../server/audit/recorder.js'
import { appendTo } from '../server/audit/store.js'
import { another, sampleIntent } from './intents.js'
import { rates, ratio } from './load.js'
import { closedLoop, type Sample } from './measure.js'
import { openPool, plainAppend, plainInsert } from './plain.js'
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
  const ways: Readonly<Record<string, () => Promise<unknown>>> = {
    'bare insert, one row a commit': () => plainInsert(plain, another(intent)),
    'bare insert, batched': () => plainRecorder.record(another(intent)),
    'writ.append, one item a commit': () => append([another(intent)]),
    'writ.append, batched (the recorder)': () => recorder.record(another(intent)),
  }
  const rows: Record<string, Cell>[] = []
  try {
    for (const writers of smoke ? [4] : [50, 200]) {
      const samples: Record<string, Sample[]> = {}
      for (let round = 1; round <= pace.rounds; round++) {
        for (const [way, call] of Object.entries(ways)) {
          say(`record: ${way}, ${writers} writers, round ${round}`)
          const list = samples[way] ?? []
          samples[way] = list
          list.push(await closedLoop(writers, pace, call))
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
      'The same item everywhere, an intent as the broker records it, on a pool of 20 connections. The floor inserts it as text into a table without index but its key, one row a commit; `writ.append` checks it, hashes it into the chain and fills two tables with their indexes.',
    rows,
  }
}
