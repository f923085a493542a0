import { readFile } from 'node:fs/promises'
import * as oidc from 'openid-client'
import { WritError } from '../errors.js'
import type { Identity, SignIn, TrustedIssuer } from '../types.js'
import { CLOCK_TOLERANCE_SECONDS } from './claims.js'
import { type Fetch, usableUrl } from './fetch-keys.js'
import type { Log } from './key-cache.js'
import { createVerifier, type VerifierOptions } from './verifier.js'

export interface CodeFlowOptions {
  /** Read at every call, as for bearer tokens. */
  readonly issuers: () => readonly TrustedIssuer[]
  readonly log: Log
  readonly fetch?: Fetch
  readonly now?: () => Date
  /** For discovery, and again for the token endpoint; default 5,000. */
  readonly fetchTimeoutMs?: number
}

/** What has to be remembered between leaving for the issuer and coming back, by this browser alone. */
export interface Transaction {
  readonly issuer: string
  readonly state: string
  readonly nonce: string
  /** Proves to the issuer that whoever redeems the code asked for it (RFC 7636). */
  readonly verifier: string
  /** Seconds since 1970. */
  readonly startedAt: number
  /** The human has to authenticate anew, whatever session they have at the issuer. */
  readonly fresh: boolean
}

/** Signing in at an issuer: authorization code with PKCE (OpenID Connect Core section 3.1, RFC 9700). */
export interface CodeFlow {
  /** Issuers that humans sign in with, in the order of policy. */
  offered(): readonly string[]
  /**
   * Where to send the browser, and what to remember.
   *
   * @throws WritError sign_in_failed, issuer_unavailable
   */
  begin(
    issuer: string,
    wanted: { readonly redirectUri: string; readonly fresh: boolean },
  ): Promise<{ readonly url: string; readonly transaction: Transaction }>
  /**
   * Who came back. `url` is what the browser asked for, query and all, at the console's own origin. The ID token is
   * held to the same rules as a bearer token, but that its audience is the client.
   *
   * @throws WritError sign_in_failed, issuer_unavailable, or a token_… code
   */
  finish(transaction: Transaction, url: URL): Promise<Identity>
  close(): void
}

type Offering = TrustedIssuer & { readonly signIn: SignIn }

/** A sign-in at the issuer that is older than a session here may get is no sign-in. */
const MAX_AGE_SECONDS = 12 * 3600
const CONFIGURATION_MS = 10 * 60_000
/** Nobody is signed in yet who makes us ask: an issuer that fails is not asked at each of their clicks. */
const FAILURE_MS = 3_000
const MAX_ANSWER_BYTES = 256 * 1024

export function createCodeFlow(options: CodeFlowOptions): CodeFlow {
  const now = options.now ?? (() => new Date())
  const fetch = options.fetch ?? globalThis.fetch
  const timeoutMs = options.fetchTimeoutMs ?? 5_000
  const verifier = createVerifier(verifierOptions(options))
  const configurations = new Map<
    string,
    { readonly until: number; readonly value: Promise<oidc.Configuration> }
  >()

  const offering = () => options.issuers().filter(offersSignIn)

  function trusted(issuer: string): Offering {
    const [one, another] = offering().filter((each) => each.issuer === issuer)
    if (one === undefined || another !== undefined) {
      throw new WritError(
        'sign_in_failed',
        'The policy set has no such issuer to sign in with, or has it twice.',
      )
    }
    return one
  }

  async function configurationOf(issuer: Offering): Promise<oidc.Configuration> {
    const key = JSON.stringify([issuer.issuer, issuer.signIn])
    const held = configurations.get(key)
    if (held !== undefined && now().getTime() < held.until) return held.value
    const value = discover(issuer, fetch, timeoutMs)
    configurations.set(key, { until: now().getTime() + CONFIGURATION_MS, value })
    value.catch(() => configurations.set(key, { until: now().getTime() + FAILURE_MS, value }))
    return value
  }

  /** Errors of the library quote what was sent and answered, codes and tokens too: only their own code goes on. */
  async function guarded<T>(issuer: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof WritError) throw error
      const { reason, unavailable, said } = reasonOf(error)
      options.log.warn({ issuer, reason }, 'sign-in failed at the issuer')
      throw unavailable
        ? new WritError(
            'issuer_unavailable',
            'The issuer does not answer as it should, so nobody can sign in with it now.',
          )
        : new WritError('sign_in_failed', said)
    }
  }

  return {
    offered: () => [...new Set(offering().map(({ issuer }) => issuer))],
    begin: (name, { redirectUri, fresh }) =>
      guarded(name, async () => {
        const issuer = trusted(name)
        const configuration = await configurationOf(issuer)
        const transaction: Transaction = {
          issuer: name,
          state: oidc.randomState(),
          nonce: oidc.randomNonce(),
          verifier: oidc.randomPKCECodeVerifier(),
          startedAt: Math.floor(now().getTime() / 1000),
          fresh,
        }
        const url = oidc.buildAuthorizationUrl(configuration, {
          redirect_uri: redirectUri,
          scope: issuer.signIn.scopes.join(' '),
          state: transaction.state,
          nonce: transaction.nonce,
          code_challenge: await oidc.calculatePKCECodeChallenge(transaction.verifier),
          code_challenge_method: 'S256',
          // With max_age the issuer has to say when the human authenticated (section 3.1.2.1).
          max_age: String(fresh ? 0 : MAX_AGE_SECONDS),
          ...(fresh ? { prompt: 'login' } : {}),
        })
        return { url: url.href, transaction }
      }),
    finish: (transaction, url) =>
      guarded(transaction.issuer, async () => {
        const configuration = await configurationOf(trusted(transaction.issuer))
        // Checks `iss` (RFC 9207), state and error first, then redeems the code.
        const answer = await oidc.authorizationCodeGrant(configuration, url, {
          expectedState: transaction.state,
          expectedNonce: transaction.nonce,
          pkceCodeVerifier: transaction.verifier,
          idTokenExpected: true,
        })
        const identity = await verifier.verify(`Bearer ${answer.id_token ?? ''}`, 'operators')
        if (identity.issuer !== transaction.issuer) {
          throw new WritError('sign_in_failed', 'The token is of another issuer than you went to.')
        }
        if (transaction.fresh) assertAnew(identity, transaction)
        return identity
      }),
    close: () => verifier.close(),
  }
}

