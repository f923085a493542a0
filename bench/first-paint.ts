import { existsSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { type Browser, chromium } from 'playwright-core'
import type { Database } from '../server/db/pool.js'
import { assetRoutes } from '../server/http/console/assets.js'
import { sessionCookie } from '../server/http/console/cookies.js'
import { consoleHeaders } from '../server/http/console/headers.js'
import { historyPages } from '../server/http/console/history-routes.js'
import { newId } from '../server/issuance/id.js'
import { createSessions } from '../server/operators/sessions.js'
import { packageRoot } from '../server/paths.js'
import { loadPolicySet } from '../server/policy/load.js'
import { quantile } from './measure.js'
import { openPool } from './plain.js'
import { setOf } from './policies.js'
import { type Cell, type Result, shortened } from './result.js'
import type { Run } from './run.js'

/** Somebody of the example policy who may read the record. */
const OPERATOR = 'carol'

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const QUIET = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** What a first paint may take. */
const MOST_MS = 300

/** One line of text, with the headers that every page of the console has. */
const FLOOR = '/floor'

/**
 * How a page is opened. In a new tab the browser finds out from the answer's headers that this page may share a process
 * with no other (Cross-Origin-Opener-Policy), and begins one; within the console it has it.
 */
const WAYS = ['new browser', 'new tab', 'within the console'] as const
type Way = (typeof WAYS)[number]

/** The history as an operator opens it, and narrowed by what is common, rare, and never together. */
const PAGES: readonly (readonly [name: string, path: string])[] = [
  ['floor: one line of text', FLOOR],
  ['all, 24 hours', '/console/history'],
  ['all, 30 days', '/console/history?over=30d'],
  ['`agent`', '/console/history?agent=agent-00000&over=30d'],
  ['`human`', '/console/history?human=person-0000%40example.com&over=30d'],
  [
    '`agent`, `environment`, never together',
    '/console/history?agent=agent-00000&environment=sandbox&over=30d',
  ],
]

/** First paint of the history in a real browser, and what of it the broker takes. */
export async function firstPaint(run: Run): Promise<Result> {
  const kept = await run.kept(run.entries)
  const database = openPool(kept.brokerUrl)
  const app = Fastify()
  const path = CHROMIUM.find((one) => existsSync(one))
  if (path === undefined) run.say('firstPaint: NO CHROMIUM HERE: the broker’s part alone is measured')
  const browser =
    path === undefined ? undefined : await chromium.launch({ executablePath: path, args: QUIET })
  try {
    const site = await serve(app, database)
    const tries = run.smoke ? 1 : 30
    const rows: Record<string, Cell>[] = []
    for (const [name, path] of run.smoke ? PAGES.slice(0, 2) : PAGES) {
      run.say(`firstPaint: ${name}`)
      const server = await timed(tries, () => site.get(path))
      const row: Record<string, Cell> = { page: name, broker: shown(server) }
      let slowest = 0
      for (const way of WAYS) {
        const seen = browser && (await paints(browser, site, path, tries, way))
        const worst = quantile(seen ?? server, 0.99)
        if (worst > MOST_MS) run.say(`firstPaint: ABOVE ${MOST_MS} ms: ${name}, ${way}: ${worst}`)
        row[way] = shown(seen)
        slowest = Math.max(slowest, worst)
      }
      rows.push({ ...row, 'slowest p99 ms': slowest })
    }
    return {
      name: 'firstPaint',
      title: 'History: first paint',
      about: `p50 and p99 in milliseconds over ${tries} tries, on ${run.entries.toLocaleString('en')} entries: what the broker takes for the page, and the first contentful paint in headless Chromium on the same machine, from the beginning of the navigation: with an empty cache, in another tab, and from another page of the console in the same tab. The floor is what the browser itself takes for a page of one line with the same headers.`,
      rows,
    }
  } finally {
    await browser?.close()
    await app.close()
    await database.end()
  }
}

interface Site {
  readonly url: string
  /** `name=value` of a session's cookie. */
  readonly cookie: string
  readonly get: (path: string) => Promise<unknown>
}

/** The console's history over a database, with a session to open it. */
async function serve(app: FastifyInstance, database: Database): Promise<Site> {
  const policySet = setOf(await loadPolicySet(`${packageRoot()}/policies`))
  const sessions = createSessions(database, newId)
  let url = ''
  const console = {
    auth: { policySet: () => policySet, record: () => Promise.reject(new Error('nothing is refused here')) },
    sessions,
    origin: () => url,
  }
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.get(FLOOR, async (_, reply) => {
    consoleHeaders(reply)
    return reply.type('text/html').send('<!doctype html><p>floor</p>')
  })
  await app.register(assetRoutes)
  await app.register(historyPages, { deps: { console, database } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://localhost:${(app.server.address() as AddressInfo).port}`
  const { secret } = await sessions.start({
    operator: OPERATOR,
    method: 'passkey',
    authenticatedAt: new Date(),
  })
  const cookie = `${sessionCookie(url)}=${secret}`
  return {
    url,
    cookie,
    get: async (path) => {
      const answer = await fetch(`${url}${path}`, {
        headers: { cookie, accept: 'text/html' },
        redirect: 'error',
      })
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`)
      return await answer.text()
    },
  }
}

async function paints(browser: Browser, site: Site, path: string, tries: number, way: Way) {
  const times: number[] = []
  const open = async () => {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
    const [name = '', value = ''] = site.cookie.split('=')
    await context.addCookies([{ name, value, url: site.url, httpOnly: true, sameSite: 'Strict' }])
    return context
  }
  const shared = way === 'new browser' ? undefined : await open()
  for (let n = tries > 1 ? -2 : 0; n < tries; n++) {
    const context = shared ?? (await open())
    const page = await context.newPage()
    if (way === 'within the console') await page.goto(`${site.url}${FLOOR}`)
    await page.goto(`${site.url}${path}`)
    const at = await page.evaluate(`new Promise((done) => new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (entry.name === 'first-contentful-paint') done(entry.startTime)
    }).observe({ type: 'paint', buffered: true }))`)
    if (n >= 0) times.push(Number(at))
    await page.close()
    if (shared === undefined) await context.close()
  }
  await shared?.close()
  return times
}

async function timed(tries: number, call: () => Promise<unknown>): Promise<readonly number[]> {
  const times: number[] = []
  for (let n = -2; n < tries; n++) {
    const begin = performance.now()
    await call()
    if (n >= 0) times.push(performance.now() - begin)
  }
  return times
}

const shown = (times: readonly number[] | undefined): Cell =>
  times === undefined ? undefined : [0.5, 0.99].map((share) => shortened(quantile(times, share))).join(' / ')
