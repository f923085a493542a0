import { setImmediate as turn } from 'node:timers/promises'
import { type ParseResult, parseDocuments, type SourceFile } from './parse.js'

/** What files said when they were parsed last, by name and text. */
export type ParseCache = Map<string, ParseResult>

// YAML of 10,000 agents takes seconds of CPU: requests are answered in between.
const SLICE_MS = 10

/** Parses all files without holding up the process, and only those that changed since the cache was filled. */
export async function parseFiles(files: readonly SourceFile[], cache: ParseCache): Promise<ParseResult> {
  const parsed: ParseResult[] = []
  const seen = new Set<string>()
  let sliceEnds = performance.now() + SLICE_MS
  for (const file of files) {
    const key = `${file.file}\n${file.text}`
    const result = cache.get(key) ?? parseDocuments([file])
    cache.set(key, result)
    seen.add(key)
    parsed.push(result)
    if (performance.now() > sliceEnds) {
      await turn()
      sliceEnds = performance.now() + SLICE_MS
    }
  }
  for (const key of cache.keys()) if (!seen.has(key)) cache.delete(key)
  return {
    documents: parsed.flatMap((one) => one.documents),
    problems: parsed.flatMap((one) => one.problems),
    broken: new Set(parsed.flatMap((one) => [...one.broken])),
  }
}
