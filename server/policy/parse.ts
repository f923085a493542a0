import type { z } from 'zod'
import { nearest, type Problem, type ProblemCode, suggest } from './problems.js'
import { KINDS, type Kind, SCHEMAS, type Values } from './schema.js'
import { type Position, readYaml, type YamlDocument } from './yaml.js'

/** A file as read: the name is only for messages. */
export interface SourceFile {
  readonly file: string
  readonly text: string
}

/** One document that has the right shape, with where it came from. */
export interface Parsed<K extends Kind = Kind> {
  readonly kind: K
  readonly name: string
  readonly value: Values[K]
  readonly file: string
  readonly at: (path: readonly PropertyKey[], part?: 'key' | 'value') => Position
}

export interface ParseResult {
  readonly documents: readonly Parsed[]
  readonly problems: readonly Problem[]
  /** `kind name` of documents that failed: whoever refers to one has nothing wrong because of it. */
  readonly broken: ReadonlySet<string>
}

/** Reads all documents of all files and reports everything that is wrong, not only the first. */
export function parseDocuments(files: readonly SourceFile[]): ParseResult {
  const documents: Parsed[] = []
  const problems: Problem[] = []
  const broken = new Set<string>()
  for (const { file, text } of files) {
    const yaml = readYaml(file, text)
    problems.push(...yaml.problems)
    for (const document of yaml.documents) {
      const kind = kindOf(file, document, problems)
      if (kind === undefined) continue
      const parsed = SCHEMAS[kind].safeParse(document.value)
      const name = (document.value as Record<string, unknown>)[kind]
      if (parsed.success) {
        documents.push({ kind, name: String(name), value: parsed.data, file, at: document.at })
        continue
      }
      broken.add(`${kind} ${String(name)}`)
      for (const issue of parsed.error.issues) problems.push(...explain(file, document, issue, []))
    }
  }
  return { documents, problems, broken }
}

function kindOf(file: string, document: YamlDocument, problems: Problem[]): Kind | undefined {
  const { value } = document
  const report = (message: string): undefined => {
    const first = isMapping(value) ? Object.keys(value)[0] : undefined
    const where = document.at(first === undefined ? [] : [first], 'key')
    problems.push({ file, ...where, code: 'kind_unknown', message })
    return undefined
  }
  if (!isMapping(value))
    return report(`A document must be a mapping whose first key is one of ${KINDS.join(', ')}.`)
  const [first = ''] = Object.keys(value)
  const kind = KINDS.find((one) => one === first)
  if (kind !== undefined) return kind
  const later = KINDS.find((one) => Object.hasOwn(value, one))
  if (later !== undefined) return report(`The first key must name the kind: move "${later}" to the top.`)
  return report(`"${first}" is no kind of document.${suggest(first, KINDS)}`)
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

type Issue = z.core.$ZodIssue

/** One zod issue as problems in words: positions, what was written, the nearest right spelling. */
function explain(
  file: string,
  document: YamlDocument,
  issue: Issue,
  base: readonly PropertyKey[],
): Problem[] {
  const path = [...base, ...issue.path]
  const label = path.length === 0 ? 'This document' : `"${pathText(path)}"`
  const problem = (code: ProblemCode, message: string, part: 'key' | 'value' = 'value'): Problem[] => [
    { file, ...document.at(path, part), code, message },
  ]
  const value = valueAt(document.value, path)
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        file,
        ...document.at([...path, key], 'key'),
        code: 'key_unknown' as const,
        message: unknownKey(key, issue.message.split(' ')),
      }))
    case 'invalid_union': {
      const branch = bestBranch(issue.errors)
      if (branch !== undefined) return branch.flatMap((one) => explain(file, document, one, path))
      return problem('field_type', wrongType(label, value, document.written(path), 'text or a mapping'))
    }
    case 'invalid_key':
      return problem('field_invalid', `${label} ${issue.issues[0]?.message ?? 'is not a name'}.`, 'key')
    case 'invalid_type':
      if (value === undefined) return problem('field_missing', `${label} is missing.`, 'key')
      if (value === null) return problem('field_missing', `${label} is empty.`, 'key')
      return problem('field_type', wrongType(label, value, document.written(path), issue.expected))
    case 'invalid_value': {
      if (value === undefined) return problem('field_missing', `${label} is missing.`, 'key')
      if (value === null) return problem('field_missing', `${label} is empty.`, 'key')
      const allowed = issue.values.map(String)
      if (allowed.length === 1) return problem('field_invalid', `${label} ${issue.message}.`)
      const near = nearest(String(value), allowed)
      const hint = near === undefined ? '' : ` Did you mean "${near}"?`
      return problem(
        'field_invalid',
        `${label} must be one of ${allowed.join(', ')}, not "${shown(value)}".${hint}`,
      )
    }
    default: {
      const code = issue.code === 'custom' ? codeOf(issue.params) : undefined
      return problem(code ?? (isRole(path) ? 'role_invalid' : 'field_invalid'), `${label} ${issue.message}.`)
    }
  }
}

const isRole = (path: readonly PropertyKey[]): boolean =>
  path.at(-2) === 'roles' && path[0] === 'environments'

const codeOf = (params: unknown): ProblemCode | undefined =>
  isMapping(params) ? (params.code as ProblemCode | undefined) : undefined

function unknownKey(key: string, known: readonly string[]): string {
  const inverted = /^not(action|resource|principal)s?$/i.test(key)
  if (inverted) return `"${key}" is not supported: a scope says what is allowed, never what is not.`
  const near = nearest(key, known)
  return `Unknown key "${key}". ${near === undefined ? `There is: ${known.join(', ')}.` : `Did you mean "${near}"?`}`
}

/** Of the alternatives of a union, the one whose type fits: its complaint is the helpful one. */
const bestBranch = (branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined =>
  branches.find((issues) => issues.length > 0 && !issues.some(isWrongType))

const isWrongType = (issue: Issue): boolean =>
  issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value')

function wrongType(label: string, value: unknown, written: string | undefined, expected: string): string {
  const scalar = typeof value === 'number' || typeof value === 'boolean'
  if (scalar && (expected === 'string' || expected.startsWith('text'))) {
    return `${label} is read as a ${typeof value}. Write it in quotes: "${written ?? String(value)}".`
  }
  const words: Record<string, string> = {
    string: 'text',
    array: 'a list',
    object: 'a mapping',
    record: 'a mapping',
    int: 'a whole number',
  }
  return `${label} must be ${words[expected] ?? expected}.`
}

const shown = (value: unknown): string =>
  (typeof value === 'object' ? JSON.stringify(value) : String(value)).slice(0, 80)

const pathText = (path: readonly PropertyKey[]): string =>
  path
    .map((part, n) => (typeof part === 'number' ? `[${part}]` : `${n === 0 ? '' : '.'}${String(part)}`))
    .join('')

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined
    at = (at as Record<PropertyKey, unknown>)[part]
  }
  return at
}
