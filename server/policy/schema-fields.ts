import { z } from 'zod'
import type { ProblemCode } from './problems.js'

/** A mapping that knows its keys: the message of an unknown one carries them, for the nearest spelling. */
export const mapping = <T extends z.ZodRawShape>(shape: T) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : undefined),
  })

/** A refinement with a problem code of its own. */
export const because = (code: ProblemCode, error: string) => ({ error, params: { code } })

// Controls, bidirectional overrides, zero-width characters: an approver must read what is compared.
const UNREADABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

export const readable = (longest: number) =>
  z
    .string()
    .min(1, { error: 'must not be empty' })
    .max(longest, { error: `must have at most ${longest} characters` })
    .refine((text) => !UNREADABLE.test(text), { error: 'must not hold control or invisible characters' })
    .refine((text) => text === text.trim(), { error: 'must not begin or end with a space' })

const named = (pattern: RegExp, error: string) => z.string().regex(pattern, { error })

export const agentName = named(
  /^[a-z0-9][a-z0-9-]{0,39}$/,
  'must be 1 to 40 of a-z, 0-9 and -, not beginning with -',
)
export const environmentName = named(
  /^[a-z0-9][a-z0-9-]{0,31}$/,
  'must be 1 to 32 of a-z, 0-9 and -, not beginning with -',
)
export const scopeName = z
  .string()
  .regex(/^[a-z0-9-]+(:[a-z0-9-]+)*$/, { error: 'must be words of a-z, 0-9 and -, joined by :' })
  .max(64, { error: 'must have at most 64 characters' })

/** A scope by name, or by how it begins: only up to a `:`, or `order:*` would be `orders:write` too. */
export const scopePattern = z
  .string()
  .regex(/^[a-z0-9-]+(:[a-z0-9-]+)*(:\*)?$/, {
    error: 'must be a scope such as orders:write, or the beginning of some such as orders:*',
  })
  .max(64, { error: 'must have at most 64 characters' })

export const duration = z.string().regex(/^[1-9]\d{0,5}[smh]$/, {
  error: 'must be a duration such as 90s, 15m or 4h',
})

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Of a parsed URL's host name. */
export const isLoopbackHost = (hostname: string): boolean => LOOPBACK.has(hostname)

/** https anywhere, http on this machine only: keys fetched over plain http are anybody's keys. */
function isSecure(text: string): boolean {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  if (url.username !== '' || url.password !== '' || url.hash !== '') return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname))
}

export const secureUrl = readable(512).refine(
  isSecure,
  because('url_insecure', 'must be an https URL (http on loopback only), without user name or fragment'),
)

export const absolutePath = readable(512).refine((text) => text.startsWith('/'), {
  error: 'must be an absolute path',
})

export const roleArn = z
  .string()
  .regex(/^arn:(aws|aws-cn|aws-us-gov):iam::\d{12}:role\/([\w+=,.@-]+\/)*[\w+=,.@-]{1,64}$/, {
    error:
      'must be the ARN of one IAM role, such as "arn:aws:iam::111122223333:role/writ/name", without wildcards',
  })

export const oneOrMore = <T extends z.ZodType>(item: T) =>
  z.array(item).min(1, { error: 'must not be empty' }).max(1000, { error: 'must have at most 1000 entries' })

export const unique = <T extends z.ZodType<string>>(item: T) =>
  oneOrMore(item).refine((list) => new Set(list).size === list.length, { error: 'must not repeat an entry' })
