import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Migrated, migrate, migrationState } from '../../server/db/migrate.js'
import { createPool, type Database } from '../../server/db/pool.js'
import { StartError } from '../../server/errors.js'
import { databaseError, silent, type TestDatabase, testDatabase } from '../support/postgres.js'

const TWO = {
  '001-a.sql': 'CREATE TABLE a (x integer);',
  '002-b.sql': 'CREATE TABLE b (x integer);\nGRANT SELECT ON b TO writ_broker;',
}

interface Setting {
  readonly database: TestDatabase
  readonly directory: string
  write(files: Readonly<Record<string, string>>): void
  migrate(url?: string): Promise<Migrated>
  owner: Database
}

async function setUp(t: Test, files: Readonly<Record<string, string>>): Promise<Setting> {
  const database = await testDatabase(t, { migrated: false })
  const directory = join(t.testdir({}), 'migrations')
  mkdirSync(directory)
  const owner = createPool({ connectionString: database.ownerUrl, applicationName: 'test', log: silent })
  t.teardown(() => owner.end())
  const write = (files: Readonly<Record<string, string>>): void => {
    for (const [name, sql] of Object.entries(files)) writeFileSync(join(directory, name), sql)
  }
  write(files)
  return {
    database,
    directory,
    owner,
    write,
    migrate: (url = database.ownerUrl) => migrate({ ownerUrl: url, directory, log: silent }),
  }
}

/** As the tables' owner: the migrator's login itself has no power until it takes that role. */
function asOwner(owner: Database, text: string): Promise<object[]> {
  return owner.transaction(async (client) => {
    await client.query('SET LOCAL ROLE writ_owner')
    return await client.query(text)
  })
}

t.test('applies what is missing, in order, once', async (t) => {
  const { database, migrate, write, owner, directory } = await setUp(t, TWO)
  const broker = createPool({ connectionString: database.brokerUrl, applicationName: 'test', log: silent })
  t.teardown(() => broker.end())
  t.match(await migrationState(broker, directory), {
    upToDate: false,
    applied: 0,
    expected: 2,
    problem: 'The database is at migration 0 of 2.',
  })
  t.same(await migrate(), { applied: ['001-a.sql', '002-b.sql'], version: 2 })
  t.same(await migrate(), { applied: [], version: 2 })
  t.same(await migrationState(broker, directory), { upToDate: true, applied: 2, expected: 2 })

  write({ '003-c.sql': 'CREATE FUNCTION c() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;' })
  t.match(await migrationState(broker, directory), { upToDate: false, applied: 2, expected: 3 })
  t.same(await migrate(), { applied: ['003-c.sql'], version: 3 })

  const owners = await asOwner(
    owner,
    "SELECT DISTINCT tableowner, schemaname FROM pg_tables WHERE tablename IN ('a', 'b', 'migration')",
  )
  t.same(
    owners,
    [{ tableowner: 'writ_owner', schemaname: 'writ' }],
    'all of it is the owner’s, in schema writ',
  )
  t.same(await broker.query('SELECT x FROM writ.b'), [], 'the broker sees what was granted')
  await t.rejects(
    broker.query('SELECT x FROM writ.a'),
    databaseError({ sqlState: '42501' }),
    'and nothing else',
  )
  await t.rejects(broker.query('DELETE FROM writ.migration'), databaseError({ sqlState: '42501' }))
})

t.test('eight starts at once on an empty database', async (t) => {
  const { migrate, owner } = await setUp(t, {
    ...TWO,
    '003-slow.sql': 'SELECT pg_sleep(0.1); CREATE TABLE c (x integer); INSERT INTO c VALUES (1);',
  })
  const all = await Promise.all(Array.from({ length: 8 }, () => migrate()))
  t.same(
    all.flatMap(({ applied }) => applied).sort(),
    ['001-a.sql', '002-b.sql', '003-slow.sql'],
    'each once',
  )
  t.ok(all.every(({ version }) => version === 3))
  t.same(await asOwner(owner, 'SELECT x FROM writ.c'), [{ x: 1 }])
})

t.test('the broker’s login cannot hold a migration up with an advisory lock or by reading', async (t) => {
  const { database, migrate, write } = await setUp(t, TWO)
  await migrate()
  const broker = createPool({ connectionString: database.brokerUrl, applicationName: 'test', log: silent })
  t.teardown(() => broker.end())
  await broker.transaction(async (client) => {
    await client.query('SELECT pg_advisory_lock(n) FROM generate_series(0, 20) n')
    await client.query('SELECT number FROM writ.migration')
    write({ '003-c.sql': 'CREATE TABLE c (x integer);' })
    t.same(await migrate(), { applied: ['003-c.sql'], version: 3 })
  })
})

