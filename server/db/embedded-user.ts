import { chmod, chown, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StartError } from '../errors.js'
import { run } from './embedded-process.js'

/** Who runs PostgreSQL: empty for ourselves, set when we are root, whom PostgreSQL refuses. */
export interface OsUser {
  readonly uid?: number
  readonly gid?: number
}

async function idOf(flag: '-u' | '-g'): Promise<number | undefined> {
  const { code, stdout } = await run('id', [flag, 'postgres'])
  return code === 0 ? Number(stdout.trim()) : undefined
}

/**
 * The user for a data folder. As root: the folder's owner when it exists already (a container made anew
 * may number its users differently), else the OS user `postgres`, created when missing.
 */
export async function databaseUser(dataFolder: string): Promise<OsUser> {
  if (process.getuid?.() !== 0) return {}
  const existing = await stat(dataFolder).catch(() => undefined)
  if (existing !== undefined && existing.uid !== 0) return { uid: existing.uid, gid: existing.gid }
  let uid = await idOf('-u')
  if (uid === undefined) {
    await run('groupadd', ['--system', 'postgres'])
    const made = await run('useradd', [
      ...['--system', '--gid', 'postgres', '--no-create-home'],
      ...['--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin', 'postgres'],
    ])
    uid = await idOf('-u')
    if (uid === undefined) {
      throw new StartError(
        `PostgreSQL does not run as root, and the user postgres could not be created (${made.stderr.trim()}): create it, or start as an ordinary user.`,
      )
    }
  }
  const gid = await idOf('-g')
  if (uid === 0 || gid === undefined) throw new StartError('The OS user postgres is root or has no group.')
  return { uid, gid }
}

/** The first folder on the way to `folder` that `user` may not pass through; undefined when all are open. */
export async function blockedAt(folder: string, user: OsUser): Promise<string | undefined> {
  if (user.uid === undefined) return undefined
  const path = await realpath(folder)
  const above: string[] = []
  for (let at = path; ; at = dirname(at)) {
    above.unshift(at)
    if (at === dirname(at)) break
  }
  for (const at of above) {
    const { mode, uid, gid } = await stat(at)
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001
    if ((mode & bit) === 0) return at
  }
  return undefined
}

/**
 * Lets the database's group pass through our own folder (not list it) when that alone is in its way.
 * Folders above are not ours to open.
 */
export async function openOwnFolder(folder: string, user: OsUser): Promise<void> {
  if (user.uid === undefined || user.gid === undefined) return
  const { mode, uid } = await stat(folder)
  if (uid !== 0 || (mode & 0o001) !== 0) return
  await chown(folder, uid, user.gid)
  await chmod(folder, (mode & 0o700) | 0o010)
}
