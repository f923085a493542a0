import { z } from 'zod'

const given = z.string().min(1)
const text = given.optional()
const postgres = z.url({ protocol: /^postgres(ql)?$/ }).optional()
const count = (least: number, most: number) => z.coerce.number().int().min(least).max(most)

/** Every setting, its default and its meaning. */
export const settings = z.object({
  WRIT_MODE: z
    .enum(['local', 'production'])
    .optional()
    .describe(
      '`local`: embedded PostgreSQL, local AWS, loopback only. `production`: everything real. Default: `production` when DATABASE_URL is set, else `local`',
    ),
  WRIT_HOST: given.default('127.0.0.1').describe('Address to listen on; loopback only in local mode'),
  WRIT_PORT: count(0, 65_535).default(8420).describe('Port to listen on; 0 takes a free one'),
  WRIT_PUBLIC_URL: z
    .url()
    .regex(
      /^(https:\/\/[^/?#@\s]+|http:\/\/localhost(:\d+)?)\/?$/,
      'not https://HOST, without a path (http://localhost will do)',
    )
    .transform((url) => new URL(url).origin)
    .optional()
    .describe(
      'Address of the console, as operators’ browsers see it: `https://writ.example.com`. Passkeys are bound to its host name: another name takes new ones. Required in production; default in local mode: `http://localhost` and the port',
    ),
  WRIT_PASSKEY_AAGUIDS: z
    .string()
    .transform((list) => list.split(',').map((one) => one.trim().toLowerCase()))
    .pipe(z.array(z.guid()).min(1))
    .optional()
    .describe(
      'Comma-separated models of authenticators (AAGUID) that may enrol, shown by their attestation; goes with WRIT_PASSKEY_ROOTS_FILE. Default any',
    ),
  WRIT_PASSKEY_ROOTS_FILE: text.describe(
    'Root certificates (PEM) of the makers of those authenticators: without them any program could claim to be one',
  ),
  WRIT_DATA_DIR: given
    .default('.writ')
    .describe(
      'Folder of local mode: the database, the keys of the local issuer, the address of the running broker',
    ),
  WRIT_POLICIES: text.describe(
    'Folder of the policy documents. Default: the example set that comes with Writ; required in production',
  ),
  DATABASE_URL: postgres.describe(
    'PostgreSQL 15 to 18, as a login that is a member of `writ_broker` and nothing more',
  ),
  WRIT_MIGRATE_DATABASE_URL: postgres.describe(
    'The same database as a login that may become `writ_owner`; only `writ migrate`, `writ audit redact` and `writ audit archive` read it',
  ),
  WRIT_LOG_DIR: text.describe(
    'Folder the log is published to: tiles and signed checkpoints, outside the database. Replicas that share it share one; goes with WRIT_LOG_KEY_FILE. Default: `log` in WRIT_DATA_DIR in local mode, none in production',
  ),
  WRIT_LOG_KEY_FILE: text.describe(
    'Key that signs checkpoints, made by `writ audit keygen`; its name is the origin of the log. Default: made in WRIT_DATA_DIR in local mode',
  ),
  WRIT_LOG_BUCKET: z
    .string()
    .regex(
      /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*\/?$/,
      'not s3://BUCKET/PREFIX',
    )
    .optional()
    .describe(
      '`s3://BUCKET/PREFIX` the log is published to, beside WRIT_LOG_DIR or instead of it; the bucket needs object lock. Goes with WRIT_LOG_KEY_FILE and WRIT_LOG_BUCKET_RETAIN_DAYS; production only',
    ),
  WRIT_LOG_BUCKET_REGION: z
    .string()
    .regex(/^[a-z0-9-]{2,40}$/)
    .optional()
    .describe('Region of the bucket. Default: WRIT_AWS_REGION'),
  WRIT_LOG_BUCKET_ENDPOINT: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('URL of an S3-compatible store, which is then addressed by path. Default: AWS'),
  WRIT_LOG_BUCKET_RETAIN_DAYS: count(1, 36_500)
    .optional()
    .describe(
      'Days for which nobody can remove what is published to the bucket, nor shorten them afterwards',
    ),
  WRIT_TRUSTED_PROXIES: z
    .string()
    .transform((list) => list.split(',').map((cidr) => cidr.trim()))
    .pipe(z.array(z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()])))
    .optional()
    .describe('Comma-separated addresses or CIDR blocks whose X-Forwarded-For is believed; default none'),
  WRIT_TLS_CERT_FILE: text.describe('PEM certificate chain; with WRIT_TLS_KEY_FILE the broker speaks https'),
  WRIT_TLS_KEY_FILE: text.describe('PEM private key'),
  WRIT_AWS_REGION: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d$/)
    .default('us-east-1')
    .describe('Region in which the broker asks AWS who it is itself'),
  WRIT_AWS_TIMEOUT_MS: count(500, 15_000)
    .default(5_000)
    .describe('Longest wait for one AssumeRole, milliseconds'),
  WRIT_CONTAINMENT_ROLE: z
    .string()
    .regex(/^arn:aws[a-z-]*:iam::(\{account\}|\d{12}):role\/[\w+=,.@/-]+$/)
    .optional()
    .describe(
      'Role that the broker assumes to write denies in accounts other than its own, such as `arn:aws:iam::{account}:role/writ/containment`',
    ),
  WRIT_WEBHOOK_INSIDE: z
    .string()
    .transform((list) => list.split(',').map((cidr) => cidr.trim()))
    .pipe(z.array(z.union([z.cidrv4(), z.cidrv6()])))
    .optional()
    .describe('Comma-separated blocks of private addresses that webhooks may reach; default none'),
  WRIT_LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Least severe line logged'),
})

/** Settings whose value may be given as a file, by the name with `_FILE`: secrets mounted by an orchestrator. */
export const FROM_FILE = ['DATABASE_URL', 'WRIT_MIGRATE_DATABASE_URL'] as const

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
