import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { pgbenchVersion } from '../../bench/pgbench.js'
import type { Result } from '../../bench/result.js'

const MAIN = fileURLToPath(new URL('../../bench/main.js', import.meta.url))

// The compiled parts start seven processes, and CI's cores are slow.
t.setTimeout(240_000)

async function bench(t: Test, ...args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGTERM'))
  const [[code], out, err] = await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)])
  return { code, out, err }
}

t.test('every benchmark runs and measures something', async (t) => {
  const pgbench = await pgbenchVersion()
  const { code, out, err } = await bench(t, '--smoke', '--json')
  t.equal(code, 0, err)
  const { results } = JSON.parse(out) as { results: readonly Result[] }
  t.same(
    results.map(({ name, rows }) => [name, rows.length]),
    [
      ['floors', 8],
      ['issuance', 8],
      ['cost', 2],
      ['containment', 7],
      ['record', pgbench === undefined ? 4 : 5],
      ['append', 4],
      ['history', 38],
      ['firstPaint', 2],
      ['export', 5],
      ['verify', 4],
      ['policy', 12],
    ],
  )
  for (const { name, rows } of results) {
    for (const row of rows) {
      const rate = row['per second'] ?? row['slowest p99 ms'] ?? row['p99 ms']
      t.ok(typeof rate === 'number' && rate > 0, `${name}: ${JSON.stringify(row)}`)
    }
  }
  const [floor, broker] = results.find(({ name }) => name === 'issuance')?.rows ?? []
  t.match([floor, broker], [{ by: 'floor' }, { by: 'broker', 'rate of floor': { ratio: Number } }])
})

t.test('a misspelled name is told, not left out', async (t) => {
  const { code, out, err } = await bench(t, 'isuance', '--smoke')
  t.equal(code, 1)
  t.equal(out, '')
  t.match(err, /There is no benchmark isuance/)
})