const offersSignIn = (issuer: TrustedIssuer): issuer is Offering =>
  issuer.for === 'operators' && issuer.signIn !== undefined

/** The same verification as of bearer tokens, with the client's id as the one audience. */
function verifierOptions(options: CodeFlowOptions): VerifierOptions {
  let last: { readonly from: readonly TrustedIssuer[]; readonly to: readonly TrustedIssuer[] } | undefined
  return {
    log: options.log,
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    ...(options.now === undefined ? {} : { now: options.now }),
    issuers: () => {
      const from = options.issuers()
      // The same object as long as policy is the same: the verifier keeps keys by it.
      if (last?.from !== from) {
        last = {
          from,
          to: from.filter(offersSignIn).map((one) => ({ ...one, audience: one.signIn.clientId })),
        }
      }
      return last.to
    },
  }
}

/** Asked to authenticate anew, the human did so after that. A browser can leave `prompt` out; auth_time is signed. */
function assertAnew({ authenticatedAt }: Identity, { startedAt }: Transaction): void {
  const seconds = (authenticatedAt?.getTime() ?? 0) / 1000
  if (seconds >= startedAt - CLOCK_TOLERANCE_SECONDS) return
  throw new WritError(
    'sign_in_failed',
    authenticatedAt === undefined
      ? 'The issuer does not say when you authenticated (auth_time).'
      : 'The issuer did not ask you to authenticate again.',
  )
}

async function discover(issuer: Offering, fetch: Fetch, timeoutMs: number): Promise<oidc.Configuration> {
  // As for keys: plain http stays on this machine, and a remote issuer cannot point us at it.
  const base = usableUrl(issuer.issuer, 'issuer', true)
  const onThisMachine = base.protocol === 'http:'
  const { clientId, clientSecretFile } = issuer.signIn
  const secret =
    clientSecretFile === undefined ? undefined : (await readFile(clientSecretFile, 'utf8')).trim()
  const configuration = await oidc.discovery(base, clientId, undefined, clientAuthentication(secret), {
    execute: onThisMachine ? [oidc.allowInsecureRequests] : [],
    timeout: timeoutMs / 1000,
    [oidc.customFetch]: (url, init) => fetchCapped(fetch, usableUrl(url, 'endpoint', onThisMachine), init),
  })
  const server = configuration.serverMetadata()
  // The library compares normalised; we trust the one spelling that policy has.
  if (server.issuer !== issuer.issuer) throw new TypeError('the discovery document names another issuer')
  usableUrl(server.authorization_endpoint ?? '', 'authorization_endpoint', onThisMachine)
  return configuration
}

/** By header where there is a secret (OpenID Connect Core section 9: the default), else PKCE alone. */
const clientAuthentication = (secret: string | undefined): oidc.ClientAuth =>
  secret === undefined ? oidc.None() : oidc.ClientSecretBasic(secret)

async function fetchCapped(fetch: Fetch, url: URL, init: oidc.CustomFetchOptions): Promise<Response> {
  const response = await fetch(url, { ...init, redirect: 'error' } as RequestInit)
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > MAX_ANSWER_BYTES) throw new TypeError('the answer is too large')
    chunks.push(chunk)
  }
  const { status, headers } = response
  return new Response(chunks.length === 0 ? null : Buffer.concat(chunks), { status, headers: bare(headers) })
}

/** Already decoded. */
function bare(headers: Headers): Headers {
  const kept = new Headers(headers)
  kept.delete('content-encoding')
  kept.delete('content-length')
  return kept
}

/** Codes of the library for an answer that is there and does not hold. Whatever else fails, fails on the way. */
const ANSWERED: ReadonlySet<string> = new Set([
  'OAUTH_INVALID_RESPONSE',
  'OAUTH_JWT_CLAIM_COMPARISON_FAILED',
  'OAUTH_JWT_TIMESTAMP_CHECK_FAILED',
  'OAUTH_AUTHORIZATION_RESPONSE_ERROR',
  'OAUTH_RESPONSE_BODY_ERROR',
])

/** What the library's error is, in words of ours or of a list. */
function reasonOf(error: unknown): { reason: string; unavailable: boolean; said: string } {
  const {
    name = '',
    code = '',
    status = 0,
    error: answered,
  } = error as Readonly<Record<string, unknown>> & {
    name?: string
    code?: string
    status?: number
  }
  // `error=…` of the issuer (RFC 6749 sections 4.1.2.1 and 5.2). It came through the browser: only a word is shown.
  const word = typeof answered === 'string' && /^[a-z_]{1,40}$/.test(answered) ? answered : undefined
  if (word !== undefined) {
    const unavailable = word === 'server_error' || word === 'temporarily_unavailable'
    return { reason: word, unavailable, said: `The issuer answered: ${word}.` }
  }
  const unavailable = status >= 500 || !ANSWERED.has(code)
  return {
    reason: code === '' ? name : code,
    unavailable,
    said: 'What came back does not belong to a sign-in that was begun here, or was altered on the way.',
  }
}