t.test('a file that fails leaves nothing, and names its line', async (t) => {
  const { migrate, owner, write } = await setUp(t, {
    ...TWO,
    '003-c.sql': 'CREATE TABLE c (x integer);\n\nINSERT INTO nowhere VALUES (1);',
  })
  await t.rejects(migrate(), {
    name: 'StartError',
    message: 'Migration 003-c.sql failed in line 3: relation "nowhere" does not exist (42P01).',
  })
  t.same(await asOwner(owner, "SELECT to_regclass('writ.c') AS c, max(number) FROM writ.migration"), [
    { c: null, max: 2 },
  ])
  write({ '003-c.sql': 'CREATE TABLE c (x integer);' })
  t.same(
    await migrate(),
    { applied: ['003-c.sql'], version: 3 },
    'it was never applied, so it may be corrected',
  )
})

t.test('refuses files that disagree with the database', async (t) => {
  const { migrate, directory, write, owner } = await setUp(t, TWO)
  await migrate()
  const refuses = async (message: RegExp): Promise<void> => {
    await t.rejects(migrate(), { name: 'StartError', message })
    const state = await migrationState(owner, directory).catch((error: StartError) => error)
    t.match(state instanceof StartError ? state.message : state.problem, message, 'readiness says the same')
  }
  await asOwner(owner, 'GRANT USAGE ON SCHEMA writ TO writ_migrator')
  await asOwner(owner, 'GRANT SELECT ON writ.migration TO writ_migrator')

  write({ '001-a.sql': 'CREATE TABLE a (x bigint);' })
  await refuses(/^Migration 001-a\.sql was changed after it had been applied/)
  write({ '001-a.sql': TWO['001-a.sql'] })

  write({ '002-b.sql': TWO['002-b.sql'].replaceAll('\n', '\r\n') })
  t.same(await migrate(), { applied: [], version: 2 }, 'line ends of a checkout on Windows are no change')
  write(TWO)

  await asOwner(owner, "INSERT INTO writ.migration VALUES (3, '003-new.sql', repeat('0', 64))")
  await refuses(/^The database is at migration 3, this version of Writ knows 2/)
  await asOwner(owner, 'UPDATE writ.migration SET number = 4 WHERE number = 3')
  await refuses(/^The database has migration 4 but not 3/)
})

t.test('refuses a folder that is not in order, before it touches the database', async (t) => {
  const cases: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{ '002-b.sql': '' }, /^Migration 001 is missing before 002-b\.sql/],
    [{ '001-a.sql': '', '003-c.sql': '' }, /^Migration 002 is missing before 003-c\.sql/],
    [{ '001-a.sql': '', '001-b.sql': '' }, /^Two migrations have the number 001; one is 001-b\.sql/],
    [{ '000-a.sql': '' }, /^Migration 000-a\.sql is not named like/],
    [{ '1-a.sql': '' }, /^Migration 1-a\.sql is not named like/],
    [{ '001-A b.sql': '' }, /^Migration 001-A b\.sql is not named like/],
    [{ '001-a.sql': 'SELECT 1; \nCOMMIT;\n' }, /^Migration 001-a\.sql begins or ends a transaction/],
    [{ '001-a.sql': 'begin transaction isolation level serializable;' }, /begins or ends a transaction/],
  ]
  for (const [files, message] of cases) {
    const directory = t.testdir({ ...files })
    await t.rejects(migrate({ ownerUrl: 'postgres://127.0.0.1:1/none', directory, log: silent }), {
      name: 'StartError',
      message,
    })
  }
  await t.rejects(migrate({ ownerUrl: 'postgres://127.0.0.1:1/none', directory: '/nowhere', log: silent }), {
    name: 'StartError',
    message: 'The folder of migrations /nowhere cannot be read: ENOENT.',
  })
})

t.test('a login that cannot become the owner is told so', async (t) => {
  const { database, migrate } = await setUp(t, TWO)
  await t.rejects(migrate(database.brokerUrl), {
    name: 'StartError',
    message: /^The login for migrations has to be a member of the role writ_owner/,
  })
})

t.test('a database that cannot be reached is a DatabaseError without its password', async (t) => {
  const { directory } = await setUp(t, TWO)
  const ownerUrl = 'postgres://somebody:hunter2@127.0.0.1:1/none'
  const error = await migrate({ ownerUrl, directory, log: silent }).catch((error: Error) => error)
  t.match(error, { name: 'DatabaseError', unavailable: true, message: /ECONNREFUSED/ })
  t.notMatch(JSON.stringify(error) + String(error), 'hunter2')
})
