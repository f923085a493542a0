/**
 * Pictures of the console for docs/: `node dist/test/browser/shots.js`. One file a page: light and dark, on a wide
 * screen and on a phone.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, BrowserContext } from 'playwright-core'
import t from 'tap'
import { packageRoot } from '../../server/paths.js'
import { startSession } from '../support/console.js'
import { livedBroker } from '../web/support.js'
import { enter, openBrowser } from './support.js'

const FOLDER = join(packageRoot(), 'docs/console')

t.setTimeout(300_000)

t.test('pictures of every page', async (t) => {
  const { broker, production } = await livedBroker(t, 'look at order 4711')
  const browser = await openBrowser(t)
  await mkdir(FOLDER, { recursive: true })
  await broker.enrol('bob')
  const asking = { claims: { human: 'dana@example.com' } }
  const ask = async (agent: string, wish: object) =>
    (await broker.call('POST', '/v1/grant-requests', await broker.agentToken(agent, asking), wish)).body
  await ask('report-bot', {
    environment: 'production',
    scopes: ['reports:write'],
    reason: 'Nightly report',
  })
  const request = await ask('orders-coder', {
    environment: 'production',
    scopes: ['orders:write'],
    reason: 'Repair order 4711, whose total was written before the discount',
    ticket: 'OPS-1234',
  })
  const pages: Readonly<Record<string, string>> = {
    'sign-in': '/console/sign-in?again=1',
    enrol: '/console/enrol',
    requests: '/console/requests',
    request: `/console/requests/${request.id}`,
    grants: '/console/grants',
    'grant-new': '/console/grants/new?agent=orders-coder&environment=production',
    agents: '/console/agents',
    agent: '/console/agents/orders-coder',
    history: '/console/history',
    issuance: `/console/history/${production}`,
    integrity: '/console/integrity',
    keys: '/console/keys',
  }
  const shots = new Map<string, Buffer[]>()
  await take(pages)
  // Last, since every other page would say so on top.
  const bob = await broker.operatorToken('bob')
  await broker.call('PUT', '/v1/stops/agent/report-bot', bob, { reason: 'Reads the same table every second' })
  await take({ stops: '/console/stops' })
  for (const [name, four] of shots) await sheet(browser, name, four)

  async function take(wanted: Readonly<Record<string, string>>): Promise<void> {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const width of [1440, 360]) {
        const height = width === 360 ? 780 : 900
        const context = await browser.newContext({ colorScheme, viewport: { width, height } })
        await signIn(context)
        for (const [name, path] of Object.entries(wanted)) {
          const page = await context.newPage()
          await page.goto(`${broker.origin}${path}`)
          await page.waitForTimeout(name === 'issuance' ? 2_500 : 300)
          shots.set(name, [...(shots.get(name) ?? []), await page.screenshot()])
          await page.close()
        }
        await context.close()
      }
    }
  }

  async function signIn(context: BrowserContext): Promise<void> {
    const { cookie } = await startSession(broker.sql, 'bob', new Date(), broker.origin)
    await enter(context, broker.origin, cookie)
  }
})

/** The variants of a page side by side, small enough for a document. */
async function sheet(browser: Browser, name: string, shots: readonly Buffer[]): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1_030, height: 1_000 } })
  const page = await context.newPage()
  const images = shots.map((shot) => `<img src="data:image/png;base64,${shot.toString('base64')}">`).join('')
  await page.setContent(
    `<style>body{margin:0;background:#808080}main{display:inline-flex;flex-wrap:wrap;gap:8px;padding:8px}img{height:480px}</style><main>${images}</main>`,
  )
  const picture = await page.locator('main').screenshot({ type: 'jpeg', quality: 70 })
  await writeFile(join(FOLDER, `${name}.jpg`), picture)
  await context.close()
}
