import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { readConfig } from '../../server/config.js'
import { migrate } from '../../server/db/migrate.js'
import { createPool, type Database } from '../../server/db/pool.js'
import { withDatabase, withLogin } from '../../server/db/provision.js'
import { checkBrokerRole } from '../../server/db/role-check.js'
import { packageRoot } from '../../server/paths.js'
import { describeSettings } from '../../server/settings.js'
import { type CrashableServer, silent, testServer } from '../support/postgres.js'

const ROOT = packageRoot()
const INITDB = join(ROOT, 'docker/initdb')
const MIGRATIONS = join(ROOT, 'migrations')

interface Service {
  readonly image?: string
  readonly user?: string
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly secrets?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean }
  readonly ports?: readonly string[]
}

const compose = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8')) as {
  readonly services: Readonly<Record<'postgres' | 'migrate' | 'broker', Service>>
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
}
const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')

/** Runs `work` as this login, in this database. */
async function as<T>(url: string, work: (database: Database) => Promise<T>): Promise<T> {
  const database = createPool({ connectionString: url, applicationName: 'writ test', log: silent, max: 1 })
  try {
    return await work(database)
  } finally {
    await database.end()
  }
}

/** What the roles and the database may do, as the catalog says it. */
const POWERS = `
  SELECT 'role ' || rolname AS what, concat_ws(' ', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
    rolreplication, rolbypassrls, rolconnlimit) AS powers
  FROM pg_catalog.pg_roles WHERE rolname LIKE 'writ%'
  UNION ALL SELECT 'member ' || pg_get_userbyid(member), pg_get_userbyid(roleid) || ' ' || admin_option
    FROM pg_catalog.pg_auth_members WHERE pg_get_userbyid(roleid) LIKE 'writ%' AND pg_get_userbyid(member) LIKE 'writ%'
  UNION ALL SELECT 'database', pg_get_userbyid(datdba) || ' ' || array_to_string(datacl, ',')
    FROM pg_catalog.pg_database WHERE datname = current_database()
  UNION ALL SELECT 'schema public', array_to_string(nspacl, ',') FROM pg_catalog.pg_namespace WHERE nspname = 'public'
  ORDER BY what, powers`

const powers = (url: string) => as(url, (database) => database.query(POWERS))

/** Away with all that our own provisioning made: an empty database `writ`, as the container begins with. */
async function emptied(server: CrashableServer, owner?: string): Promise<void> {
  await as(withDatabase(server.superuserUrl, 'postgres'), async (admin) => {
    await admin.query('DROP DATABASE writ WITH (FORCE)')
    await admin.query('DROP ROLE writ_migrator, writ_broker_login, writ_owner, writ_broker')
    await admin.query(`CREATE DATABASE writ ${owner === undefined ? '' : `OWNER ${owner}`}`)
  })
}

async function secretsFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-secrets-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  execFileSync('sh', [join(ROOT, 'docker/make-secrets.sh'), folder])
  return folder
}

const scripts = () => readdirSync(INITDB).sort()

t.test('the container’s database is provisioned as ours is', async (t) => {
  const server = await testServer(t, { migrated: false })
  const expected = await powers(server.superuserUrl)
  t.ok(expected.length > 6)
  await emptied(server)
  const secrets = await secretsFolder(t)
  // Mounted by itself, a file is readable whatever its folder is; here the server has to get through the folder.
  await chmod(secrets, 0o755)
  t.same(scripts(), ['10-roles.sql', '20-passwords.sql'], 'in the order in which the image runs them')
  for (const script of scripts()) {
    const sql = (await readFile(join(INITDB, script), 'utf8')).replaceAll('/run/secrets', secrets)
    await as(server.superuserUrl, (admin) => admin.query(sql))
  }
  t.same(await powers(server.superuserUrl), expected)

  const at = async (name: string) => {
    const url = new URL(await readFile(join(secrets, name), 'utf8'))
    const { port, hostname } = new URL(server.superuserUrl)
    t.equal(url.host, 'postgres:5432', 'the name of the service')
    url.port = port
    url.hostname = hostname
    return url.href
  }
  const migrated = await migrate({
    ownerUrl: await at('migrate_database_url'),
    directory: MIGRATIONS,
    log: silent,
  })
  t.equal(migrated.applied.length, migrated.version)
  const brokerUrl = await at('database_url')
  await as(brokerUrl, (database) => checkBrokerRole(database))
  await t.rejects(
    as(withLogin(brokerUrl, 'writ_broker_login', 'guessed'), (database) => database.query('SELECT 1')),
    { sqlState: '28P01', name: 'DatabaseError' },
  )

  await writeFile(join(secrets, 'broker_password'), 'short')
  const sql = (await readFile(join(INITDB, '20-passwords.sql'), 'utf8')).replaceAll('/run/secrets', secrets)
  await t.rejects(
    as(server.superuserUrl, (admin) => admin.query(sql)),
    { message: /broker_password has fewer/ },
    'an empty secret is no password',
  )
})

