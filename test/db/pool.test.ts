import { writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { createPool, type Database, type PoolOptions } from '../../server/db/pool.js'
import { DatabaseError } from '../../server/db/pool-errors.js'
import { databaseError, silent, testDatabase, testServer } from '../support/postgres.js'

function open(t: Test, connectionString: string, options: Partial<PoolOptions> = {}): Database {
  const pool = createPool({ connectionString, applicationName: 'writ pool test', log: silent, ...options })
  t.teardown(() => pool.end())
  return pool
}

async function failure(work: Promise<unknown>): Promise<DatabaseError> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(error instanceof DatabaseError)) throw new Error(`expected a DatabaseError, got ${inspect(error)}`)
  return error
}

/** Everything a logger could print of an error. */
function visible(error: Error): string {
  return [inspect(error, { showHidden: true, depth: 5 }), JSON.stringify(error), error.stack].join('\n')
}

t.test('queries, names, sessions', async (t) => {
  const { superuserUrl } = await testDatabase(t, { migrated: false })
  const pool = open(t, superuserUrl, { max: 1, statementTimeoutMs: 1_234, lockTimeoutMs: 567 })
  t.same(await pool.query('SELECT $1::integer AS one', [1]), [{ one: 1 }])
  t.same(await pool.query('SELECT 1 AS one; SELECT 2 AS two'), [{ two: 2 }])
  for (const text of ['a', 'b']) {
    t.same(await pool.query('SELECT $1::text AS said', [text], { name: 'say' }), [{ said: text }])
  }
  t.same(await pool.query('SELECT name FROM pg_prepared_statements'), [{ name: 'say' }])
  t.same(
    await pool.query(
      `SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock,
         current_setting('idle_in_transaction_session_timeout') AS idle,
         current_setting('application_name') AS name`,
    ),
    [{ statement: '1234ms', lock: '567ms', idle: '10s', name: 'writ pool test' }],
  )
  t.same(pool.stats(), { total: 1, idle: 1, waiting: 0 })
})

t.test('a transaction is whole or not at all', async (t) => {
  const { superuserUrl } = await testDatabase(t, { migrated: false })
  const pool = open(t, superuserUrl, { max: 1 })
  await pool.query('CREATE TABLE x (y integer PRIMARY KEY)')
  const insert = (y: number) => (client: { query: Database['query'] }) =>
    client.query('INSERT INTO x VALUES ($1)', [y])

  await pool.transaction(insert(1))
  await t.rejects(
    pool.transaction(async (client) => {
      await insert(2)(client)
      throw new Error('changed my mind')
    }),
    { message: 'changed my mind' },
  )
  await t.rejects(
    pool.transaction(async (client) => {
      await insert(3)(client)
      await insert(1)(client).catch(() => undefined)
    }),
    databaseError({ sqlState: '25P02' }),
    'a swallowed error cannot turn COMMIT into a silent ROLLBACK',
  )
  t.same(await pool.query('SELECT y FROM x'), [{ y: 1 }])
  t.equal(pool.stats().total, 1, 'none of this cost the connection')
})

t.test('an error says what it is and nothing it must not', async (t) => {
  const { superuserUrl } = await testDatabase(t, { migrated: false })
  const canary = 'canary-4f1d'
  const pool = open(t, superuserUrl, { max: 1 })
  await pool.query('CREATE TABLE x (y text CONSTRAINT only_once UNIQUE, z integer CHECK (z > 0))')
  await pool.query('INSERT INTO x VALUES ($1, 1)', [canary])

  const unique = await failure(pool.query('INSERT INTO x VALUES ($1, 1)', [canary]))
  t.match(unique, { sqlState: '23505', constraint: 'only_once', unavailable: false })
  const errors = [
    unique,
    await failure(pool.query('INSERT INTO x VALUES ($1, -1)', [canary])),
    await failure(pool.query('SELECT $1::text::integer', [canary])),
    await failure(pool.query('SELECT $1::text::timestamptz', [canary])),
    await failure(pool.query('SELECT ($1::text)::jsonb', [`{${canary}`])),
    await failure(pool.query('SELECT 1 FROM nowhere WHERE y = $1', [canary])),
  ]
  const wrong = new URL(superuserUrl)
  wrong.password = canary
  const refused = await failure(open(t, wrong.href).query('SELECT 1'))
  t.match(refused, { sqlState: '28P01' })
  wrong.port = '1'
  const unreachable = await failure(open(t, wrong.href).query('SELECT 1'))
  t.match(unreachable, { sqlState: '', unavailable: true, message: /ECONNREFUSED/ })
  for (const error of [...errors, refused, unreachable]) {
    t.notMatch(visible(error), canary, error.message)
    t.notMatch(visible(error), new URL(superuserUrl).password)
  }
  t.match(await failure(pool.query("DO $$ BEGIN RAISE 'no grant' USING ERRCODE = 'WR001'; END $$")), {
    sqlState: 'WR001',
    message: 'no grant',
    unavailable: false,
  })
  t.equal(pool.stats().total, 1, 'a refused statement does not cost the connection')
})

