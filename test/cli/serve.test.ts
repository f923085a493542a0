import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../server/paths.js'
import { testDatabase } from '../support/postgres.js'
import { command } from './support.js'

t.setTimeout(120_000)

t.test('serve: up with nothing configured, found by the other verbs, and down on a signal', async (t) => {
  const { writ, folder } = command(t)
  const announced = join(folder, '.writ/local.json')
  let told: unknown
  const served = await writ(['serve'], {
    env: { WRIT_PORT: '0' },
    onStart: (child) => {
      let log = ''
      const listening = async () => {
        const me = await writ(['whoami', '--as', 'report-bot', '--json'])
        told = me.code === 0 ? me.json.agent : me.stderr
        child.kill('SIGTERM')
      }
      child.stdout?.on('data', (text: Buffer) => {
        const before = log.includes('"msg":"listening"')
        log += text.toString()
        if (!before && log.includes('"msg":"listening"')) listening().catch(() => child.kill('SIGKILL'))
      })
    },
  })
  t.equal(told, 'report-bot')
  t.equal(served.code, 0, served.stderr)
  t.ok(existsSync(join(folder, '.writ')), 'its data stays')
  t.notOk(existsSync(announced), 'its address does not')
  const gone = await writ(['whoami', '--as', 'report-bot'])
  t.equal(gone.code, 2, 'no local broker any more')
})

t.test('migrate', async (t) => {
  const { writ } = command(t)
  const { ownerUrl, brokerUrl } = await testDatabase(t, { migrated: false })
  const env = {
    WRIT_MODE: 'production',
    WRIT_POLICIES: join(packageRoot(), 'policies'),
    WRIT_MIGRATE_DATABASE_URL: ownerUrl,
    DATABASE_URL: brokerUrl,
  }
  const first = await writ(['migrate', '--json'], { env })
  t.equal(first.code, 0, first.stderr)
  t.match(first.json, { broker_login_checked: true })
  t.ok(first.json.applied.length > 0)
  const second = await writ(['migrate'], { env })
  t.match(second.stdout, /up to date/)

  const mighty = await writ(['migrate', '--json'], { env: { ...env, DATABASE_URL: ownerUrl } })
  t.equal(mighty.code, 1)
  t.match(mighty.json, { code: 'start', detail: /can do what no broker may/ })
  t.notMatch(mighty.stdout + first.stdout + first.stderr, new URL(ownerUrl).password)
  const closed = await writ(['migrate'], {
    env: { ...env, WRIT_MIGRATE_DATABASE_URL: 'postgres://writ_migrator:hunter2@127.0.0.1:1/writ' },
  })
  t.equal(closed.code, 1)
  t.match(closed.stderr, /^writ: The database cannot be used/)
  t.notMatch(closed.stderr, /hunter2/)
})

t.test('the broker refuses the local issuer in production, in one sentence', async (t) => {
  const { writ } = command(t)
  const { brokerUrl } = await testDatabase(t)
  const served = await writ(['serve'], {
    env: {
      DATABASE_URL: brokerUrl,
      WRIT_POLICIES: join(packageRoot(), 'policies'),
      WRIT_PUBLIC_URL: 'https://writ.example.com',
      WRIT_LOG_LEVEL: 'silent',
    },
  })
  t.equal(served.code, 1)
  t.match(served.stderr, /^writ: .*https:\/\/local\.writ\.invalid.*$/m)
})
