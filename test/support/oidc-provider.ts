import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'
import type { Test } from 'tap'

export interface TestProvider {
  readonly issuer: string
  /** Claims of an account beside `sub`; accounts are made by naming them. */
  readonly claims: Map<string, Readonly<Record<string, unknown>>>
  /** No connection is taken any more. */
  readonly stop: () => Promise<void>
}

export const CLIENT_ID = 'writ-console'

/** A real OpenID provider on loopback, over plain http, with one public client that may return to `redirectUri`. */
export async function startProvider(t: Test, redirectUri: string): Promise<TestProvider> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const claims = new Map<string, Readonly<Record<string, unknown>>>()
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT_ID,
        token_endpoint_auth_method: 'none',
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
    ],
    cookies: { keys: [randomBytes(16).toString('hex')] },
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'one', alg: 'RS256', use: 'sig' }] },
    claims: { openid: ['sub', 'groups', 'email'] },
    // The claims belong into the ID token: nothing here asks the userinfo endpoint.
    conformIdTokenClaims: false,
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...claims.get(id) }),
    }),
    ttl: {
      AccessToken: 60,
      AuthorizationCode: 60,
      IdToken: 300,
      Interaction: 300,
      Session: 3600,
      Grant: 3600,
    },
  })
  const handle = provider.callback()
  server.on('request', (request, response) => void handle(request, response))
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  t.teardown(stop)
  return { issuer, claims, stop }
}

/** A browser, as far as signing in takes one: cookies for each origin, and no redirect followed unless told. */
export class Browser {
  readonly #cookies = new Map<string, Map<string, string>>()

  cookies(url: string): Map<string, string> {
    // By host name alone, as browsers keep them.
    const { hostname } = new URL(url)
    const jar = this.#cookies.get(hostname) ?? new Map<string, string>()
    this.#cookies.set(hostname, jar)
    return jar
  }

  async go(url: string, init: RequestInit = {}): Promise<Response> {
    const jar = this.cookies(url)
    const response = await fetch(url, {
      redirect: 'manual',
      ...init,
      headers: {
        accept: 'text/html',
        ...(init.headers as Record<string, string>),
        cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
      },
    })
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(';')
      const [name = '', ...value] = pair.split('=')
      const over = attributes.some((one) => /max-age=0|expires=thu, 01 jan 1970/i.test(one))
      if (over || value.join('=') === '') jar.delete(name)
      else jar.set(name, value.join('='))
    }
    return response
  }

  /**
   * Logs `login` in at the provider and agrees to whatever it asks, up to the address it sends the browser back to,
   * which is answered and not visited.
   */
  async signInAt(authorization: string, login: string): Promise<string> {
    const issuer = new URL(authorization).origin
    let url = authorization
    for (let step = 0; step < 12; step++) {
      if (new URL(url).origin !== issuer) return url
      let response = await this.go(url)
      if (response.status === 200) {
        const page = await response.text()
        const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1] ?? ''
        const action = /action="([^"]+)"/.exec(page)?.[1] ?? url
        response = await this.go(new URL(action, url).href, {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: new URLSearchParams({ prompt, login, password: 'any' }).toString(),
        })
      }
      const to = response.headers.get('location')
      if (to === null) throw new Error(`the provider answered ${response.status}: ${await response.text()}`)
      url = new URL(to, url).href
    }
    throw new Error('the provider goes round in circles')
  }
}
