import { z } from 'zod'
import type { Matcher } from '../types.js'
import { because, mapping, oneOrMore, readable } from './schema-fields.js'

/**
 * What a prefix may end at: `repo:acme/` cannot match `repo:acme-evil/`, `repo:acme` could. No `-`, `_` or `.`:
 * they are parts of names, and `repo:acme-` would match `repo:acme-evil/` again.
 */
export const DELIMITERS = ':/@#|'

const literal = readable(512).refine(
  (text) => !/[*?]|\$\{/.test(text),
  because(
    'matcher_invalid',
    'is compared literally, so *, ? and variables would never match. Use {prefix: …}, ending at a delimiter, instead',
  ),
)

const prefix = literal
  .refine(
    (text) => DELIMITERS.includes(text.at(-1) ?? ' '),
    because('matcher_invalid', `must end at a delimiter, one of ${[...DELIMITERS].join(' ')}`),
  )
  .refine(
    (text) => [...text].some((character) => !DELIMITERS.includes(character)),
    because('matcher_invalid', 'must hold more than delimiters'),
  )

/** Text, or exactly one of `equals`, `in`, `prefix`, `has`. Never a regular expression: an alternation escapes its anchors. */
export const matcher = z
  .union([
    literal,
    mapping({
      equals: literal.optional().describe('The claim is exactly this.'),
      in: oneOrMore(literal).optional().describe('The claim is one of these.'),
      prefix: prefix
        .optional()
        .describe(`The claim begins with this, which ends at one of ${[...DELIMITERS].join(' ')}`),
      has: literal.optional().describe('The claim is a list of text, and this is in it.'),
    }).refine(
      (value) => Object.keys(value).length === 1,
      because('matcher_invalid', 'must have exactly one of equals, in, prefix and has'),
    ),
  ])
  .describe('Text, `{equals}`, `{in}`, `{prefix}` or `{has}`.')

export const claimName = readable(128)

export const claims = z
  .record(claimName, matcher)
  .refine(
    (all) => Object.keys(all).length > 0,
    because(
      'matcher_missing',
      'must have at least one matcher: without one, every token of the issuer would fit',
    ),
  )
  .describe('Claim → matcher. All of them must hold. Text means equals.')

/** The document's matcher in the form that decisions use. */
export function toMatcher(written: z.infer<typeof matcher>): Matcher {
  if (typeof written === 'string') return { kind: 'equals', value: written }
  if (written.equals !== undefined) return { kind: 'equals', value: written.equals }
  if (written.prefix !== undefined) return { kind: 'prefix', value: written.prefix }
  if (written.has !== undefined) return { kind: 'has', value: written.has }
  const values = [...new Set(written.in)].sort()
  return values.length === 1 ? { kind: 'equals', value: values[0] ?? '' } : { kind: 'in', values }
}
