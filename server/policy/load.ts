import { type CompileResult, compile } from './compile.js'
import { type FolderState, readFiles, scanFolder } from './files.js'
import { type ParseCache, parseFiles } from './parse-files.js'
import { type Problem, sortProblems } from './problems.js'

export type LoadResult = CompileResult & { readonly fingerprint: string }

const ATTEMPTS = 5

/**
 * Reads, checks and compiles a folder of policy documents. All files are read before anything is compiled,
 * and read again when one changed meanwhile, so a half-written folder is never what is loaded. With the cache
 * of an earlier load, only what changed is parsed again.
 */
export async function loadPolicySet(folder: string, cache: ParseCache = new Map()): Promise<LoadResult> {
  let state = await scanFolder(folder)
  for (let attempt = 1; ; attempt++) {
    const read = await readFiles(state)
    const after = await scanFolder(folder)
    if (after.fingerprint === state.fingerprint || attempt === ATTEMPTS) {
      return { ...(await compileFiles(state, read, attempt, cache)), fingerprint: after.fingerprint }
    }
    state = after
  }
}

async function compileFiles(
  state: FolderState,
  read: Awaited<ReturnType<typeof readFiles>>,
  attempt: number,
  cache: ParseCache,
): Promise<CompileResult> {
  if (attempt === ATTEMPTS) {
    return failed([at('.', 'The files kept changing while they were read.'), ...read.problems])
  }
  if (state.files.length === 0 && read.problems.length === 0) {
    return failed([at('.', 'The policy folder holds no .yaml file.')])
  }
  const parsed = await parseFiles(read.files, cache)
  return compile({ ...parsed, problems: [...read.problems, ...parsed.problems] })
}

const failed = (problems: readonly Problem[]): CompileResult => ({
  ok: false,
  problems: sortProblems(problems),
})

const at = (file: string, message: string): Problem => ({
  file,
  line: 1,
  column: 1,
  code: 'folder_unreadable',
  message,
})
