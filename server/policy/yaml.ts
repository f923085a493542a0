import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
} from 'yaml'
import type { Problem, ProblemCode } from './problems.js'

/** A position in a file, counted from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

export interface YamlDocument {
  readonly value: unknown
  /** Where a path is; of a path that does not exist, the nearest part of it that does. */
  readonly at: (path: readonly PropertyKey[], part?: 'key' | 'value') => Position
  /** The scalar at a path exactly as written: `0123` stays `0123`. */
  readonly written: (path: readonly PropertyKey[]) => string | undefined
}

// Twenty levels of two aliases each would expand to a million nodes ("billion laughs").
const MOST_ALIASES = 100

/** Reads every `---` document of one file. YAML 1.2 core: no custom tags, no merge keys. */
export function readYaml(file: string, text: string): { documents: YamlDocument[]; problems: Problem[] } {
  const problems: Problem[] = []
  const documents: YamlDocument[] = []
  const lines = new LineCounter()
  const report = (code: ProblemCode, offset: number, message: string): void => {
    problems.push({ file, ...position(lines, offset), code, message })
  }
  let parsed: readonly Document.Parsed[]
  try {
    const all = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, schema: 'core' })
    parsed = Array.isArray(all) ? all : []
  } catch {
    // The parser recurses: brackets nested thousands deep end its stack.
    report('yaml_syntax', 0, 'This file is nested too deep to be read.')
    return { documents, problems }
  }
  for (const document of parsed) {
    if (document.contents === null && document.errors.length === 0) continue
    const before = problems.length
    for (const error of [...document.errors, ...document.warnings]) {
      const duplicate = error.code === 'DUPLICATE_KEY'
      const code = duplicate ? 'yaml_duplicate_key' : 'yaml_syntax'
      report(
        code,
        error.pos[0],
        duplicate ? 'This key stands twice in one mapping.' : sentence(error.message),
      )
    }
    checkNodes(document, report)
    if (problems.length > before) continue
    try {
      documents.push(asDocument(document, document.toJS({ maxAliasCount: MOST_ALIASES }), lines))
    } catch {
      report(
        'yaml_alias',
        document.range[0],
        'Expanding the aliases of this document would take too much memory.',
      )
    }
  }
  return { documents, problems }
}

function checkNodes(
  document: Document.Parsed,
  report: (code: ProblemCode, offset: number, message: string) => void,
): void {
  let aliases = 0
  visit(document, {
    Alias(_, node) {
      aliases++
      if (aliases === MOST_ALIASES + 1) {
        report('yaml_alias', node.range?.[0] ?? 0, `A document may have at most ${MOST_ALIASES} aliases.`)
      }
    },
    Pair(_, pair) {
      if (!isScalar(pair.key)) return report('yaml_syntax', 0, 'A key must be plain text.')
      const offset = pair.key.range?.[0] ?? 0
      if (pair.key.value === '<<')
        report('yaml_syntax', offset, 'Merge keys (<<) are not read: write the fields out.')
      // Object keys that JavaScript gives a meaning of its own would be dropped on the way, silently.
      if (pair.key.value === '__proto__') report('yaml_syntax', offset, 'The key __proto__ cannot be used.')
    },
  })
}

function asDocument(document: Document.Parsed, value: unknown, lines: LineCounter): YamlDocument {
  const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node)
  const walk = (path: readonly PropertyKey[]): { node: unknown; key: unknown; found: boolean } => {
    let node: unknown = document.contents
    let key: unknown = document.contents
    for (const part of path) {
      const parent = resolve(node)
      let next: unknown
      let label: unknown
      if (isMap(parent)) {
        const pair: Pair | undefined = parent.items.find(
          (item) => isScalar(item.key) && String(item.key.value) === part,
        )
        label = pair?.key
        next = pair?.value
      } else if (isSeq(parent)) {
        next = parent.items[Number(part)]
        label = next
      }
      if (label === undefined || label === null) return { node, key, found: false }
      key = label
      node = next ?? label
    }
    return { node, key, found: true }
  }
  return {
    value,
    at: (path, part = 'value') => {
      const { node, key, found } = walk(path)
      const node2 = (found && part === 'value' ? node : key) as Node | null
      return position(lines, node2?.range?.[0] ?? document.range[0])
    },
    written: (path) => {
      const node = resolve(walk(path).node)
      return isScalar(node) ? (node.source ?? String(node.value)) : undefined
    },
  }
}

function position(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(1, line), column: Math.max(1, col) }
}

const sentence = (message: string): string => (/[.!?]$/.test(message) ? message : `${message}.`)
