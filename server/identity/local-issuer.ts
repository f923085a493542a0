import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
  SignJWT,
} from 'jose'
import { z } from 'zod'
import { StartError } from '../errors.js'
import { LOCAL_ISSUER } from '../types.js'

export interface LocalTokenRequest {
  readonly subject: string
  readonly audience: string
  /** 900 unless told. */
  readonly ttlSeconds?: number
  /** Further claims; iss, sub, aud, iat, exp and jti cannot be set here. */
  readonly claims?: Readonly<Record<string, unknown>>
  readonly authTime?: Date
}

export interface LocalIssuer {
  readonly issuer: string
  readonly jwks: () => JSONWebKeySet
  readonly sign: (request: LocalTokenRequest) => Promise<string>
}

const storedKey = z.strictObject({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  d: z.string(),
})
type StoredKey = z.infer<typeof storedKey>

/**
 * The local issuer whose key lives in `<dataDir>/local-issuer.json`, made on first use.
 *
 * @throws StartError when that file is readable by others or is not a key
 */
export async function loadLocalIssuer(
  dataDir: string,
  now: () => Date = () => new Date(),
): Promise<LocalIssuer> {
  const path = join(dataDir, 'local-issuer.json')
  const stored = (await readKey(path)) ?? (await createKey(dataDir, path))
  const { d: _private, ...publicKey } = stored
  const kid = await calculateJwkThumbprint(publicKey)
  const jwks: JSONWebKeySet = { keys: [{ ...publicKey, kid, alg: 'ES256', use: 'sig' }] }
  const key = await importJWK(stored, 'ES256')
  return {
    issuer: LOCAL_ISSUER,
    jwks: () => jwks,
    sign({ subject, audience, ttlSeconds = 900, claims = {}, authTime }) {
      const iat = Math.floor(now().getTime() / 1000)
      return new SignJWT({
        ...claims,
        ...(authTime === undefined ? {} : { auth_time: Math.floor(authTime.getTime() / 1000) }),
        iss: LOCAL_ISSUER,
        sub: subject,
        aud: audience,
        iat,
        exp: iat + ttlSeconds,
        jti: randomUUID(),
      })
        .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
        .sign(key)
    },
  }
}

async function readKey(path: string): Promise<StoredKey | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new StartError(`The key of the local issuer cannot be read: ${path}`)
  }
  const { mode } = await stat(path)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new StartError(`The key of the local issuer can be read by others; run chmod 600 ${path}`)
  }
  try {
    return storedKey.parse(JSON.parse(text))
  } catch {
    throw new StartError(`The file is not a key of the local issuer; delete it to get a new one: ${path}`)
  }
}

/**
 * Written whole under another name and then linked, so that no reader sees half a file and, when two processes
 * race, the second finds the first one's key instead of replacing it.
 */
async function createKey(dataDir: string, path: string): Promise<StoredKey> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const key = storedKey.parse(await exportJWK(privateKey))
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomUUID()}`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(`${JSON.stringify(key)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await link(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new StartError(`The key of the local issuer cannot be written: ${path}`)
    }
  } finally {
    await rm(draft, { force: true })
  }
  const kept = await readKey(path)
  if (kept === undefined) throw new StartError(`The key of the local issuer vanished: ${path}`)
  return kept
}
