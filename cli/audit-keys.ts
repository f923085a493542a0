import { readFile } from 'node:fs/promises'
import { parseVerifierKey, type VerifierKey } from '../server/audit/merkle/keys.js'
import { usageError } from './exit.js'

/** Verifier keys from their text or from files with one a line. Throws `CliError`. */
export async function verifierKeys(given: readonly string[]): Promise<readonly VerifierKey[]> {
  const keys: VerifierKey[] = []
  for (const one of given) {
    const lines = /\+[0-9a-f]{8}\+/.test(one) ? [one] : await linesOf(one)
    for (const line of lines) keys.push(parseVerifierKey(line))
  }
  if (keys.length === 0)
    throw usageError('No verifier key was given.', 'Give --key name+id+base64, or a file with it.')
  return keys
}

async function linesOf(file: string): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw usageError(`The key file cannot be read: ${file}`)
  })
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}
