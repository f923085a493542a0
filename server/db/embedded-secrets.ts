import { randomBytes } from 'node:crypto'
import { chmod, link, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { StartError } from '../errors.js'

const secretsShape = z.strictObject({
  superuser: z.string().min(32),
  owner: z.string().min(32),
  broker: z.string().min(32),
  /**
   * Where the database lies, relative to the file unless absolute. Decided once, so that a later change
   * of modes cannot begin an empty record.
   */
  folder: z.string(),
  /** Set after the first initdb: from then on a missing database folder is a loss, not a first start. */
  initialised: z.boolean(),
})

/** The passwords of one embedded database, and where it lies. Never logged. */
export type Secrets = z.infer<typeof secretsShape>

const fileIn = (dataDir: string): string => join(dataDir, 'postgres-secrets.json')

/** The stored secrets, undefined when there are none. Throws StartError when the file is unusable. */
export async function readSecrets(dataDir: string): Promise<Secrets | undefined> {
  const file = fileIn(dataDir)
  let text: string
  try {
    text = await readFile(file, 'utf8')
    if (((await stat(file)).mode & 0o077) !== 0) await chmod(file, 0o600)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new StartError(
      `${file} cannot be read (${code}): start as the user who owns it (${dirname(file)} belongs to one database and one user).`,
    )
  }
  try {
    return secretsShape.parse(JSON.parse(text))
  } catch {
    throw new StartError(`${file} is damaged: restore it from a backup; without it the database stays shut.`)
  }
}

/** Makes the passwords of a new database. When another start was quicker, answers with its secrets. */
export async function createSecrets(dataDir: string, folder: string): Promise<Secrets> {
  const password = (): string => randomBytes(32).toString('base64url')
  const secrets = { superuser: password(), owner: password(), broker: password(), folder, initialised: false }
  const part = await writeBeside(dataDir, secrets)
  try {
    // A link never replaces: of two first starts one wins, and both go on with its passwords.
    await link(part, fileIn(dataDir))
    return secrets
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return (await readSecrets(dataDir)) ?? secrets
  } finally {
    await rm(part, { force: true })
  }
}

/** Notes that the database exists. */
export async function markInitialised(dataDir: string, secrets: Secrets): Promise<Secrets> {
  if (secrets.initialised) return secrets
  const marked = { ...secrets, initialised: true }
  await rename(await writeBeside(dataDir, marked), fileIn(dataDir))
  return marked
}

async function writeBeside(dataDir: string, secrets: Secrets): Promise<string> {
  const part = `${fileIn(dataDir)}.part-${randomBytes(6).toString('hex')}`
  const handle = await open(part, 'wx', 0o600)
  try {
    await handle.writeFile(`${JSON.stringify(secrets, null, 2)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  return part
}
