import { createRecorder } from '../server/audit/recorder.js'
import { appendTo } from '../server/audit/store.js'
import { another, sampleIntent } from './intents.js'
import { rates, ratio } from './load.js'
import { closedLoop, type Sample } from './measure.js'
import { openPool, plainInsert } from './plain.js'
import type { Cell, Result } from './result.js'
import type { Run } from './run.js'

/** Whether recording an intent gets slower as the record gets longer. */
export async function append(run: Run): Promise<Result> {
  const { pace, smoke, say } = run
  const { policySet } = await run.stage()
  const { intent } = sampleIntent(policySet)
  const sizes = [
    ...new Set(smoke ? [1_000, run.entries] : [1_000, Math.min(1_000_000, run.entries), run.entries]),
  ]
  const places = []
  for (const entries of sizes) {
    const kept = await run.kept(entries)
    const writ = openPool(kept.brokerUrl)
    const plain = openPool(kept.plainUrl)
    const { record } = createRecorder(appendTo(writ))
    places.push({
      entries,
      record: () => record(another(intent)),
      insert: () => plainInsert(plain, another(intent)),
      close: () => Promise.all([writ.end(), plain.end()]),
    })
  }
  const rows: Record<string, Cell>[] = []
  try {
    for (const writers of smoke ? [1, 4] : [1, 50]) {
      const samples = places.map(() => ({ record: [] as Sample[], insert: [] as Sample[] }))
      for (let round = 1; round <= pace.rounds; round++) {
        for (const [n, place] of places.entries()) {
          say(`append: ${place.entries.toLocaleString('en')} present, ${writers} writers, round ${round}`)
          samples[n]?.insert.push(await closedLoop(writers, pace, place.insert))
          samples[n]?.record.push(await closedLoop(writers, pace, place.record))
        }
      }
      const [shortest] = samples
      for (const [n, { entries }] of places.entries()) {
        const { record = [], insert = [] } = samples[n] ?? {}
        rows.push({
          writers,
          present: entries,
          ...rates(record),
          'of a bare insert': ratio(record, insert),
          'rate of the shortest': ratio(record, shortest?.record ?? []),
        })
      }
    }
  } finally {
    for (const place of places) await place.close()
  }
  return {
    name: 'append',
    title: 'Append: does a long record cost more?',
    about:
      'An intent recorded through the recorder, with so many entries present on a server each, in rounds that take turns. The floor is a bare insert of one row a commit on the same server.',
    rows,
  }
}