t.test('an unusable connection string is not echoed', async (t) => {
  for (const text of ['postgres://u:canary@:x:y/db', 'mysql://u:canary@h/db', 'canary', '/canary']) {
    let message = ''
    try {
      open(t, text)
    } catch (error) {
      message = visible(error as Error)
    }
    t.match(message, /StartError: The database URL/)
    t.notMatch(message, 'canary')
  }
  t.throws(() => open(t, 'postgres://u@h/d', { passwordFile: '/nowhere' }), {
    message: 'The database password file /nowhere cannot be read: ENOENT.',
  })
})

t.test('the password from a file', async (t) => {
  const { brokerUrl } = await testDatabase(t, { migrated: false })
  const url = new URL(brokerUrl)
  const passwordFile = join(t.testdir({}), 'password')
  writeFileSync(passwordFile, `${decodeURIComponent(url.password)}\n`)
  url.password = ''
  const pool = open(t, url.href, { passwordFile })
  t.same(await pool.query('SELECT current_user'), [{ current_user: 'writ_broker_login' }])
})

t.test('timeouts', async (t) => {
  const { superuserUrl } = await testDatabase(t, { migrated: false })
  await t.test('a statement', async (t) => {
    const pool = open(t, superuserUrl, { max: 1, statementTimeoutMs: 50 })
    t.match(await failure(pool.query('SELECT pg_sleep(10)')), { sqlState: '57014', unavailable: true })
    t.same(await pool.query('SELECT 1 AS one'), [{ one: 1 }])
  })
  await t.test('a lock', async (t) => {
    const pool = open(t, superuserUrl, { max: 2, lockTimeoutMs: 50 })
    await pool.query('CREATE TABLE locked (y integer)')
    await pool.transaction(async (client) => {
      await client.query('LOCK TABLE locked')
      t.match(await failure(pool.query('SELECT y FROM locked')), { sqlState: '55P03', unavailable: true })
    })
  })
  await t.test('a connection of the pool', async (t) => {
    const pool = open(t, superuserUrl, { max: 1, connectTimeoutMs: 1_000 })
    await pool.withClient(async () => {
      t.match(await failure(pool.query('SELECT 1')), { sqlState: '', unavailable: true, message: /timeout/ })
    })
  })
  await t.test('a server that accepts and says nothing', async (t) => {
    const sockets: Socket[] = []
    const mute = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
    await new Promise((resolve) => mute.once('listening', resolve))
    t.teardown(() => {
      for (const socket of sockets) socket.destroy()
      mute.close()
    })
    const { port } = mute.address() as { port: number }
    const pool = open(t, `postgres://u:p@127.0.0.1:${port}/d`, { connectTimeoutMs: 50 })
    t.match(await failure(pool.query('SELECT 1')), { sqlState: '', unavailable: true })
  })
  await t.test('a server that stops answering in the middle of a query', async (t) => {
    // The statement switches the server's own timeout off, so only ours is left.
    const pool = open(t, superuserUrl, { max: 1, statementTimeoutMs: 1 })
    const late = pool.withClient(async (client) => {
      await client.query('SET statement_timeout = 0')
      await client.query('SELECT pg_sleep(60)')
    })
    t.match(await failure(late), { sqlState: '', unavailable: true, message: /timeout/i })
    t.equal(pool.stats().total, 0, 'the connection, busy with the old query, is not used again')
    t.same(await pool.query('SELECT 1 AS one'), [{ one: 1 }])
  })
})

t.test('the server is killed under the pool', async (t) => {
  const server = await testServer(t, { migrated: false })
  let lost = 0
  const log = { ...silent, warn: () => void lost++ }
  const pool = open(t, server.brokerUrl, { max: 3, log })

  // One idle, one in a query, one checked out and doing nothing.
  const busy = failure(pool.query('SELECT pg_sleep(60)'))
  let resume = (): void => undefined
  const checkedOut = failure(
    pool.withClient(async (client) => {
      await client.query('SELECT 1')
      await new Promise<void>((resolve) => {
        resume = resolve
      })
      await client.query('SELECT 1')
    }),
  )
  await pool.query('SELECT 1')
  await server.kill9()
  t.match(await busy, { unavailable: true })
  resume()
  t.match(await checkedOut, { unavailable: true })
  t.match(await failure(pool.query('SELECT 1')), { unavailable: true, message: /ECONNREFUSED/ })
  t.ok(lost >= 1, 'the idle connection’s loss was noted')

  await server.restart()
  t.same(await pool.query('SELECT 1 AS one'), [{ one: 1 }], 'and the same pool recovers')
})

t.test('a session ended by an administrator', async (t) => {
  const { superuserUrl } = await testDatabase(t, { migrated: false })
  const pool = open(t, superuserUrl, { max: 2 })
  const ended = failure(
    pool.transaction(async (client) => {
      const [row] = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      await pool.query('SELECT pg_terminate_backend($1)', [row?.pid])
      await client.query('SELECT 1')
    }),
  )
  t.match(await ended, { unavailable: true })
  t.same(await pool.query('SELECT 1 AS one'), [{ one: 1 }])
})

t.test('after its end', async (t) => {
  const { superuserUrl } = await testDatabase(t, { migrated: false })
  const pool = open(t, superuserUrl)
  const last = pool.query('SELECT 1 AS one')
  await Promise.all([pool.end(), pool.end()])
  t.same(await last, [{ one: 1 }], 'a query under way is waited for')
  t.match(await failure(pool.query('SELECT 1')), { unavailable: true })
})
