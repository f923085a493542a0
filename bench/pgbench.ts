import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Pace, Sample } from './measure.js'

const run = promisify(execFile)

/** Version of the pgbench on the path; undefined without one. The embedded server comes without. */
export async function pgbenchVersion(): Promise<string | undefined> {
  try {
    return /\d+(\.\d+)*/.exec((await run('pgbench', ['--version'])).stdout)?.[0]
  } catch {
    return undefined
  }
}

/** PostgreSQL's own load generator, one row of so many bytes a commit into the table of the floors. */
export async function pgbenchInserts(
  url: string,
  clients: number,
  bytes: number,
  pace: Pace,
): Promise<Sample> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-bench-pgbench-'))
  try {
    const script = join(folder, 'insert.sql')
    await writeFile(script, "INSERT INTO plain_row (body) VALUES (repeat('x', :bytes));\n")
    const { hostname, port, username, password, pathname } = new URL(url)
    const seconds = Math.max(1, Math.round(pace.seconds))
    const where = ['-h', hostname, '-p', port, '-U', decodeURIComponent(username)]
    const how = ['-n', '-M', 'prepared', '-j', '1', '-c', String(clients), '-T', String(seconds)]
    const what = ['-f', script, '-D', `bytes=${bytes}`, '--log', `--log-prefix=${join(folder, 'log')}`]
    const env = { ...process.env, PGPASSWORD: decodeURIComponent(password) }
    const { stdout } = await run('pgbench', [...where, ...how, ...what, pathname.slice(1)], { env })
    const perSecond = Number(/tps = ([\d.]+)/.exec(stdout)?.[1])
    const logs = (await readdir(folder)).filter((name) => name.startsWith('log'))
    const lines = await Promise.all(logs.map((name) => readFile(join(folder, name), 'utf8')))
    // Its third field is the microseconds of a transaction.
    const latencies = lines.flatMap((text) =>
      text
        .trim()
        .split('\n')
        .map((line) => Number(line.split(' ')[2]) / 1000),
    )
    return { perSecond, latencies, calls: latencies.length }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