t.test('a managed service’s administrator, who is no superuser, can run the roles too', async (t) => {
  const server = await testServer(t, { migrated: false })
  const expected = await powers(server.superuserUrl)
  await as(server.superuserUrl, (admin) =>
    admin.query("CREATE ROLE administrator LOGIN CREATEROLE CREATEDB PASSWORD 'of a test'"),
  )
  await emptied(server, 'administrator')
  const url = withLogin(server.superuserUrl, 'administrator', 'of a test')
  const sql = await readFile(join(INITDB, '10-roles.sql'), 'utf8')
  await as(url, (admin) => admin.query(sql))
  t.same(await powers(server.superuserUrl), expected)
  const left = await as(server.superuserUrl, (admin) =>
    admin.query("SELECT pg_has_role('administrator', 'writ_owner', 'USAGE') AS owner"),
  )
  t.same(left, [{ owner: false }], 'and is not the owner afterwards')
})

t.test('secrets are made once and stay', async (t) => {
  const folder = await secretsFolder(t)
  const read = () => Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
  const names = readdirSync(folder)
    .filter((name) => name !== '.gitignore')
    .sort()
  t.same(names, Object.keys(compose.secrets).sort(), 'all that the compose file mounts')
  const first = read()
  execFileSync('sh', [join(ROOT, 'docker/make-secrets.sh'), folder])
  t.same(read(), first)
  t.equal(new Set(Object.values(first)).size, names.length, 'no two alike')
  t.equal(statSync(folder).mode & 0o777, 0o700, 'closed to other users')
  t.equal(readFileSync(join(folder, '.gitignore'), 'utf8'), '*\n')
})

t.test('the compose file', async (t) => {
  const { postgres, migrate, broker } = compose.services
  for (const [name, service] of Object.entries(compose.services)) {
    t.equal(service.read_only, true, `${name}: read-only root filesystem`)
    t.same(service.cap_drop, ['ALL'], name)
    for (const secret of service.secrets ?? []) t.ok(compose.secrets[secret], `${name}: ${secret}`)
    for (const [variable, value] of Object.entries(service.environment ?? {})) {
      t.notMatch(value, /:\/\/[^/]*:[^/]*@/, `${name}: no password in ${variable}`)
      const secret = /^\/run\/secrets\/(.+)$/.exec(value)?.[1]
      if (secret !== undefined)
        t.ok(service.secrets?.includes(secret), `${name} mounts what ${variable} names`)
    }
  }
  for (const [name, { file }] of Object.entries(compose.secrets)) t.equal(file, `./secrets/${name}`)
  t.equal(postgres.user, 'postgres')
  t.match(dockerfile, /^USER node$/m)
  t.same(broker.depends_on?.migrate, { condition: 'service_completed_successfully' })
  t.same(migrate.depends_on?.postgres, { condition: 'service_healthy' })
  t.same(broker.ports, ['127.0.0.1:8420:8420'], 'plain http to this machine only')
  t.notOk(
    broker.secrets?.some((name) => /migrat|password/.test(name)),
    'the broker cannot become the owner',
  )
})

t.test('the settings in both files are settings, and the broker takes them', async (t) => {
  const secrets = await secretsFolder(t)
  const inImage = Object.fromEntries(
    [...dockerfile.matchAll(/^(?:ENV|\s+) ?([A-Z_]+)=(\S+)/gm)].map(([, name = '', value = '']) => [
      name,
      value,
    ]),
  )
  t.equal(inImage.WRIT_MODE, 'production')
  const known = describeSettings().flatMap(({ name, file }) => (file ? [name, `${name}_FILE`] : [name]))
  for (const name of ['migrate', 'broker'] as const) {
    const own = compose.services[name].environment ?? {}
    const environment = Object.fromEntries(
      Object.entries({ ...inImage, ...own }).map(([variable, value]) => [
        variable,
        value.replace('/run/secrets', secrets).replace(/^\$\{\w+:-(.*)\}$/, '$1'),
      ]),
    )
    for (const variable of Object.keys(own)) {
      if (!variable.startsWith('AWS_')) t.ok(known.includes(variable), `${name}: ${variable}`)
    }
    const config = readConfig(environment, name === 'migrate' ? 'migrate' : 'serve')
    t.match(config, { mode: 'production', host: '0.0.0.0', port: 8420, policies: '/etc/writ/policies' })
    t.match(config.databaseUrl, /writ_broker_login:/)
    t.equal(config.migrateDatabaseUrl !== undefined, name === 'migrate')
  }
})

t.test('everything the image copies gets into the build', async (t) => {
  const kept = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1))
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names = '']) =>
    names.split(' '),
  )
  t.same([...new Set(copied)].sort(), [...kept].sort())
  for (const name of kept) t.ok(statSync(join(ROOT, name)), name)
})
