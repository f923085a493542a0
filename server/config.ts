import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { z } from 'zod'
import { StartError } from './errors.js'
import { packageRoot } from './paths.js'
import { FROM_FILE, settings } from './settings.js'

export interface Config {
  readonly mode: 'local' | 'production'
  readonly host: string
  readonly port: number
  /** Of the console, an origin. Absent in local mode: then it is localhost and the port. */
  readonly publicUrl?: string
  /** Models of authenticators that may enrol; absent means any. */
  readonly passkeyModels?: { readonly aaguids: readonly string[]; readonly rootsFile: string }
  readonly dataDir: string
  readonly policies: string
  readonly databaseUrl?: string
  readonly migrateDatabaseUrl?: string
  /** Where the log is published and what signs it; absent means it is not. */
  readonly publish?: { readonly directory: string; readonly keyFile: string }
  /** Where else; may stand alone. */
  readonly logBucket?: BucketConfig
  readonly trustedProxies: readonly string[]
  /** Blocks of private addresses that webhooks may reach all the same. */
  readonly webhookInside: readonly string[]
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
  readonly awsRegion: string
  readonly awsTimeoutMs: number
  /** With `{account}` in place of the digits. */
  readonly containmentRole?: string
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
}

export interface BucketConfig {
  readonly bucket: string
  /** Empty, or ending in `/`. */
  readonly prefix: string
  readonly region: string
  readonly endpoint?: string
  readonly retainDays: number
  readonly keyFile: string
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The frozen configuration. Throws `StartError`, one sentence naming the setting, on a wrong value, an
 * unknown WRIT_ name, or settings that contradict one another.
 */
export function readConfig(
  environment: Environment = process.env,
  /** `migrate` asks for what migrations need, and no more. */
  purpose: 'serve' | 'migrate' = 'serve',
): Config {
  const given = withFiles(environment)
  for (const name of Object.keys(given)) {
    if (name.startsWith('WRIT_') && !(name in settings.shape) && !CLIENT_SETTINGS.includes(name)) {
      throw new StartError(`${name} is not a setting; see docs/settings.md for those there are.`)
    }
  }
  const known = Object.fromEntries(
    Object.keys(settings.shape).map((name) => [name, given[name] || undefined]),
  )
  const parsed = settings.safeParse(known)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    // The value is not repeated: it may be a connection string.
    throw new StartError(`${String(issue?.path[0])} is wrong: ${issue?.message ?? 'not understood'}.`)
  }
  return Object.freeze(check(parsed.data, environment, purpose))
}

function check(
  data: z.output<typeof settings>,
  environment: Environment,
  purpose: 'serve' | 'migrate',
): Config {
  const real = data.DATABASE_URL ?? (purpose === 'migrate' ? data.WRIT_MIGRATE_DATABASE_URL : undefined)
  const mode = data.WRIT_MODE ?? (real === undefined ? 'local' : 'production')
  if (mode === 'local') {
    if (environment.NODE_ENV === 'production') {
      throw new StartError(
        'NODE_ENV is production, but local mode issues credentials for this machine only: set DATABASE_URL and WRIT_MODE=production.',
      )
    }
    if (data.DATABASE_URL !== undefined) {
      throw new StartError(
        'WRIT_MODE=local brings its own database: unset DATABASE_URL, or set WRIT_MODE=production.',
      )
    }
    if (!['127.0.0.1', '::1', 'localhost'].includes(data.WRIT_HOST)) {
      throw new StartError(`WRIT_HOST is ${data.WRIT_HOST}, but local mode listens on loopback only.`)
    }
  } else if (purpose === 'serve') {
    if (data.DATABASE_URL === undefined) {
      throw new StartError('DATABASE_URL is missing: production needs a PostgreSQL database.')
    }
    if (data.WRIT_POLICIES === undefined) {
      throw new StartError('WRIT_POLICIES is missing: production does not run on the example policies.')
    }
    if (data.WRIT_PUBLIC_URL === undefined) {
      throw new StartError(
        'WRIT_PUBLIC_URL is missing: approvals in production are signed at the console, and bound to its address.',
      )
    }
  }
  if ((data.WRIT_TLS_CERT_FILE === undefined) !== (data.WRIT_TLS_KEY_FILE === undefined)) {
    throw new StartError('WRIT_TLS_CERT_FILE and WRIT_TLS_KEY_FILE go together: set both or neither.')
  }
  if (
    ((data.WRIT_LOG_DIR ?? data.WRIT_LOG_BUCKET) === undefined) !==
    (data.WRIT_LOG_KEY_FILE === undefined)
  ) {
    throw new StartError(
      `${data.WRIT_LOG_BUCKET === undefined ? 'WRIT_LOG_DIR' : 'WRIT_LOG_BUCKET'} and WRIT_LOG_KEY_FILE go together: set both or neither.`,
    )
  }
  return {
    mode,
    host: data.WRIT_HOST,
    port: data.WRIT_PORT,
    ...(data.WRIT_PUBLIC_URL === undefined ? {} : { publicUrl: data.WRIT_PUBLIC_URL }),
    ...passkeyModels(data),
    dataDir: resolve(data.WRIT_DATA_DIR),
    policies: resolve(data.WRIT_POLICIES ?? join(packageRoot(), 'policies')),
    ...(data.DATABASE_URL === undefined ? {} : { databaseUrl: data.DATABASE_URL }),
    ...(data.WRIT_MIGRATE_DATABASE_URL === undefined
      ? {}
      : { migrateDatabaseUrl: data.WRIT_MIGRATE_DATABASE_URL }),
    ...publishTo(data, mode),
    ...bucketOf(data, mode),
    trustedProxies: data.WRIT_TRUSTED_PROXIES ?? [],
    webhookInside: data.WRIT_WEBHOOK_INSIDE ?? [],
    ...(data.WRIT_TLS_CERT_FILE === undefined || data.WRIT_TLS_KEY_FILE === undefined
      ? {}
      : { tls: { certFile: data.WRIT_TLS_CERT_FILE, keyFile: data.WRIT_TLS_KEY_FILE } }),
    awsRegion: data.WRIT_AWS_REGION,
    awsTimeoutMs: data.WRIT_AWS_TIMEOUT_MS,
    ...(data.WRIT_CONTAINMENT_ROLE === undefined ? {} : { containmentRole: data.WRIT_CONTAINMENT_ROLE }),
    logLevel: data.WRIT_LOG_LEVEL,
  }
}

