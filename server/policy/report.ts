import type { Parsed } from './parse.js'
import type { Problem, ProblemCode } from './problems.js'

/** Notes one problem at a path of a document. */
export type Report = (
  document: Parsed,
  path: readonly PropertyKey[],
  code: ProblemCode,
  message: string,
  part?: 'key' | 'value',
) => void

export const reporter =
  (problems: Problem[]): Report =>
  (document, path, code, message, part = 'value') => {
    problems.push({ file: document.file, ...document.at(path, part), code, message })
  }
