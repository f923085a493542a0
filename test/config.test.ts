import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readConfig, shownConfig } from '../server/config.js'
import { StartError } from '../server/errors.js'
import { describeSettings } from '../server/settings.js'

const URL = 'postgres://writ:hunter2@db.example.com/writ'
const PRODUCTION = {
  DATABASE_URL: URL,
  WRIT_POLICIES: '/etc/writ/policies',
  WRIT_PUBLIC_URL: 'https://writ.example.com',
}

const BUCKET = {
  ...PRODUCTION,
  WRIT_LOG_BUCKET: 's3://b-1/writ/log',
  WRIT_LOG_KEY_FILE: '/key',
  WRIT_LOG_BUCKET_RETAIN_DAYS: '365',
}

t.test('with nothing set it is local, on loopback', async (t) => {
  const config = readConfig({})
  t.match(config, { mode: 'local', host: '127.0.0.1', port: 8420 })
  t.ok(Object.isFrozen(config))
  t.equal(readConfig(PRODUCTION).mode, 'production')
})

t.test('wrong and contradictory settings are one sentence that names them', async (t) => {
  const sentence = (environment: Record<string, string>) => {
    try {
      readConfig(environment)
      return 'accepted'
    } catch (error) {
      t.ok(error instanceof StartError)
      return error instanceof Error ? error.message : ''
    }
  }
  const cases: [Record<string, string>, RegExp][] = [
    [{ WRIT_PORT: 'http' }, /^WRIT_PORT/],
    [{ WRIT_PORT: '70000' }, /^WRIT_PORT/],
    [{ WRIT_MODE: 'staging' }, /^WRIT_MODE/],
    [{ WRIT_PROT: '1' }, /^WRIT_PROT is not a setting/],
    [{ WRIT_HOST: '0.0.0.0' }, /^WRIT_HOST.*loopback/],
    [{ NODE_ENV: 'production' }, /^NODE_ENV.*this machine only/],
    [{ WRIT_MODE: 'local', DATABASE_URL: URL }, /DATABASE_URL/],
    [{ WRIT_MODE: 'production' }, /^DATABASE_URL is missing/],
    [{ DATABASE_URL: URL }, /^WRIT_POLICIES is missing/],
    [{ ...PRODUCTION, WRIT_PUBLIC_URL: '' }, /^WRIT_PUBLIC_URL is missing/],
    [{ ...PRODUCTION, WRIT_PUBLIC_URL: 'http://writ.example.com' }, /^WRIT_PUBLIC_URL is wrong/],
    [{ ...PRODUCTION, WRIT_PUBLIC_URL: 'https://writ.example.com/console' }, /^WRIT_PUBLIC_URL is wrong/],
    [{ ...PRODUCTION, WRIT_PUBLIC_URL: 'https://user@writ.example.com' }, /^WRIT_PUBLIC_URL is wrong/],
    [{ WRIT_PASSKEY_AAGUIDS: 'yubikey' }, /^WRIT_PASSKEY_AAGUIDS is wrong/],
    [{ WRIT_PASSKEY_AAGUIDS: 'adce0002-35bc-c60a-648b-0b25f1f05503' }, /go together/],
    [{ DATABASE_URL: 'mysql://x' }, /^DATABASE_URL is wrong/],
    [{ ...PRODUCTION, DATABASE_URL_FILE: '/x' }, /both set/],
    [{ DATABASE_URL_FILE: '/nowhere/at/all' }, /DATABASE_URL_FILE names a file/],
    [{ WRIT_TLS_CERT_FILE: '/x' }, /go together/],
    [{ WRIT_TRUSTED_PROXIES: 'everyone' }, /^WRIT_TRUSTED_PROXIES/],
    [{ WRIT_AWS_REGION: 'mars' }, /^WRIT_AWS_REGION/],
    [{ WRIT_LOG_LEVEL: 'loud' }, /^WRIT_LOG_LEVEL/],
    [{ WRIT_AWS_TIMEOUT_MS: '60000' }, /^WRIT_AWS_TIMEOUT_MS/],
    [{ ...PRODUCTION, WRIT_LOG_DIR: '/log' }, /^WRIT_LOG_DIR and WRIT_LOG_KEY_FILE go together/],
    [{ ...PRODUCTION, WRIT_LOG_KEY_FILE: '/key' }, /go together/],
    [
      { ...PRODUCTION, WRIT_LOG_BUCKET: 's3://b-1/log' },
      /^WRIT_LOG_BUCKET and WRIT_LOG_KEY_FILE go together/,
    ],
    [{ ...BUCKET, WRIT_LOG_BUCKET_RETAIN_DAYS: '' }, /^WRIT_LOG_BUCKET_RETAIN_DAYS is missing/],
    [{ ...BUCKET, WRIT_LOG_BUCKET_RETAIN_DAYS: '0' }, /^WRIT_LOG_BUCKET_RETAIN_DAYS is wrong/],
    [{ ...BUCKET, WRIT_LOG_BUCKET_RETAIN_DAYS: '40000' }, /^WRIT_LOG_BUCKET_RETAIN_DAYS is wrong/],
    [{ ...BUCKET, WRIT_LOG_BUCKET_ENDPOINT: 'ftp://x' }, /^WRIT_LOG_BUCKET_ENDPOINT is wrong/],
    [{ ...BUCKET, WRIT_LOG_BUCKET: 's3://b-1/a/../c' }, /^WRIT_LOG_BUCKET is wrong/],
    [{ ...BUCKET, WRIT_LOG_BUCKET: 's3://b-1/a//c' }, /^WRIT_LOG_BUCKET is wrong/],
    [{ ...BUCKET, WRIT_LOG_BUCKET: 'https://b-1' }, /^WRIT_LOG_BUCKET is wrong/],
    [
      { WRIT_LOG_BUCKET: 's3://b-1', WRIT_LOG_KEY_FILE: '/key', WRIT_LOG_BUCKET_RETAIN_DAYS: '1' },
      /^WRIT_LOG_BUCKET.*local mode/,
    ],
  ]
  for (const [environment, wanted] of cases) {
    const found = sentence(environment)
    t.match(found, wanted, JSON.stringify(environment))
    t.notMatch(found, /\n|hunter2/, 'one line, no password')
  }
})