function passkeyModels(data: z.output<typeof settings>): Pick<Config, 'passkeyModels'> {
  const { WRIT_PASSKEY_AAGUIDS: aaguids, WRIT_PASSKEY_ROOTS_FILE: rootsFile } = data
  if ((aaguids === undefined) !== (rootsFile === undefined)) {
    throw new StartError('WRIT_PASSKEY_AAGUIDS and WRIT_PASSKEY_ROOTS_FILE go together: set both or neither.')
  }
  return aaguids === undefined || rootsFile === undefined
    ? {}
    : { passkeyModels: { aaguids, rootsFile: resolve(rootsFile) } }
}

function publishTo(data: z.output<typeof settings>, mode: Config['mode']): Pick<Config, 'publish'> {
  const { WRIT_LOG_DIR: directory, WRIT_LOG_KEY_FILE: keyFile } = data
  if (directory !== undefined && keyFile !== undefined) {
    return { publish: { directory: resolve(directory), keyFile: resolve(keyFile) } }
  }
  const dataDir = resolve(data.WRIT_DATA_DIR)
  return mode === 'local'
    ? { publish: { directory: join(dataDir, 'log'), keyFile: join(dataDir, 'log-key') } }
    : {}
}

function bucketOf(data: z.output<typeof settings>, mode: Config['mode']): Pick<Config, 'logBucket'> {
  const { WRIT_LOG_BUCKET: url, WRIT_LOG_KEY_FILE: keyFile, WRIT_LOG_BUCKET_RETAIN_DAYS: retainDays } = data
  if (url === undefined || keyFile === undefined) return {}
  if (mode === 'local') {
    throw new StartError('WRIT_LOG_BUCKET is set, but local mode has nothing worth what cannot be removed.')
  }
  // No default: nobody can take it back.
  if (retainDays === undefined) {
    throw new StartError('WRIT_LOG_BUCKET_RETAIN_DAYS is missing: say for how long the log is locked.')
  }
  const [bucket = '', ...folders] = url
    .replace(/^s3:\/\//, '')
    .replace(/\/$/, '')
    .split('/')
  const { WRIT_LOG_BUCKET_REGION: region = data.WRIT_AWS_REGION, WRIT_LOG_BUCKET_ENDPOINT: endpoint } = data
  const prefix = folders.map((folder) => `${folder}/`).join('')
  const at = { bucket, prefix, region, retainDays, keyFile: resolve(keyFile) }
  return { logBucket: endpoint === undefined ? at : { ...at, endpoint } }
}

/** Read by the command line's own client side, not by the broker (cli/environment.ts). */
const CLIENT_SETTINGS = [
  'WRIT_URL',
  'WRIT_TOKEN',
  'WRIT_TOKEN_FILE',
  'WRIT_OPERATOR_TOKEN',
  'WRIT_OPERATOR_TOKEN_FILE',
]

function withFiles(environment: Environment): Record<string, string | undefined> {
  const given: Record<string, string | undefined> = { ...environment }
  for (const name of FROM_FILE) {
    const file = given[`${name}_FILE`]
    delete given[`${name}_FILE`]
    if (file === undefined || file === '') continue
    if (given[name]) throw new StartError(`${name} and ${name}_FILE are both set: set one.`)
    try {
      given[name] = readFileSync(file, 'utf8').trim()
    } catch {
      throw new StartError(`${name}_FILE names a file that cannot be read: ${file}.`)
    }
  }
  return given
}

/** The effective configuration for `writ config`, with passwords masked. */
export function shownConfig(config: Config): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config).map(([name, value]) => [
      name,
      name.endsWith('Url') ? maskUrl(String(value)) : value,
    ]),
  )
}

function maskUrl(url: string): string {
  const parsed = new URL(url)
  if (parsed.password !== '') parsed.password = '***'
  if (parsed.searchParams.has('password')) parsed.searchParams.set('password', '***')
  return parsed.toString()
}
