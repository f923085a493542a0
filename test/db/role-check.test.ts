import t from 'tap'
import { createPool, type Database } from '../../server/db/pool.js'
import { checkBrokerRole } from '../../server/db/role-check.js'
import { StartError } from '../../server/errors.js'
import { silent, testDatabase } from '../support/postgres.js'

function open(connectionString: string): Database {
  return createPool({ connectionString, applicationName: 'test', log: silent, max: 1 })
}

class RolledBack extends Error {
  readonly refusal: string | undefined
  constructor(refusal: string | undefined) {
    super()
    this.refusal = refusal
  }
}

const { superuserUrl, name: DATABASE } = await testDatabase(t, { migrated: false })
const admin = open(superuserUrl)
t.teardown(() => admin.end())

const SETUP = [
  'SET LOCAL ROLE writ_owner',
  'CREATE SCHEMA writ',
  'CREATE TABLE writ.entry (idx integer, body text)',
  'CREATE SEQUENCE writ.numbers',
  'CREATE DOMAIN writ.digest AS bytea',
  'CREATE VIEW writ.seen AS SELECT idx FROM writ.entry',
  'CREATE FUNCTION writ.append() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$',
  'GRANT USAGE ON SCHEMA writ TO writ_broker',
  'GRANT SELECT, INSERT ON writ.entry TO writ_broker',
  'GRANT USAGE ON SEQUENCE writ.numbers TO writ_broker',
  'RESET ROLE',
  'CREATE ROLE a_group NOLOGIN',
  'CREATE ROLE a_login LOGIN IN ROLE writ_broker',
]

/** What the check says to a login like the provisioned one, plus what 'give' adds. Leaves nothing behind. */
async function refusal(...give: readonly string[]): Promise<string | undefined> {
  try {
    return await admin.transaction(async (client) => {
      for (const statement of [...SETUP, ...give, 'SET LOCAL SESSION AUTHORIZATION a_login']) {
        await client.query(statement)
      }
      const said = await checkBrokerRole(client).then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof StartError) return error.message
          throw error
        },
      )
      throw new RolledBack(said)
    })
  } catch (error) {
    if (error instanceof RolledBack) return error.refusal
    throw error
  }
}

t.test('the login as provisioned passes, with select, insert and execute', async (t) => {
  t.equal(await refusal(), undefined)
})

t.test('the real login on the real schema passes', async (t) => {
  const { brokerUrl } = await testDatabase(t)
  const broker = open(brokerUrl)
  t.teardown(() => broker.end())
  await t.resolves(checkBrokerRole(broker))
})

const POWERS: readonly (readonly [who: string, give: readonly string[], reason: RegExp])[] = [
  ['a superuser', ['ALTER ROLE a_login SUPERUSER'], /is a superuser/],
  ['a role maker', ['ALTER ROLE a_login CREATEROLE'], /may create roles/],
  ['a database maker', ['ALTER ROLE a_login CREATEDB'], /may create databases/],
  ['a replicator', ['ALTER ROLE a_login REPLICATION'], /may replicate/],
  ['one who bypasses row security', ['ALTER ROLE a_login BYPASSRLS'], /bypasses row level/],
  ['a member of the owner', ['GRANT writ_owner TO a_login'], /become the owner of schema writ/],
  [
    'a member who does not inherit the owner, but can become it',
    ['ALTER ROLE a_login NOINHERIT', 'GRANT writ_owner TO a_login'],
    /become the owner of schema writ/,
  ],
  ['the owner of a table', ['ALTER TABLE writ.entry OWNER TO a_login'], /the owner of writ\.entry/],
  [
    'the owner of a function',
    ['ALTER FUNCTION writ.append() OWNER TO a_login'],
    /the owner of function writ\.append/,
  ],
  ['the owner of a type', ['ALTER DOMAIN writ.digest OWNER TO a_login'], /the owner of type writ\.digest/],
  ['the owner of the database', [`ALTER DATABASE ${DATABASE} OWNER TO a_login`], /this database/],
  ['one who may update', ['GRANT UPDATE ON writ.entry TO a_login'], /change rows of writ\.entry/],
  ['one who may delete', ['GRANT DELETE ON writ.entry TO a_login'], /change rows of writ\.entry/],
  ['one who may truncate', ['GRANT TRUNCATE ON writ.entry TO a_login'], /change rows of writ\.entry/],
  ['one who may add triggers', ['GRANT TRIGGER ON writ.entry TO a_login'], /change rows of writ\.entry/],
  ['one who may update a column', ['GRANT UPDATE (body) ON writ.entry TO a_login'], /writ\.entry/],
  ['one who may delete through a view', ['GRANT DELETE ON writ.seen TO a_login'], /writ\.seen/],
  ['one whom PUBLIC lets delete', ['GRANT DELETE ON writ.entry TO PUBLIC'], /change rows of writ\.entry/],
  [
    'one who can become a group that may delete',
    ['ALTER ROLE a_login NOINHERIT', 'GRANT a_group TO a_login', 'GRANT DELETE ON writ.entry TO a_group'],
    /change rows of writ\.entry/,
  ],
  ['one who writes everything', ['GRANT pg_write_all_data TO a_login'], /pg_write_all_data/],
  ['one who runs programs', ['GRANT pg_execute_server_program TO a_login'], /server_program/],
  ['one who may create in schema writ', ['GRANT CREATE ON SCHEMA writ TO a_login'], /in schema writ/],
  ['one who may create in public', ['GRANT CREATE ON SCHEMA public TO PUBLIC'], /in schema public/],
  ['one who may create schemas', [`GRANT CREATE ON DATABASE ${DATABASE} TO a_login`], /create schemas/],
  ['one whom PUBLIC gives TEMP', [`GRANT TEMP ON DATABASE ${DATABASE} TO PUBLIC`], /temporary tables/],
]

for (const [who, give, reason] of POWERS) {
  t.test(`refused: ${who}`, async (t) => {
    t.match(await refusal(...give), reason)
  })
}
