import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { StartError } from './errors.js'
import { packageRoot } from './paths.js'

/** The only reader of the environment in the server. Every setting, its default and its meaning. */
const settings = z.object({
  WRIT_MODE: z
    .enum(['local', 'production'])
    .optional()
    .describe(
      '`local`: embedded PostgreSQL, local AWS, loopback only. `production`: everything real. Default: `production` when DATABASE_URL is set, else `local`',
    ),
  WRIT_HOST: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on; loopback only in local mode'),
  WRIT_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(8420)
    .describe('Port to listen on; 0 takes a free one'),
  WRIT_DATA_DIR: z
    .string()
    .min(1)
    .default('.writ')
    .describe(
      'Folder of local mode: the database, the keys of the local issuer, the address of the running broker',
    ),
  WRIT_POLICIES: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Folder of the policy documents. Default: the example set that comes with Writ; required in production',
    ),
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .optional()
    .describe('PostgreSQL 15 to 18, as a login that is a member of `writ_broker` and nothing more'),
  WRIT_MIGRATE_DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .optional()
    .describe('The same database as a login that may become `writ_owner`; only `writ migrate` reads it'),
  WRIT_LOG_DIR: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Folder the log is published to: tiles and signed checkpoints, outside the database. Replicas that share it share one; goes with WRIT_LOG_KEY_FILE. Default: `log` in WRIT_DATA_DIR in local mode, none in production',
    ),
  WRIT_LOG_KEY_FILE: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Key that signs checkpoints, made by `writ audit keygen`; its name is the origin of the log. Default: made in WRIT_DATA_DIR in local mode',
    ),
  WRIT_TRUSTED_PROXIES: z
    .string()
    .transform((list) => list.split(',').map((cidr) => cidr.trim()))
    .pipe(z.array(z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()])))
    .optional()
    .describe('Comma-separated addresses or CIDR blocks whose X-Forwarded-For is believed; default none'),
  WRIT_TLS_CERT_FILE: z
    .string()
    .min(1)
    .optional()
    .describe('PEM certificate chain; with WRIT_TLS_KEY_FILE the broker speaks https'),
  WRIT_TLS_KEY_FILE: z.string().min(1).optional().describe('PEM private key'),
  WRIT_AWS_REGION: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d$/)
    .default('us-east-1')
    .describe('Region in which the broker asks AWS who it is itself'),
  WRIT_AWS_TIMEOUT_MS: z.coerce
    .number()
    .int()
    .min(500)
    .max(15_000)
    .default(5_000)
    .describe('Longest wait for one AssumeRole, milliseconds'),
  WRIT_LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Least severe line logged'),
})

/** Settings whose value may be given as a file, by the name with `_FILE`: secrets mounted by an orchestrator. */
const FROM_FILE = ['DATABASE_URL', 'WRIT_MIGRATE_DATABASE_URL'] as const

export interface Config {
  readonly mode: 'local' | 'production'
  readonly host: string
  readonly port: number
  readonly dataDir: string
  readonly policies: string
  readonly databaseUrl?: string
  readonly migrateDatabaseUrl?: string
  /** Where the log is published and what signs it; absent means it is not. */
  readonly publish?: { readonly directory: string; readonly keyFile: string }
  readonly trustedProxies: readonly string[]
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
  readonly awsRegion: string
  readonly awsTimeoutMs: number
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
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
  }
  if ((data.WRIT_TLS_CERT_FILE === undefined) !== (data.WRIT_TLS_KEY_FILE === undefined)) {
    throw new StartError('WRIT_TLS_CERT_FILE and WRIT_TLS_KEY_FILE go together: set both or neither.')
  }
  if ((data.WRIT_LOG_DIR === undefined) !== (data.WRIT_LOG_KEY_FILE === undefined)) {
    throw new StartError('WRIT_LOG_DIR and WRIT_LOG_KEY_FILE go together: set both or neither.')
  }
  return {
    mode,
    host: data.WRIT_HOST,
    port: data.WRIT_PORT,
    dataDir: resolve(data.WRIT_DATA_DIR),
    policies: resolve(data.WRIT_POLICIES ?? join(packageRoot(), 'policies')),
    ...(data.DATABASE_URL === undefined ? {} : { databaseUrl: data.DATABASE_URL }),
    ...(data.WRIT_MIGRATE_DATABASE_URL === undefined
      ? {}
      : { migrateDatabaseUrl: data.WRIT_MIGRATE_DATABASE_URL }),
    ...publishTo(data, mode),
    trustedProxies: data.WRIT_TRUSTED_PROXIES ?? [],
    ...(data.WRIT_TLS_CERT_FILE === undefined || data.WRIT_TLS_KEY_FILE === undefined
      ? {}
      : { tls: { certFile: data.WRIT_TLS_CERT_FILE, keyFile: data.WRIT_TLS_KEY_FILE } }),
    awsRegion: data.WRIT_AWS_REGION,
    awsTimeoutMs: data.WRIT_AWS_TIMEOUT_MS,
    logLevel: data.WRIT_LOG_LEVEL,
  }
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

/** Name and meaning of every setting, for the help and the documents. */
export function describeSettings(): readonly {
  readonly name: string
  readonly meaning: string
  readonly file: boolean
}[] {
  return Object.entries(settings.shape).map(([name, schema]) => ({
    name,
    meaning: schema.description ?? '',
    file: FROM_FILE.some((fromFile) => fromFile === name),
  }))
}
