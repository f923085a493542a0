import { readdir } from 'node:fs/promises'
import t from 'tap'
import { isAlive, isServerOf } from '../../server/db/embedded-process.js'
import type { Log } from '../../server/db/pool.js'
import { silent } from '../support/postgres.js'
import { ask, child, emptyFolder, gone, start, usedFolder } from './embedded-setup.js'

const CREATE = 'SET ROLE writ_owner; DROP SCHEMA IF EXISTS kept; CREATE SCHEMA kept'
const FIND = "SELECT 1 AS kept FROM pg_namespace WHERE nspname = 'kept'"
const KEPT = [{ kept: 1 }]

t.test('PostgreSQL killed', async (t) => {
  const dataDir = await usedFolder()
  const first = await start(dataDir)
  await ask(first.ownerUrl, CREATE)
  process.kill(first.pid, 'SIGKILL')
  await gone(first.pid)
  await first.stop()
  const second = await start(dataDir)
  t.teardown(() => second.stop())
  t.same(await ask(second.ownerUrl, FIND), KEPT)
})

t.test('broker killed: the next one adopts the server it left running', async (t) => {
  const dataDir = await usedFolder()
  const broker = child(t, [dataDir])
  const left = await broker.next()
  await ask(left.ownerUrl ?? '', CREATE)
  await broker.kill9()
  t.ok(isAlive(left.pid ?? 0), 'PostgreSQL outlives it')

  const next = await start(dataDir)
  t.equal(next.pid, left.pid)
  t.equal(next.port, left.port)
  t.same(await ask(next.ownerUrl, FIND), KEPT)
  await next.stop()
  t.notOk(await isServerOf(next.pid, next.dataFolder), 'and stops it like its own')
})

t.test('both killed', async (t) => {
  const dataDir = await usedFolder()
  const broker = child(t, [dataDir])
  const left = await broker.next()
  await ask(left.ownerUrl ?? '', CREATE)
  await broker.kill9()
  process.kill(left.pid ?? 0, 'SIGKILL')
  const next = await start(dataDir)
  t.teardown(() => next.stop())
  t.not(next.pid, left.pid)
  t.same(await ask(next.ownerUrl, FIND), KEPT)
})

t.test('Ctrl-C reaches the broker’s whole process group, but not PostgreSQL', async (t) => {
  const dataDir = await usedFolder()
  const broker = child(t, [dataDir])
  const { pid = 0, dataFolder = '' } = await broker.next()
  process.kill(-(broker.process.pid ?? 0), 'SIGINT')
  t.same(await broker.next(), { last: 'still there' }, 'it can still be asked while the broker drains')
  t.notOk(await isServerOf(pid, dataFolder))
})

t.test('two brokers on one folder', async (t) => {
  const dataDir = await usedFolder()
  const refused = { name: 'StartError', message: /^Another broker is running on .*: stop it first/ }
  const first = await start(dataDir)
  t.teardown(() => first.stop())
  const second = child(t, [dataDir])
  t.match(await second.next(), refused)
  t.same(await ask(first.brokerUrl, 'SELECT 1 AS one'), [{ one: 1 }], 'the first is not disturbed')
})

t.test('two first starts at the same moment', async (t) => {
  const dataDir = await emptyFolder(t)
  const brokers = [child(t, [dataDir]), child(t, [dataDir])]
  const said = await Promise.all(brokers.map((broker) => broker.next()))
  t.equal(said.filter(({ version }) => version?.startsWith('18.')).length, 1, 'one is up')
  t.equal(said.filter(({ message }) => message?.startsWith('Another broker')).length, 1, 'one is refused')
  t.same((await readdir(dataDir)).sort(), ['postgres', 'postgres-secrets.json', 'postgres.log'])
})

t.test('a lost ownership connection is taken again, and the process lives', async (t) => {
  const dataDir = await usedFolder()
  let back = (): void => undefined
  const isBack = new Promise<void>((resolve) => {
    back = resolve
  })
  const log: Log = { ...silent, info: (_, message) => (message.endsWith('is back') ? back() : undefined) }
  const first = await start(dataDir, { log })
  t.teardown(() => first.stop())
  await ask(
    first.superuserUrl,
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'writ owner'",
  )
  // Nothing else holds the event loop while the connection is away.
  const waiting = setInterval(() => undefined, 1_000)
  await isBack
  clearInterval(waiting)
  await t.rejects(start(dataDir), { name: 'StartError', message: /^Another broker is running/ })
})
