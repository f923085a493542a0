import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startEmbeddedPostgres } from '../../server/db/embedded.js'
import { isAlive } from '../../server/db/embedded-process.js'
import { migrate } from '../../server/db/migrate.js'
import { createPool, type Database, type Log } from '../../server/db/pool.js'
import type { DatabaseError } from '../../server/db/pool-errors.js'
import { applyDatabasePrivileges, provision, withDatabase } from '../../server/db/provision.js'
import { packageRoot } from '../../server/paths.js'

/** One server for a whole run; `run.ts` hands it down in WRIT_TEST_POSTGRES as JSON. */
export interface TestServer {
  readonly superuserUrl: string
  readonly ownerUrl: string
  readonly brokerUrl: string
  /** A migrated database to copy; null while the project has no migrations. */
  readonly template: string | null
}

export interface TestDatabase {
  readonly superuserUrl: string
  readonly ownerUrl: string
  readonly brokerUrl: string
  readonly name: string
}

interface Teardown {
  teardown(work: () => unknown): unknown
}

export const silent: Log = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** What `t.rejects` is to find on a DatabaseError; tap's types want at least a name or a message. */
export function databaseError(
  facts: Partial<Pick<DatabaseError, 'sqlState' | 'constraint' | 'unavailable'>>,
): { readonly name: string } {
  return { name: 'DatabaseError', ...facts }
}

/**
 * Speed over durability: a test's data need not survive the machine. No autovacuum: a test's data do not live long
 * enough for it, and while it looks at a table it holds up what a test's own VACUUM should remove.
 */
export const FAST = { fsync: 'off', full_page_writes: 'off', autovacuum: 'off', max_connections: '200' }

/** A database of the test's own, migrated unless told otherwise, dropped after it. */
export async function testDatabase(
  t: Teardown,
  options: { readonly migrated?: boolean } = {},
): Promise<TestDatabase> {
  const server = await sharedServer()
  const name = `writ_test_${randomBytes(6).toString('hex')}`
  const template = options.migrated === false ? null : await templateOf(server)
  const from = template === null ? '' : `TEMPLATE ${template}`
  await asSuperuser(server.superuserUrl, async (admin) => {
    await admin.query(`CREATE DATABASE ${name} ${from} OWNER writ_owner`)
  })
  await applyDatabasePrivileges(server.superuserUrl, name)
  t.teardown(() =>
    asSuperuser(server.superuserUrl, (admin) => admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
  )
  return {
    superuserUrl: withDatabase(server.superuserUrl, name),
    ownerUrl: withDatabase(server.ownerUrl, name),
    brokerUrl: withDatabase(server.brokerUrl, name),
    name,
  }
}

export interface CrashableServer extends TestDatabase {
  readonly dataDir: string
  /** Kills PostgreSQL as a crash would; returns when the process is gone. */
  kill9(): Promise<void>
  /** Starts it again on the same port, so that the same URLs lead to it. */
  restart(): Promise<void>
}

/** A server of the test's own, which it may kill. Its database `writ` is migrated unless told otherwise. */
export async function testServer(
  t: Teardown,
  options: { readonly migrated?: boolean } = {},
): Promise<CrashableServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'writ-test-'))
  const forget = endWithUs(dataDir)
  let server = await startEmbeddedPostgres({ dataDir, log: silent, extraSettings: FAST })
  const { superuserUrl, ownerUrl, brokerUrl, port } = server
  t.teardown(async () => {
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
    forget()
  })
  if (options.migrated !== false && hasMigrations()) {
    await migrate({ ownerUrl, directory: migrationsFolder(), log: silent })
  }
  return {
    superuserUrl: withDatabase(superuserUrl, 'writ'),
    ownerUrl,
    brokerUrl,
    name: 'writ',
    dataDir,
    kill9: async () => {
      process.kill(server.pid, 'SIGKILL')
      while (isAlive(server.pid)) await delay(5)
      await server.stop()
    },
    restart: async () => {
      await server.stop()
      server = await startEmbeddedPostgres({ dataDir, log: silent, extraSettings: FAST, port })
    },
  }
}

/** Makes the template that `testDatabase` copies; answers with its name, null without migrations. */
export async function makeTemplate(
  server: Omit<TestServer, 'template'>,
  name = 'writ_template',
): Promise<string | null> {
  if (!hasMigrations()) return null
  await asSuperuser(server.superuserUrl, (admin) =>
    admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  )
  const passwords = { owner: passwordOf(server.ownerUrl), broker: passwordOf(server.brokerUrl) }
  await provision(server.superuserUrl, { database: name, passwords })
  await migrate({
    ownerUrl: withDatabase(server.ownerUrl, name),
    directory: migrationsFolder(),
    log: silent,
  })
  return name
}

let shared: Promise<TestServer> | undefined
let ownTemplate: Promise<string | null> | undefined

/** On a server of this file's own the template is made when first needed. */
async function templateOf(server: TestServer): Promise<string | null> {
  if (process.env.WRIT_TEST_POSTGRES !== undefined) return server.template
  ownTemplate ??= makeTemplate(server)
  return await ownTemplate
}

function sharedServer(): Promise<TestServer> {
  shared ??= startShared()
  return shared
}

async function startShared(): Promise<TestServer> {
  const given = process.env.WRIT_TEST_POSTGRES
  if (given !== undefined) return JSON.parse(given) as TestServer
  const dataDir = await mkdtemp(join(tmpdir(), 'writ-test-'))
  const forget = endWithUs(dataDir)
  const server = await startEmbeddedPostgres({ dataDir, log: silent, extraSettings: FAST })
  // The root test's: after all tests of the file, not after the one that happened to come first. Loaded
  // only here, since tap writes a report in whatever process loads it, such as the runner.
  const { default: root } = await import('tap')
  root.teardown(async () => {
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
    forget()
  })
  const { superuserUrl, ownerUrl, brokerUrl } = server
  return { superuserUrl, ownerUrl, brokerUrl, template: null }
}

/**
 * Ends a test's server and removes its folder when this process dies, however it dies: the shell waits for
 * a pipe that only we hold open. The answer calls it off.
 */
export function endWithUs(dataDir: string): () => void {
  const script = 'read _; kill -QUIT "$(head -n 1 "$1/postgres/postmaster.pid")"; sleep 1; rm -rf "$1"'
  const shell = spawn('/bin/sh', ['-c', script, 'sh', dataDir], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  shell.unref()
  ;(shell.stdin as Socket).unref()
  return () => shell.kill('SIGKILL')
}

async function asSuperuser(url: string, work: (admin: Database) => Promise<unknown>): Promise<void> {
  const admin = createPool({
    connectionString: url,
    applicationName: 'writ test',
    log: silent,
    max: 1,
    statementTimeoutMs: 60_000,
  })
  try {
    await work(admin)
  } finally {
    await admin.end()
  }
}

const migrationsFolder = (): string => join(packageRoot(), 'migrations')

function hasMigrations(): boolean {
  return readdirSync(migrationsFolder()).some((name) => name.endsWith('.sql'))
}

function passwordOf(url: string): string {
  return decodeURIComponent(new URL(url).password)
}
