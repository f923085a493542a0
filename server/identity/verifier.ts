import { compactVerify, type JSONWebKeySet } from 'jose'
import { WritError } from '../errors.js'
import { type Identity, LOCAL_ISSUER, type TrustedIssuer } from '../types.js'
import { bearerToken, type TokenForm } from './bearer.js'
import { identityOf } from './claims.js'
import { parseCompact, type UnverifiedToken } from './compact.js'
import type { Fetch } from './fetch-keys.js'
import { createKeyCache, type KeyCache, type KeyCacheHealth, type Log } from './key-cache.js'
import { type KeySet, pickKey, readKeySet, type SigningKey } from './keys.js'

export type Side = TrustedIssuer['for']

export interface VerifierOptions {
  /** Read at every call: a policy reload takes effect with the next token. */
  readonly issuers: () => readonly TrustedIssuer[]
  readonly log: Log
  /** The issuer of this machine, whose keys are read from the data folder. Absent in production. */
  readonly localIssuer?: { readonly issuer: string; readonly jwks: () => JSONWebKeySet }
  readonly fetch?: Fetch
  readonly now?: () => Date
  readonly fetchTimeoutMs?: number
}

export interface IssuerHealth extends KeyCacheHealth {
  readonly issuer: string
}

export interface Verifier {
  /**
   * Who sent this Authorization header.
   *
   * @throws WritError only: a token_… code (401), or issuer_unavailable (503)
   */
  verify(authorization: string | undefined, side: Side, form?: TokenForm): Promise<Identity>
  /** One entry for each configured issuer that is asked over the network. */
  health(): readonly IssuerHealth[]
  /** Ends fetches under way; none starts afterwards. */
  close(): void
}

/** Verifies tokens against the issuers policy trusts. Cheap checks first, no network before a known issuer. */
export function createVerifier(options: VerifierOptions): Verifier {
  const now = options.now ?? (() => new Date())
  const caches = new Map<string, KeyCache>()
  const localKeys = memoizeKeySet()
  let configured: readonly TrustedIssuer[] = []

  function trustedIssuers(): readonly TrustedIssuer[] {
    const latest = options.issuers()
    if (latest !== configured) {
      const kept = new Set(latest.map(cacheName))
      for (const [name, cache] of caches) {
        if (kept.has(name)) continue
        cache.close()
        caches.delete(name)
      }
      configured = latest
    }
    return latest
  }

  function cacheOf(trusted: TrustedIssuer): KeyCache {
    const name = cacheName(trusted)
    const cache =
      caches.get(name) ??
      createKeyCache(trusted, {
        fetch: options.fetch ?? globalThis.fetch,
        now,
        log: options.log,
        fetchTimeoutMs: options.fetchTimeoutMs ?? 5000,
      })
    caches.set(name, cache)
    return cache
  }

  async function keyOf(trusted: TrustedIssuer, { alg, kid }: UnverifiedToken): Promise<SigningKey> {
    if (trusted.issuer !== options.localIssuer?.issuer) return cacheOf(trusted).keyFor(alg, kid)
    const key = pickKey(localKeys(options.localIssuer.jwks()), alg, kid)
    if (key === undefined) {
      throw new WritError(
        'token_key_unknown',
        'This token was not signed by the local issuer of this machine.',
      )
    }
    return key
  }

  /** A production broker has no local issuer, whatever its policy set says. */
  const isReachable = (trusted: TrustedIssuer) =>
    trusted.issuer !== LOCAL_ISSUER || options.localIssuer?.issuer === LOCAL_ISSUER

  return {
    async verify(authorization, side, form = 'bearer') {
      const token = bearerToken(authorization, form)
      const unverified = parseCompact(token)
      const trusted = trustedIssuerOf(unverified, trustedIssuers().filter(isReachable), side)
      if (!trusted.algorithms.includes(unverified.alg)) {
        throw new WritError(
          'token_algorithm',
          `The issuer document allows only ${trusted.algorithms.join(', ')}.`,
        )
      }
      await checkSignature(token, unverified.alg, await keyOf(trusted, unverified))
      return identityOf(unverified.payload, trusted, now())
    },
    health() {
      const local = [LOCAL_ISSUER, options.localIssuer?.issuer]
      const asked = trustedIssuers().filter((trusted) => !local.includes(trusted.issuer))
      const distinct = new Map(asked.map((trusted) => [cacheName(trusted), trusted]))
      return [...distinct.values()].map((trusted) => ({
        issuer: trusted.issuer,
        ...(caches.get(cacheName(trusted))?.health() ?? { state: 'unused', keys: 0 }),
      }))
    },
    close() {
      for (const cache of caches.values()) cache.close()
    },
  }
}

const cacheName = ({ issuer, jwksUri }: TrustedIssuer) => JSON.stringify([issuer, jwksUri ?? null])

/** String equality, nothing normalised: `https://issuer` and `https://issuer/` are two issuers. */
function trustedIssuerOf(
  { payload }: UnverifiedToken,
  issuers: readonly TrustedIssuer[],
  side: Side,
): TrustedIssuer {
  const { iss } = payload
  if (typeof iss !== 'string') throw new WritError('token_claims', 'The token has no iss.')
  const [trusted, another] = issuers.filter((one) => one.for === side && one.issuer === iss)
  if (trusted === undefined) {
    throw new WritError('token_issuer_unknown', `No issuer for ${side} is named ${printable(iss)}`)
  }
  // Which of two would apply must not depend on the order of documents.
  if (another !== undefined) {
    throw new WritError('token_issuer_unknown', `The policy set has this issuer for ${side} more than once.`)
  }
  return trusted
}

/** Not verified yet, so cut short and free of anything that could move a cursor or end a line. */
function printable(text: string): string {
  const plain = text.replace(/[^\x21-\x7e]/g, '?')
  return plain.length > 80 ? `${plain.slice(0, 80)}…` : plain
}

async function checkSignature(token: string, alg: string, { key }: SigningKey): Promise<void> {
  try {
    await compactVerify(token, key, { algorithms: [alg] })
  } catch {
    // jose's error is dropped: it may quote what it was given.
    throw new WritError('token_signature', 'The signature does not match the key of the issuer.')
  }
}

/** Imports a key set again only when it is another object. */
function memoizeKeySet(): (document: JSONWebKeySet) => KeySet {
  let last: { readonly document: JSONWebKeySet; readonly keys: KeySet } | undefined
  return (document) => {
    if (last?.document !== document) last = { document, keys: readKeySet(document) ?? [] }
    return last.keys
  }
}
