import { z } from 'zod'
import { type KeySet, readKeySet } from './keys.js'

const MAX_BODY_BYTES = 512 * 1024

export type Fetch = typeof globalThis.fetch

export interface KeySetSource {
  readonly issuer: string
  readonly jwksUri?: string
}

export interface FetchedKeys {
  readonly keys: KeySet
  /** What Cache-Control says, in seconds; absent when it says nothing. */
  readonly maxAgeSeconds?: number
}

/** Why keys could not be had. The message is a fixed phrase, safe in a log. */
export class KeyFetchError extends Error {
  override readonly name = 'KeyFetchError'
}

const discoveryDocument = z.object({ issuer: z.string(), jwks_uri: z.string() })

/**
 * Fetches an issuer's keys: from its fixed URL, else by OpenID Connect Discovery 1.0 (section 4).
 *
 * @throws KeyFetchError
 */
export async function fetchKeys(
  source: KeySetSource,
  fetch: Fetch,
  signal: AbortSignal,
): Promise<FetchedKeys> {
  const uri =
    source.jwksUri === undefined
      ? await discover(source.issuer, fetch, signal)
      : usableUrl(source.jwksUri, 'jwksUri', true)
  const response = await getJson(uri, 'key set', fetch, signal)
  const keys = readKeySet(response.body)
  if (keys === undefined) throw new KeyFetchError('the key set is not a JWK set of at most 100 keys')
  return { keys, ...cacheAge(response.cacheControl) }
}

async function discover(issuer: string, fetch: Fetch, signal: AbortSignal): Promise<URL> {
  const base = usableUrl(issuer, 'issuer', true)
  const url = new URL(base)
  url.pathname = `${base.pathname.replace(/\/$/, '')}/.well-known/openid-configuration`
  const { body } = await getJson(url, 'discovery document', fetch, signal)
  const document = discoveryDocument.safeParse(body)
  if (!document.success) throw new KeyFetchError('the discovery document lacks issuer or jwks_uri')
  // Else any page an attacker can place under a trusted host could name its own keys.
  if (document.data.issuer !== issuer) throw new KeyFetchError('the discovery document names another issuer')
  // A remote issuer must not point the broker at a port on its own machine.
  return usableUrl(document.data.jwks_uri, 'jwks_uri', base.protocol === 'http:')
}

/** https, or plain http where it cannot leave the machine. */
export function usableUrl(text: string, what: string, loopbackAllowed: boolean): URL {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new KeyFetchError(`the ${what} is not a URL`)
  }
  if (url.username !== '' || url.password !== '') throw new KeyFetchError(`the ${what} holds a user name`)
  if (url.protocol === 'https:') return url
  if (url.protocol === 'http:' && loopbackAllowed && isLoopback(url.hostname)) return url
  throw new KeyFetchError(`the ${what} is not https`)
}

const isLoopback = (host: string) =>
  host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)

async function getJson(url: URL, what: string, fetch: Fetch, signal: AbortSignal) {
  try {
    // A redirect would leave the host that policy trusts.
    const response = await fetch(url, {
      redirect: 'error',
      signal,
      headers: { accept: 'application/json' },
    })
    if (response.status !== 200) {
      await response.body?.cancel()
      throw new KeyFetchError(`the ${what} answered ${response.status}`)
    }
    const text = await readCapped(response, what)
    return { body: parse(text, what), cacheControl: response.headers.get('cache-control') ?? '' }
  } catch (error) {
    if (error instanceof KeyFetchError) throw error
    throw new KeyFetchError(`the ${what} could not be fetched (${causeOf(error)})`)
  }
}

/** Read as a stream: neither Content-Length nor the compressed size says how much will arrive. */
async function readCapped(response: Response, what: string): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    // Leaving the loop cancels the stream.
    if (size > MAX_BODY_BYTES) throw new KeyFetchError(`the ${what} is larger than ${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new KeyFetchError(`the ${what} is not JSON`)
  }
}

/** undici says `fetch failed` and puts the reason into `cause`; codes are constants, messages may quote bytes. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed'
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return 'timeout'
  const code = (error.cause as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : 'refused or broken'
}

function cacheAge(cacheControl: string): { maxAgeSeconds?: number } {
  if (/(?:^|[\s,])no-(?:cache|store)(?:$|[\s,])/i.test(cacheControl)) return { maxAgeSeconds: 0 }
  const seconds = /(?:^|[\s,])max-age=(\d+)/i.exec(cacheControl)?.[1]
  return seconds === undefined ? {} : { maxAgeSeconds: Number(seconds) }
}
