import { z } from 'zod'
import type { PolicySet } from '../types.js'
import { CONDITION_OPERATORS } from './conditions.js'
import { ALGORITHMS, PRESETS, presetOf } from './presets.js'
import { PROBLEM_CODES } from './problems.js'
import { RED_LINES } from './red-lines.js'
import { KINDS, type Kind, SCHEMAS } from './schema.js'
import { duration, TIERS } from './tiers.js'

/** Everything below is generated: the checked-in copies are compared with it by tests. */

interface JsonSchema {
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly additionalProperties?: JsonSchema | boolean
  readonly enum?: readonly unknown[]
  readonly const?: unknown
}

const schemaOf = (kind: Kind): JsonSchema =>
  z.toJSONSchema(SCHEMAS[kind], { target: 'draft-7' }) as JsonSchema

/** JSON Schema (draft 7, which editors know) of any policy document. Text with a newline at its end. */
export function jsonSchema(): string {
  const definitions = Object.fromEntries(
    KINDS.map((kind) => {
      const { $schema: _, ...schema } = schemaOf(kind) as JsonSchema & { $schema?: string }
      return [kind, { title: kind, ...schema }]
    }),
  )
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Writ policy document',
    description: 'One document of a Writ policy folder; its first key names its kind.',
    oneOf: KINDS.map((kind) => ({ $ref: `#/definitions/${kind}` })),
    definitions,
  }
  return `${JSON.stringify(schema, null, 2)}\n`
}

/** The generated parts of docs/policy.md by name. */
export function referenceParts(): Readonly<Record<string, string>> {
  return {
    ...Object.fromEntries(KINDS.map((kind) => [`fields ${kind}`, fieldTable(kind)])),
    tiers: tierTable(),
    presets: presetTable(),
    algorithms: `${ALGORITHMS.map((one) => `\`${one}\``).join(', ')}.`,
    conditions: `${CONDITION_OPERATORS.map((one) => `\`${one}\``).join(', ')}.`,
    'red lines': redLineTable(),
    problems: table(
      ['code', 'what it says'],
      Object.entries(PROBLEM_CODES).map(([code, text]) => [`\`${code}\``, text]),
    ),
  }
}

const MARK = /(<!-- generated: ([a-z_ ]+) -->\n)[\s\S]*?(<!-- end -->)/g

/** A page with its generated parts renewed. Throws on a mark that names no part. */
export function renewPage(page: string, parts: Readonly<Record<string, string>>): string {
  return page.replace(MARK, (_, open: string, name: string, close: string) => {
    const part = parts[name]
    if (part === undefined) throw new Error(`nothing generates the part "${name}"`)
    return `${open}\n${part}\n\n${close}`
  })
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function fieldTable(kind: Kind): string {
  const rows: string[][] = []
  const walk = (schema: JsonSchema, prefix: string): void => {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      const path = `${prefix}${name}`
      const required = schema.required?.includes(name) === true
      rows.push([`\`${path}\``, typeText(field), required ? 'yes' : '', field.description ?? ''])
      walk(field, `${path}.`)
      if (field.items !== undefined) walk(field.items, `${path}[].`)
      if (typeof field.additionalProperties === 'object') walk(field.additionalProperties, `${path}.NAME.`)
    }
  }
  walk(schemaOf(kind), '')
  return table(['field', 'type', 'required', 'meaning'], rows)
}

function typeText(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${String(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((one) => `\`${String(one)}\``).join(', ')
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(' or ')
  if (schema.type === 'array')
    return `list of ${schema.items === undefined ? 'text' : typeText(schema.items)}`
  const names: Readonly<Record<string, string>> = {
    string: 'text',
    object: 'mapping',
    boolean: 'true or false',
    integer: 'whole number',
  }
  return names[schema.type ?? ''] ?? 'text'
}

function tierTable(): string {
  const rows = Object.entries(TIERS).map(([tier, rules]) => {
    const needs = [
      ...(rules.approvals.write === undefined
        ? []
        : [`${tier === 'staging' ? 'promotion' : 'write'}: ${rules.approvals.write}`]),
      ...(rules.approvals.delete === undefined ? [] : [`delete: ${rules.approvals.delete}`]),
    ]
    const deletes = rules.deletes === 'opt-in' ? 'only with `allow_delete: true`' : rules.deletes
    const { read, write } = rules.maxSessionSeconds
    return [tier, deletes, needs.join(', ') || 'nobody', duration(read), duration(write)]
  })
  return table(['tier', 'deletes', 'approvals at least', 'longest read', 'longest write'], rows)
}

function presetTable(): string {
  const rows = Object.keys(PRESETS).map((name) => {
    const preset = presetOf(name as keyof typeof PRESETS)
    const human = preset.human === undefined ? '' : `\`${preset.human.claim}\`, ${preset.human.how}`
    return [`\`${name}\``, preset.algorithms.join(', '), preset.maxTokenAge, preset.maxTokenLife, human]
  })
  return table(['preset', 'algorithms', 'max_token_age', 'max_token_life', 'human'], rows)
}

function redLineTable(): string {
  const reasons = new Map<string, string[]>()
  for (const { pattern, because } of RED_LINES) {
    reasons.set(because, [...(reasons.get(because) ?? []), `\`${pattern}\``])
  }
  return table(
    ['because', 'actions'],
    [...reasons].map(([because, patterns]) => [because, patterns.join(', ')]),
  )
}

/** Agents × environments of a policy set, as a Markdown table. */
export function matrix(policySet: PolicySet): string {
  const environments = [...policySet.environments.values()]
  const order = Object.keys(TIERS)
  environments.sort((a, b) => order.indexOf(a.tier) - order.indexOf(b.tier) || (a.name < b.name ? -1 : 1))
  const rows = [...policySet.agents.values()].map((agent) => [
    `**${agent.name}** (${agent.owner.kind} ${agent.owner.name})`,
    ...environments.map((environment) => {
      const place = agent.environments.get(environment.name)
      if (place === undefined) return '–'
      return place.scopes
        .map((name) => {
          const scope = policySet.scopes.get(name)
          if (scope === undefined || scope.kind === 'read') return `\`${name}\``
          const asks =
            environment.tier === 'production' ||
            (environment.tier === 'staging' && (scope.promotion || scope.approvals !== undefined))
          return `\`${name}\` ${scope.destroys ? 'deletes' : 'writes'}${asks ? ', **with a grant**' : ''}`
        })
        .join('<br>')
    }),
  ])
  return table(['agent', ...environments.map((one) => `${one.name} (${one.tier})`)], rows)
}
