import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'
import { consoleHeaders } from '../../server/http/console/headers.js'
import { packageRoot } from '../../server/paths.js'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** A real browser, or undefined where there is none: a test then says loudly that it was skipped; CI wants one. */
export function chromiumPath(): string | undefined {
  const found = PLACES.find((path) => existsSync(path))
  if (found === undefined && process.env.WRIT_CI === '1') {
    throw new Error('Chromium is not installed, and WRIT_CI=1 wants it')
  }
  return found
}

/** Starts Chromium for a test. Nothing in it calls home. */
export async function openBrowser(t: Test): Promise<Browser> {
  const executablePath = chromiumPath()
  if (executablePath === undefined) throw new Error('no chromium')
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      // What would be a process for graphics, which there are none of.
      '--in-process-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  t.teardown(() => browser.close())
  return browser
}

export interface Authenticator {
  /** Whether its user proves who they are, as with a fingerprint. */
  readonly verifies: (yes: boolean) => Promise<void>
  readonly credentials: () => Promise<readonly unknown[]>
  readonly remove: () => Promise<void>
}

/** A virtual authenticator in a page (Chrome DevTools Protocol, WebAuthn domain). */
export async function addAuthenticator(page: Page): Promise<Authenticator> {
  const session = await page.context().newCDPSession(page)
  await session.send('WebAuthn.enable')
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
  return {
    verifies: async (yes) => {
      await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: yes })
    },
    credentials: async () => (await session.send('WebAuthn.getCredentials', { authenticatorId })).credentials,
    remove: async () => {
      await session.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId })
    },
  }
}

/** Puts a session's cookie into a browser. */
export async function enter(context: BrowserContext, origin: string, cookie: string): Promise<void> {
  const [name = '', value = ''] = cookie.split('=')
  await context.addCookies([{ name, value, url: origin, httpOnly: true, sameSite: 'Strict' }])
}

/** What went wrong in a page: errors of scripts, and what its policy of contents refused. */
export function troubles(page: Page): readonly string[] {
  const found: string[] = []
  page.on('pageerror', (error) => found.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') found.push(message.text())
  })
  page.on('dialog', (dialog) => {
    found.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  return found
}

/** Serves pages that were rendered from data, with the assets and the headers of the console. */
export async function servePages(t: Test, pages: Readonly<Record<string, string>>): Promise<string> {
  const headers: Record<string, string> = {}
  consoleHeaders({ headers: (all: Record<string, string>) => Object.assign(headers, all) } as never)
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    const asset = path.startsWith('/assets/') ? assetOf(basename(path)) : undefined
    const page = pages[path]
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    if (asset !== undefined) response.setHeader('content-type', asset.type).end(asset.content)
    else if (page !== undefined) response.setHeader('content-type', 'text/html; charset=utf-8').end(page)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://localhost:${(server.address() as AddressInfo).port}`
}

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css',
  js: 'text/javascript',
  svg: 'image/svg+xml',
}

function assetOf(name: string): { readonly type: string; readonly content: Buffer } | undefined {
  const type = TYPES[name.split('.').at(-1) ?? '']
  const compiled = new URL('../../web/browser/', import.meta.url).pathname
  const place = [join(packageRoot(), 'web/assets', name), join(compiled, name)].find((path) =>
    existsSync(path),
  )
  return type === undefined || place === undefined ? undefined : { type, content: readFileSync(place) }
}

/** The rules of axe that look at colours: in another colour scheme all others find what they found. */
const COLOURS = ['color-contrast', 'link-in-text-block']

/** What axe finds serious in a page; of its colours alone, where the rest of the same page was looked at before. */
export async function seriousFindings(
  page: Page,
  { coloursAlone = false }: { readonly coloursAlone?: boolean } = {},
): Promise<readonly string[]> {
  const source = readFileSync(join(packageRoot(), 'node_modules/axe-core/axe.min.js'), 'utf8')
  // Through the debugger: the page's own policy refuses a script of anybody else's.
  await page.evaluate(source)
  const options = { resultTypes: ['violations'], ...(coloursAlone ? { runOnly: COLOURS } : {}) }
  const results = (await page.evaluate(`axe.run(document, ${JSON.stringify(options)})`)) as {
    readonly violations: readonly {
      readonly id: string
      readonly impact: string
      readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[]
    }[]
  }
  return results.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`))
}
