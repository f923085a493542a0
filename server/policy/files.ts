import { constants } from 'node:fs'
import { open, readdir, realpath, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import type { SourceFile } from './parse.js'
import type { Problem, ProblemCode } from './problems.js'

/** A policy is text that humans review; more than this is a mistake or an attack. */
const LARGEST_FILE_BYTES = 8 * 1024 * 1024
const LARGEST_FOLDER_BYTES = 64 * 1024 * 1024

interface Found {
  /** For messages: relative to the folder, with `/`. */
  readonly file: string
  readonly path: string
  readonly bytes: number
  readonly stamp: string
}

export interface FolderState {
  readonly files: readonly Found[]
  readonly problems: readonly Problem[]
  /** Changes with every file's name, size, time and inode. */
  readonly fingerprint: string
}

const problem = (file: string, code: ProblemCode, message: string): Problem => ({
  file,
  line: 1,
  column: 1,
  code,
  message,
})

const isPolicyFile = (name: string): boolean => name.endsWith('.yaml') || name.endsWith('.yml')

/**
 * All YAML files below a folder. Names that begin with a dot are skipped: a mounted ConfigMap keeps its files
 * in `..data` and links to them, so each would be found twice. Links are followed inside the folder only.
 */
export async function scanFolder(folder: string): Promise<FolderState> {
  const files: Found[] = []
  const problems: Problem[] = []
  const seen = new Set<string>()
  let root: string
  try {
    root = await realpath(folder)
  } catch (error) {
    const found = [
      problem(folder, 'folder_unreadable', `The policy folder cannot be read (${reasonOf(error)}).`),
    ]
    return { files, problems: found, fingerprint: reasonOf(error) }
  }
  const visit = async (path: string): Promise<void> => {
    const shown = relative(folder, path).split(sep).join('/') || '.'
    try {
      const real = await realpath(path)
      if (real !== root && !real.startsWith(root + sep)) {
        problems.push(problem(shown, 'symlink_outside', 'This link leads out of the policy folder.'))
        return
      }
      if (seen.has(real)) return
      const about = await stat(real)
      if (about.isDirectory()) {
        seen.add(real)
        const names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort()
        for (const name of names) await visit(join(path, name))
      } else if (isPolicyFile(path)) {
        seen.add(real)
        if (!about.isFile()) {
          problems.push(problem(shown, 'folder_unreadable', 'This is not a regular file.'))
          return
        }
        const stamp = `${real} ${about.size} ${about.mtimeMs} ${about.ctimeMs} ${about.ino}`
        files.push({ file: shown, path: real, bytes: about.size, stamp })
      }
    } catch (error) {
      problems.push(problem(shown, 'folder_unreadable', `This cannot be read (${reasonOf(error)}).`))
    }
  }
  await visit(folder)
  const marks = [...files.map((one) => one.stamp), ...problems.map((one) => `${one.file} ${one.message}`)]
  return { files, problems, fingerprint: marks.join('\n') }
}

/** The text of every file, or what keeps it from being read. */
export async function readFiles(state: FolderState): Promise<{ files: SourceFile[]; problems: Problem[] }> {
  const files: SourceFile[] = []
  const problems = [...state.problems]
  const total = state.files.reduce((sum, one) => sum + one.bytes, 0)
  if (total > LARGEST_FOLDER_BYTES) {
    problems.push(
      problem(
        '.',
        'file_too_large',
        `The policy files together have ${total} bytes; at most ${LARGEST_FOLDER_BYTES} are read.`,
      ),
    )
    return { files, problems }
  }
  for (const found of state.files) {
    if (found.bytes > LARGEST_FILE_BYTES) {
      problems.push(
        problem(
          found.file,
          'file_too_large',
          `This file has ${found.bytes} bytes; at most ${LARGEST_FILE_BYTES} are read.`,
        ),
      )
      continue
    }
    try {
      files.push({ file: found.file, text: await readText(found.path) })
    } catch (error) {
      problems.push(problem(found.file, 'folder_unreadable', `This cannot be read (${reasonOf(error)}).`))
    }
  }
  return { files, problems }
}

/** O_NOFOLLOW: a link put in the place of the file after it was looked at is not followed. */
async function readText(path: string): Promise<string> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const bytes = await handle.readFile()
    if (bytes.length > LARGEST_FILE_BYTES) throw new Error('it grew while it was read')
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } finally {
    await handle.close()
  }
}

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return 'unknown'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