t.test('secrets come from files and are not shown', async (t) => {
  const file = join(t.testdir(), 'url')
  await writeFile(file, `${URL}\n`)
  const config = readConfig({ ...PRODUCTION, DATABASE_URL: '', DATABASE_URL_FILE: file })
  t.equal(config.databaseUrl, URL)
  const inQuery = readConfig({ ...PRODUCTION, DATABASE_URL: 'postgres://db/writ?user=u&password=hunter2' })
  for (const one of [config, inQuery]) t.notMatch(JSON.stringify(shownConfig(one)), /hunter2/)
  t.match(JSON.stringify(shownConfig(config)), /db\.example\.com/)
})

t.test('the log goes to a folder, a bucket, or both', async (t) => {
  const alone = readConfig(BUCKET)
  t.strictSame(alone.logBucket, {
    bucket: 'b-1',
    prefix: 'writ/log/',
    region: 'us-east-1',
    retainDays: 365,
    keyFile: '/key',
  })
  t.equal(alone.publish, undefined)
  const both = readConfig({
    ...BUCKET,
    WRIT_LOG_BUCKET: 's3://b-1/',
    WRIT_LOG_BUCKET_REGION: 'eu-west-1',
    WRIT_LOG_BUCKET_ENDPOINT: 'https://s3.example.com',
    WRIT_LOG_DIR: '/log',
  })
  t.match(both, {
    publish: { directory: '/log', keyFile: '/key' },
    logBucket: { bucket: 'b-1', prefix: '', region: 'eu-west-1', endpoint: 'https://s3.example.com' },
  })
  t.equal(readConfig(PRODUCTION).logBucket, undefined)
})

t.test('every setting has a meaning', async (t) => {
  for (const { name, meaning } of describeSettings()) t.ok(meaning.length > 10, name)
})
