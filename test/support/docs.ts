import { relative } from 'node:path'
import { readConfig } from '../../server/config.js'
import { ERRORS } from '../../server/errors.js'
import { describeSettings } from '../../server/settings.js'

/** What is used here of an OpenAPI document (version 3.1, section 4). */
export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

interface Operation {
  readonly summary: string
  readonly tags: readonly string[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Content }
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>
}

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema: Schema
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>

interface Schema {
  readonly type?: string
  readonly description?: string
  readonly enum?: readonly string[]
  readonly default?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
}

/** One call of the API, as the documents name it. */
export interface Call {
  readonly name: string
  readonly operation: Operation
}

export function calls(api: OpenApi): readonly Call[] {
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  )
}

export const httpParts = (api: OpenApi): Readonly<Record<string, string>> =>
  Object.fromEntries(
    ['agent', 'operator', 'security', 'anyone'].map((tag) => [
      `calls ${tag}`,
      calls(api)
        .filter(({ operation }) => operation.tags.includes(tag))
        .map(callSection)
        .join('\n\n'),
    ]),
  )

export function errorParts(): Readonly<Record<string, string>> {
  const all = Object.entries(ERRORS)
  const statuses = [...new Set(all.map(([, { status }]) => status))].sort((a, b) => a - b)
  const rows = statuses.flatMap((wanted) =>
    all
      .filter(([, { status }]) => status === wanted)
      .map(([code, { status, title, next }]) => [`\`${code}\``, String(status), title, next]),
  )
  return { codes: table(['code', 'status', 'title', 'what to do next'], rows) }
}

export const settingParts = (): Readonly<Record<string, string>> => ({
  settings: table(
    ['setting', 'default', 'meaning'],
    describeSettings().map(({ name, meaning, file }) => [
      `\`${name}\`${file ? `<br>or \`${name}_FILE\`` : ''}`,
      DEFAULTS[name] === undefined ? '' : `\`${DEFAULTS[name]}\``,
      `${meaning}.`,
    ]),
  ),
})

/** What an empty environment gives; where the default depends on something, the meaning says so. */
const { host, port, dataDir, awsRegion, awsTimeoutMs, logLevel } = readConfig({})
const DEFAULTS: Readonly<Record<string, string | number>> = {
  WRIT_HOST: host,
  WRIT_PORT: port,
  WRIT_DATA_DIR: relative('', dataDir),
  WRIT_AWS_REGION: awsRegion,
  WRIT_AWS_TIMEOUT_MS: awsTimeoutMs,
  WRIT_LOG_LEVEL: logLevel,
}

function callSection({ name, operation }: Call): string {
  const { summary, parameters = [], requestBody, responses } = operation
  const parts = [`### ${name}`, `${summary}.`]
  if (parameters.length > 0) {
    const rows = [...parameters]
      .sort((a, b) => Number(b.in === 'path') - Number(a.in === 'path'))
      .map((one) => [`\`${one.name}\``, one.in, kindOf(one.schema), defaultOf(one.schema)])
    parts.push(table(['parameter', 'in', 'type', 'default'], rows))
  }
  const body = jsonSchema(requestBody?.content)
  if (body !== undefined) {
    const rows = fieldsOf(body).map(({ path, schema, required }) => [
      `\`${path}\``,
      kindOf(schema),
      required ? 'yes' : defaultOf(schema),
      schema.description ?? '',
    ])
    parts.push(table(['body', 'type', 'required, or default', 'meaning'], rows))
  }
  for (const [status, { content }] of Object.entries(responses)) {
    const answer = jsonSchema(content)
    if (answer === undefined) continue
    const fields = fieldsOf(answer).map(({ path, schema }) =>
      schema.description === undefined ? `\`${path}\`` : `\`${path}\` (${lowered(schema.description)})`,
    )
    parts.push(`**${status}** with ${fields.join(', ')}.`)
  }
  return parts.join('\n\n')
}

const jsonSchema = (content: Content | undefined): Schema | undefined => content?.['application/json']?.schema

interface Field {
  readonly path: string
  readonly schema: Schema
  readonly required: boolean
}

/** Every field, with those of objects and of lists of objects below their own. */
function fieldsOf(schema: Schema, prefix = ''): readonly Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`
    const own = { path, schema: field, required: schema.required?.includes(name) === true }
    const plain = field.anyOf?.find((one) => one.type !== 'null') ?? field
    const inner = plain.items?.properties === undefined ? plain : plain.items
    const below = fieldsOf(inner, inner === plain ? `${path}.` : `${path}[].`)
    return [own, ...below]
  })
}

function kindOf(schema: Schema): string {
  const { type, anyOf, enum: values, items, minimum, maximum } = schema
  if (anyOf !== undefined) return anyOf.map(kindOf).join(' or ')
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(', ')
  if (type === 'array') return `list of ${items === undefined ? 'anything' : kindOf(items)}`
  if (type === 'integer') {
    return minimum === undefined || maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER
      ? 'whole number'
      : `whole number, ${minimum} to ${maximum}`
  }
  return (
    { string: 'text', boolean: 'true or false', object: 'object', null: 'null' }[type ?? ''] ?? 'anything'
  )
}

const defaultOf = (schema: Schema): string =>
  schema.default === undefined ? '' : `\`${JSON.stringify(schema.default)}\``

/** For the middle of a sentence; what begins like `ISO 8601` or `CIDR` stays. */
const lowered = (text: string): string =>
  /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
