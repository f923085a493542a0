import { z } from 'zod'
import { BODIES } from '../../server/audit/bodies/registry.js'

interface Property {
  readonly type?: string
  readonly description?: string
  readonly enum?: readonly string[]
  readonly const?: unknown
  readonly items?: Property
  readonly prefixItems?: readonly Property[]
}

/** What every body has is said once, above the table of kinds. */
const COMMON = new Set(['v', 'index', 'at', 'kind', 'personal'])

/** The generated part of docs/log-entries.md: every kind with its fields, from the schemas. */
export function entryParts(): Readonly<Record<string, string>> {
  const kinds = Object.entries(BODIES).map(([kind, { describe, body, personal }]) => {
    const beside =
      personal === undefined ? [] : ['', 'Beside it, under the hash `personal`:', '', ...table(personal)]
    return [`### ${kind}`, '', `${describe}.`, '', ...table(body), ...beside].join('\n')
  })
  return { kinds: kinds.join('\n\n') }
}

function table(schema: z.ZodObject): readonly string[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { unrepresentable: 'any' }) as {
    properties?: Record<string, Property>
    required?: readonly string[]
  }
  const rows = Object.entries(properties)
    .filter(([name]) => !COMMON.has(name))
    .map(
      ([name, property]) =>
        `| \`${name}\` | ${typeOf(property)} | ${required.includes(name) ? '' : 'not always'} | ${property.description ?? ''} |`,
    )
  return rows.length === 0
    ? ['Nothing but what every entry has.']
    : ['| field | type | there | meaning |', '| --- | --- | --- | --- |', ...rows]
}

function typeOf({ type, enum: values, const: fixed, items, prefixItems }: Property): string {
  if (fixed !== undefined) return `\`${String(fixed)}\``
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(', ')
  if (prefixItems !== undefined) return `[${prefixItems.map(typeOf).join(', ')}]`
  if (type === 'array') return `list of ${items === undefined ? 'values' : typeOf(items)}`
  return type ?? 'object'
}
