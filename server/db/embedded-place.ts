import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { StartError } from '../errors.js'
import { readSecrets } from './embedded-secrets.js'
import { blockedAt, databaseUser, type OsUser, openOwnFolder } from './embedded-user.js'
import type { Log } from './pool.js'

export interface Place {
  readonly dataDir: string
  /** As the secrets file spells it. */
  readonly folder: string
  /** The same, absolute. */
  readonly dataFolder: string
  readonly user: OsUser
  /** Where the binaries may be copied when they cannot be used in place. */
  readonly copies: string
}

/**
 * Decides where the database lies and who runs it. Normally that is `<dataDir>/postgres`. PostgreSQL
 * refuses root, so as root another OS user runs it; when that user cannot enter `dataDir` (a clone under
 * /root, which is closed to others), the database goes below `systemFolder`, and the secrets file
 * remembers where.
 */
export async function choosePlace(wanted: string, systemFolder: string, log: Log): Promise<Place> {
  const dataDir = await makeFolder(wanted)
  // Looked at before the secrets: a first start at the same moment writes the secrets first.
  const existed = existsSync(join(dataDir, 'postgres'))
  const secrets = await readSecrets(dataDir)
  if (secrets === undefined && existed) {
    throw new StartError(
      `${dataDir}/postgres-secrets.json is missing, and without it the database beside it stays shut: restore the file, or move ${dataDir}/postgres away to begin with an empty one.`,
    )
  }
  const at = (folder: string, user: OsUser, copies = dataDir): Place => {
    return { dataDir, folder, dataFolder: resolve(dataDir, folder), user, copies }
  }
  const usual = secrets?.folder ?? 'postgres'
  const user = await databaseUser(resolve(dataDir, usual))
  if (usual !== 'postgres') return at(usual, user, systemFolder)

  await openOwnFolder(dataDir, user)
  const blocked = await blockedAt(dataDir, user)
  if (blocked === undefined) return at(usual, user)
  if (existed) {
    throw new StartError(
      `The database in ${dataDir}/postgres is run by the OS user with id ${user.uid}, who may not enter ${blocked}: allow it with "chmod o+x ${blocked}".`,
    )
  }
  const folder = join(systemFolder, `${basename(dirname(dataDir))}-${randomBytes(4).toString('hex')}`)
  await makeFolder(systemFolder, 0o755)
  await makeFolder(folder, 0o711)
  const alsoBlocked = await blockedAt(folder, user)
  if (alsoBlocked !== undefined) {
    throw new StartError(
      `The OS user with id ${user.uid}, who runs the database because PostgreSQL refuses root, may enter neither ${blocked} nor ${alsoBlocked}: allow one with "chmod o+x".`,
    )
  }
  log.warn({ folder }, `${blocked} is closed to other users, so the database lies in ${folder}`)
  return at(join(folder, 'postgres'), user, systemFolder)
}

async function makeFolder(folder: string, mode = 0o700): Promise<string> {
  try {
    await mkdir(folder, { recursive: true, mode })
    return await realpath(folder)
  } catch (error) {
    throw new StartError(`The folder ${folder} cannot be made or used: ${(error as Error).message}.`)
  }
}
