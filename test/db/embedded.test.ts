import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import t from 'tap'
import { withLogin } from '../../server/db/provision.js'
import { databaseError } from '../support/postgres.js'
import { ask, copiedFolder, emptyFolder, modeOf, start, usedFolder } from './embedded-setup.js'

t.test('a first start', async (t) => {
  const dataDir = join(await emptyFolder(t), 'made', 'by us')
  await mkdir(dirname(dataDir), { mode: 0o755 })
  await chmod(dirname(dirname(dataDir)), 0o755)
  const server = await start(dataDir, { extraSettings: {} })
  t.teardown(() => server.stop())

  const settings = await ask(
    server.superuserUrl,
    `SELECT name, setting FROM pg_settings WHERE name IN ('listen_addresses', 'unix_socket_directories',
       'fsync', 'data_checksums', 'password_encryption', 'server_encoding', 'log_statement', 'TimeZone',
       'max_connections', 'full_page_writes', 'synchronous_commit')`,
  )
  t.same(Object.fromEntries(settings.map((row) => Object.values(row))), {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    data_checksums: 'on',
    password_encryption: 'scram-sha-256',
    server_encoding: 'UTF8',
    log_statement: 'none',
    TimeZone: 'UTC',
    max_connections: '100',
  })
  t.match(server.version, /^18\./)
  t.same(await ask(server.ownerUrl, "SELECT upper('ä') AS upper, 'B' < 'a' AS bytewise"), [
    { upper: 'Ä', bytewise: true },
  ])

  const file = join(dataDir, 'postgres-secrets.json')
  t.equal(await modeOf(file), '600')
  t.equal(await modeOf(join(dataDir, 'postgres')), '700')
  const secrets = JSON.parse(await readFile(file, 'utf8'))
  t.equal(new Set([secrets.superuser, secrets.owner, secrets.broker]).size, 3)
  const log = await readFile(join(dataDir, 'postgres.log'), 'utf8')
  t.notMatch(log, secrets.superuser)
  t.same(
    (await readdir(dataDir)).sort(),
    ['postgres', 'postgres-secrets.json', 'postgres.log'],
    'nothing else is left',
  )
})

t.test('who may log in, and what they may do', async (t) => {
  const server = await start(await usedFolder())
  t.teardown(() => server.stop())
  const { superuserUrl, ownerUrl, brokerUrl } = server

  for (const url of [superuserUrl, ownerUrl, brokerUrl]) {
    const { username } = new URL(url)
    await t.rejects(
      ask(withLogin(url, username, 'wrong'), 'SELECT 1'),
      databaseError({ sqlState: '28P01' }),
      username,
    )
    await t.rejects(
      ask(withLogin(url, username, ''), 'SELECT 1'),
      databaseError({}),
      `${username} without a password`,
    )
  }
  await t.rejects(ask(withLogin(ownerUrl, 'writ_owner', 'x'), 'SELECT 1'), /password authentication failed/)

  t.same(await ask(brokerUrl, "SELECT current_user, pg_has_role('writ_broker', 'USAGE') AS broker"), [
    { current_user: 'writ_broker_login', broker: true },
  ])
  await t.rejects(ask(brokerUrl, 'CREATE TEMP TABLE x (y integer)'), databaseError({ sqlState: '42501' }))
  await t.rejects(ask(brokerUrl, 'CREATE SCHEMA x'), databaseError({ sqlState: '42501' }))
  await t.rejects(ask(brokerUrl, 'CREATE TABLE public.x (y integer)'), databaseError({ sqlState: '42501' }))
  await t.rejects(ask(brokerUrl, 'SET ROLE writ_owner'), databaseError({ sqlState: '42501' }))
  await t.rejects(
    ask(brokerUrl.replace(/\/writ$/, '/postgres'), 'SELECT pg_advisory_lock(1)'),
    databaseError({ sqlState: '42501' }),
    'the broker cannot reach the place where the ownership lock is',
  )
  await t.rejects(
    ask(ownerUrl, 'CREATE SCHEMA x'),
    databaseError({ sqlState: '42501' }),
    'the migrator has to ask for its power',
  )
  await ask(ownerUrl, 'SET ROLE writ_owner; CREATE SCHEMA x')
})

t.test('a restart keeps the data, on a port chosen anew', async (t) => {
  const dataDir = await usedFolder()
  const first = await start(dataDir)
  await ask(first.ownerUrl, 'SET ROLE writ_owner; CREATE SCHEMA kept')
  await Promise.all([first.stop(), first.stop()])
  await t.rejects(
    ask(first.ownerUrl, 'SELECT 1'),
    databaseError({ unavailable: true }),
    'stopped means stopped',
  )

  const second = await start(dataDir)
  t.teardown(() => second.stop())
  t.same(await ask(second.ownerUrl, "SELECT nspname FROM pg_namespace WHERE nspname = 'kept'"), [
    { nspname: 'kept' },
  ])
})

t.test('a port that is taken', async (t) => {
  const dataDir = await usedFolder()
  const other = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => other.once('listening', resolve))
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  await t.rejects(start(dataDir, { port }), {
    name: 'StartError',
    message: /^PostgreSQL did not start in .*could not create any TCP\/IP sockets/,
  })
  const server = await start(dataDir)
  await server.stop()
})

t.test('says in one sentence what is in the way', async (t) => {
  const dataDir = await copiedFolder(t)
  const data = join(dataDir, 'postgres')
  const secrets = join(dataDir, 'postgres-secrets.json')
  const refuses = (message: RegExp): Promise<unknown> =>
    t.rejects(start(dataDir), { name: 'StartError', message })
  const stored = await readFile(secrets, 'utf8')

  await writeFile(join(data, 'PG_VERSION'), '17\n')
  await refuses(/was made by PostgreSQL 17, this is PostgreSQL 18/)
  await rm(join(data, 'PG_VERSION'))
  await refuses(/holds no database \(no PG_VERSION\)/)
  await writeFile(join(data, 'PG_VERSION'), '18\n')

  await writeFile(secrets, stored.slice(0, 40))
  await refuses(/postgres-secrets\.json is damaged/)
  await writeFile(secrets, stored.replace(/"superuser": "....../, '"superuser": "zzzzzz'))
  await refuses(/do not open the database of that folder/)
  await rm(secrets)
  await refuses(/postgres-secrets\.json is missing/)

  await writeFile(secrets, stored)
  t.equal(await modeOf(secrets), '644')
  await rename(data, `${data}-away`)
  await refuses(/is gone: bring it back, or delete/)
  await rename(`${data}-away`, data)

  const server = await start(dataDir)
  await server.stop()
  t.equal(await modeOf(secrets), '600', 'and a file that others could read is closed')
})

t.test('a folder that cannot be made', async (t) => {
  const file = join(await emptyFolder(t), 'file')
  await writeFile(file, '')
  await t.rejects(start(join(file, 'below')), { name: 'StartError', message: /cannot be made or used/ })
})
