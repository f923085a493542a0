import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { FAST } from '../support/postgres.js'
import { measureStalls } from './stall.js'

t.setTimeout(115_000)

t.test('while one of two replicas stands still, the other goes on answering', async (t) => {
  const { stopped } = await measureStalls({
    seed: 4711,
    replicas: 2,
    workers: 4,
    trials: 2,
    compiled: resolve(dirname(fileURLToPath(import.meta.url)), '../..'),
    postgres: FAST,
    say: () => undefined,
  })
  // No time is asserted: only that it did answer before the other went on.
  t.ok(stopped.fewest > 0)
  t.equal(stopped.failed, 0)
})
