import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { FAST } from '../support/postgres.js'
import type { Violence } from './killer.js'
import { torture } from './torture.js'

// Brokers start again and again, and CI's cores are slow.
t.setTimeout(115_000)

const compiled = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

/** In this order: a short run has some of each. */
const SHORT: Violence = {
  gapMs: [300, 900],
  strikes: ['stop broker', 'kill broker', 'kill postgres', 'kill backend', 'kill broker', 'stop broker'],
}

t.test(
  'three replicas, killed and stopped with their database: the record is what agents and AWS saw',
  async (t) => {
    const report = await torture({
      seed: 4711,
      replicas: 3,
      workers: 16,
      issuances: 1_200,
      compiled,
      postgres: FAST,
      violence: SHORT,
      say: () => undefined,
    })
    t.strictSame(report.findings.slice(0, 10), [])
    const { struck, figures } = report
    t.ok((figures['new sessions in hand'] ?? 0) >= 1_200)
    t.ok((struck.get('kill broker') ?? 0) >= 1 && (struck.get('kill postgres') ?? 0) === 1)
    t.ok((figures['checkpoints verified'] ?? 0) >= 2)
    t.ok((figures['uses of grants'] ?? 0) > 0)
  },
)
