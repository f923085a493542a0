import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { isAlive } from '../../server/db/embedded-process.js'
import { ensureRunning, freePort, shutDown } from '../../server/db/embedded-server.js'
import { ask, child, copiedFolder, emptyFolder, start, usedFolder } from './embedded-setup.js'

const CREATE = 'SET ROLE writ_owner; CREATE SCHEMA kept'
const FIND = "SELECT 1 AS kept FROM pg_namespace WHERE nspname = 'kept'"
const KEPT = [{ kept: 1 }]

/** Somebody else's process, of the user whom the data folder belongs to. */
async function stranger(t: { teardown(work: () => unknown): unknown }, dataDir: string): Promise<number> {
  const { uid, gid } = await stat(join(dataDir, 'postgres'))
  const sleep = spawn('sleep', ['600'], { uid, gid, stdio: 'ignore' })
  t.teardown(() => sleep.kill('SIGKILL'))
  return sleep.pid ?? 0
}

t.test('a pid file that names a live process of somebody else', async (t) => {
  const dataDir = await usedFolder()
  const first = await start(dataDir)
  const file = join(first.dataFolder, 'postmaster.pid')
  const lines = (await readFile(file, 'utf8')).split('\n')
  await first.stop()
  const pid = await stranger(t, dataDir)
  await writeFile(file, [pid, ...lines.slice(1)].join('\n'))
  const second = await start(dataDir)
  t.teardown(() => second.stop())
  t.not(second.pid, pid)
  t.ok(isAlive(pid), 'which is left alone')
})

t.test('a pid file of a dead process', async (t) => {
  const dataDir = await usedFolder()
  const first = await start(dataDir)
  const file = join(first.dataFolder, 'postmaster.pid')
  const text = await readFile(file, 'utf8')
  await first.stop()
  await writeFile(file, text)
  const second = await start(dataDir)
  await second.stop()
  t.not(second.pid, first.pid)
})

t.test('killed in the middle of the first start', async (t) => {
  const dataDir = await emptyFolder(t)
  const broker = child(t, [dataDir])
  const unfinished = (): boolean => readdirSync(dataDir).some((name) => name.includes('postgres.new-'))
  while (!unfinished()) await delay(5)
  await broker.kill9()
  t.notOk(readdirSync(dataDir).includes('postgres'), 'nothing counts as a database yet')
  // A pid that no process has: that of the one just killed.
  await mkdir(join(dataDir, `postgres.new-${broker.process.pid}-0`, 'data'), { recursive: true })

  const server = await start(dataDir)
  await ask(server.ownerUrl, CREATE)
  await server.stop()
  const again = await start(dataDir)
  t.same(await ask(again.ownerUrl, FIND), KEPT)
  await again.stop()
  t.notOk(unfinished(), 'leftovers are removed')
})

t.test('a port taken between choosing and binding: the next one is tried', async (t) => {
  const dataDir = await usedFolder()
  const other = await start(await copiedFolder(t))
  t.teardown(() => other.stop())
  const { uid, gid } = await stat(join(dataDir, 'postgres'))
  const ports = [other.port, other.port]
  const first = await start(dataDir)
  const postgres = await runningBinary(first.pid)
  await first.stop()
  const server = await ensureRunning({
    dataFolder: join(dataDir, 'postgres'),
    postgres,
    user: process.getuid?.() === 0 ? { uid, gid } : {},
    logFile: join(dataDir, 'postgres.log'),
    settings: {},
    choosePort: async () => ports.pop() ?? (await freePort()),
  })
  await shutDown(join(dataDir, 'postgres'))
  t.not(server.port, other.port)
  t.same(ports, [])
})

async function runningBinary(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')[0] ?? ''
}
