import { createHmac } from 'node:crypto'
import { constants, open } from 'node:fs/promises'
import { DeliveryError, type Failure } from './failure.js'

/** A bundle of all public authorities has 200 kB. */
const MOST_BYTES = 1024 * 1024

/** A small regular file. Throws `DeliveryError`: neither path nor content are in it. */
export async function readSmallFile(path: string, failure: Failure): Promise<string> {
  try {
    // Else a named pipe in its place would be waited for.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const { size } = await file.stat()
      const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(size, MOST_BYTES) + 1))
      if (bytesRead > MOST_BYTES) throw new DeliveryError(failure)
      return buffer.subarray(0, bytesRead).toString('utf8')
    } finally {
      await file.close()
    }
  } catch {
    throw new DeliveryError(failure)
  }
}

const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/

/**
 * The signing secrets of a file: one line, or two while one replaces the other. Each is 24 to 64 bytes in base64
 * after `whsec_` (Standard Webhooks, "Signature scheme"). Throws `DeliveryError`.
 */
export async function readSecrets(path: string): Promise<readonly Buffer[]> {
  const text = await readSmallFile(path, 'secret_unusable')
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '')
  const secrets = lines.map((line) => Buffer.from(SECRET.exec(line.trim())?.[1] ?? '', 'base64'))
  const sound = secrets.every(({ length }) => length >= 24 && length <= 64)
  if (!sound || secrets.length < 1 || secrets.length > 2) throw new DeliveryError('secret_unusable')
  return secrets
}

/** `webhook-signature`: HMAC-SHA256 over `id.timestamp.body` with each secret, space-delimited. Seconds since 1970. */
export function sign(secrets: readonly Buffer[], id: string, timestamp: number, body: string): string {
  return secrets
    .map(
      (secret) => `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`,
    )
    .join(' ')
}
