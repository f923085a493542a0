import { chmod, mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StartError } from '../../errors.js'
import { generateSignerKey, type NoteSigner, parseSignerKey } from '../merkle/keys.js'

/** The key that signs checkpoints; its name is the log's origin. Throws `StartError`. */
export async function readLogKey(file: string): Promise<NoteSigner> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch {
    throw new StartError(`WRIT_LOG_KEY_FILE names a file that cannot be read: ${file}.`)
  }
  try {
    return parseSignerKey(text.trim())
  } catch {
    // Never what the file says: it may be another secret.
    throw new StartError(
      `WRIT_LOG_KEY_FILE is not a signer key as \`writ audit keygen\` makes them: ${file}.`,
    )
  }
}

/** Makes the key on first use; of two that start at once, one makes it. */
export async function readOrMakeLogKey(file: string, origin: string): Promise<NoteSigner> {
  await mkdir(dirname(file), { recursive: true })
  try {
    const made = await open(file, 'wx', 0o600)
    await made.writeFile(`${generateSignerKey(origin)}\n`)
    await made.sync()
    await made.close()
    await chmod(file, 0o600)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  return readLogKey(file)
}
