import { createPrivateKey, generateKeyPairSync, type KeyObject, sign as rawSign } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CompactSign, type JWK } from 'jose'
import type { TrustedIssuer } from '../../server/types.js'

export const AUDIENCE = 'https://writ.example.com'

export type TestAlgorithm = 'RS256' | 'ES256' | 'EdDSA'

/** `down`: 503. `hang`: accepts and never answers. `oversized`: endless body. `redirect`: 302 to `redirectTo`. */
export type Behaviour = 'up' | 'down' | 'hang' | 'oversized' | 'redirect' | 'not-json' | 'drop'

export interface TestKey {
  readonly kid: string
  readonly alg: TestAlgorithm
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export interface SignOptions {
  readonly key?: TestKey
  /** Merged over `{ alg, kid, typ }`; a member set to undefined is left out. */
  readonly header?: Readonly<Record<string, unknown>>
}

/** A real OpenID Connect issuer on loopback, over HTTP, with real keys. */
export interface TestIssuer {
  readonly url: string
  readonly requests: { discovery: number; jwks: number; other: number }
  /** Settings the next response follows. */
  readonly answer: {
    behaviour: Behaviour
    cacheControl?: string
    discovery?: (document: Record<string, unknown>) => unknown
    /** Replaces the published set. */
    jwks?: unknown
    redirectTo?: string
    /** Runs before each answer, so that a test can hold one back. */
    before?: () => Promise<void>
  }
  readonly keys: TestKey[]
  addKey(alg: TestAlgorithm, kid?: string): TestKey
  /** A new key in, every other one out. */
  rotate(alg?: TestAlgorithm): TestKey
  /** The policy entry that trusts this issuer for agents. */
  trusted(overrides?: Partial<TrustedIssuer>): TrustedIssuer
  /** Claims that verify at `now`. */
  claims(now: Date, overrides?: Readonly<Record<string, unknown>>): Record<string, unknown>
  sign(claims: Readonly<Record<string, unknown>>, options?: SignOptions): Promise<string>
  close(): Promise<void>
}

export function newKey(alg: TestAlgorithm, kid: string): TestKey {
  const pair =
    alg === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : alg === 'ES256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519')
  return { kid, alg, ...pair }
}

export const publicJwk = ({ kid, alg, publicKey }: TestKey): JWK => ({
  ...(publicKey.export({ format: 'jwk' }) as JWK),
  kid,
  alg,
  use: 'sig',
})

export const base64url = (part: string | Uint8Array): string => Buffer.from(part).toString('base64url')

/** A token whose header and payload are exactly these texts, JSON or not, really signed. */
export function signRaw(header: string, payload: string, key: TestKey): string {
  const input = `${base64url(header)}.${base64url(payload)}`
  const privateKey = createPrivateKey(key.privateKey.export({ format: 'pem', type: 'pkcs8' }))
  const signature =
    key.alg === 'ES256'
      ? rawSign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      : rawSign(key.alg === 'EdDSA' ? null : 'sha256', Buffer.from(input), privateKey)
  return `${input}.${base64url(signature)}`
}

export async function signClaims(
  claims: Readonly<Record<string, unknown>>,
  key: TestKey,
  header: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const full = { alg: key.alg, kid: key.kid, typ: 'JWT', ...header }
  const crit = 'crit' in full || 'b64' in full
  // jose refuses to write some of the headers that tests want refused.
  if (crit || full.alg !== key.alg) return signRaw(JSON.stringify(full), JSON.stringify(claims), key)
  const present = Object.fromEntries(Object.entries(full).filter(([, value]) => value !== undefined))
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ ...present, alg: key.alg })
    .sign(key.privateKey)
}

export async function startIssuer(algorithms: readonly TestAlgorithm[] = ['ES256']): Promise<TestIssuer> {
  const requests = { discovery: 0, jwks: 0, other: 0 }
  const answer: TestIssuer['answer'] = { behaviour: 'up' }
  const keys: TestKey[] = []
  const hanging = new Set<ServerResponse>()
  let made = 0

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? ''
    const kind =
      path === '/.well-known/openid-configuration' ? 'discovery' : path === '/jwks' ? 'jwks' : 'other'
    requests[kind] += 1
    await answer.before?.()
    switch (answer.behaviour) {
      case 'hang':
        hanging.add(response)
        return
      case 'drop':
        response.destroy()
        return
      case 'oversized':
        endless(response)
        return
      case 'down':
        response.writeHead(503).end('down')
        return
      case 'redirect':
        response.writeHead(302, { location: answer.redirectTo ?? '/elsewhere' }).end()
        return
      case 'not-json':
        response.writeHead(200, { 'content-type': 'application/json' }).end('<html>')
        return
    }
    if (kind === 'other') {
      response.writeHead(404).end()
      return
    }
    const document = { issuer: url, jwks_uri: `${url}/jwks` }
    const body =
      kind === 'discovery'
        ? (answer.discovery?.(document) ?? document)
        : (answer.jwks ?? { keys: keys.map(publicJwk) })
    const cache = answer.cacheControl === undefined ? {} : { 'cache-control': answer.cacheControl }
    response.writeHead(200, { 'content-type': 'application/json', ...cache }).end(JSON.stringify(body))
  }

  const server = createServer((request, response) => {
    void respond(request, response).catch(() => response.destroy())
  })
  const url = await listen(server)

  const issuer: TestIssuer = {
    url,
    requests,
    answer,
    keys,
    addKey(alg, kid) {
      made += 1
      const key = newKey(alg, kid ?? `key-${made}`)
      keys.push(key)
      return key
    },
    rotate(alg = keys[0]?.alg ?? 'ES256') {
      keys.length = 0
      return issuer.addKey(alg)
    },
    trusted: (overrides = {}) => ({
      issuer: url,
      audience: AUDIENCE,
      for: 'agents',
      algorithms: ['RS256', 'ES256', 'EdDSA'],
      maxTokenAgeSeconds: 3600,
      maxTokenLifeSeconds: 3600,
      ...overrides,
    }),
    claims(now, overrides = {}) {
      const iat = Math.floor(now.getTime() / 1000)
      return { iss: url, sub: 'agent-1', aud: AUDIENCE, iat, exp: iat + 600, ...overrides }
    },
    async sign(claims, { key = keys[0], header } = {}) {
      if (key === undefined) throw new Error('the issuer has no key')
      return signClaims(claims, key, header)
    },
    close() {
      for (const response of hanging) response.destroy()
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  for (const alg of algorithms) issuer.addKey(alg)
  return issuer
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** JSON that never ends, until the reader goes away. */
function endless(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  const chunk = Buffer.alloc(64 * 1024, ' ')
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  }
  response.on('drain', more)
  more()
}
