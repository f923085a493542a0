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

/** Text, or exactly one of `equals`, `in`, `prefix`. Never a regular expression: an alternation escapes its anchors. */
export const matcher = z
  .union([
    literal,
    mapping({
      equals: literal.optional().describe('The claim is exactly this.'),
      in: oneOrMore(literal).optional().describe('The claim is one of these.'),
      prefix: prefix
        .optional()
        .describe(`The claim begins with this, which ends at one of ${[...DELIMITERS].join(' ')}`),
    }).refine(
      (value) => Object.keys(value).length === 1,
      because('matcher_invalid', 'must have exactly one of equals, in and prefix'),
    ),
  ])
  .describe('Text, `{equals}`, `{in}` or `{prefix}`.')

/** The document's matcher in the form that decisions use. */
export function toMatcher(written: z.infer<typeof matcher>): Matcher {
  if (typeof written === 'string') return { kind: 'equals', value: written }
  if (written.equals !== undefined) return { kind: 'equals', value: written.equals }
  if (written.prefix !== undefined) return { kind: 'prefix', value: written.prefix }
  const values = [...new Set(written.in)].sort()
  return values.length === 1 ? { kind: 'equals', value: values[0] ?? '' } : { kind: 'in', values }
}
