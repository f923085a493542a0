import type { BrowserContext, Page } from 'playwright-core'
import t from 'tap'
import { livedBroker, startConsole } from '../web/support.js'
import { chromiumPath, enter, openBrowser, seriousFindings, troubles } from './support.js'

const skip = chromiumPath() === undefined && 'NO CHROMIUM HERE: nothing was tried in a browser'
t.setTimeout(110_000)

t.test('the pages of a review, in a browser', { skip }, async (t) => {
  const { broker, production, development } = await livedBroker(t)
  const site = await startConsole(t, broker)
  const browser = await openBrowser(t)
  const open = async (path: string, in_: BrowserContext): Promise<Page> => {
    const page = await in_.newPage()
    await page.goto(`${site.url}${path}`)
    return page
  }
  const context = async (options: Parameters<typeof browser.newContext>[0] = {}) => {
    const made = await browser.newContext(options)
    await enter(made, site.url, await site.cookie('carol'))
    return made
  }
  const PATHS = {
    history: '/console/history',
    filtered: '/console/history?agent=orders-coder&environment=production&over=7d&human=nobody',
    refused: '/console/history?network=nowhere',
    issuance: `/console/history/${production}`,
    development: `/console/history/${development}`,
    agents: '/console/agents',
    agent: '/console/agents/orders-coder',
    integrity: '/console/integrity',
  }

  await t.test('nothing that an agent wrote runs, and axe finds nothing serious', async (t) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const all = await context({ colorScheme })
      // Another scheme is other colours and nothing else: a page of each kind shows them all.
      const some = Object.entries(PATHS).filter(
        ([name]) => colorScheme === 'light' || ['history', 'issuance'].includes(name),
      )
      const page = await all.newPage()
      const found = troubles(page)
      for (const [name, path] of some) {
        await page.goto(`${site.url}${path}`)
        await page.locator('details').evaluateAll((all) => {
          for (const one of all) one.setAttribute('open', '')
        })
        // The same page with other rows has the same parts.
        if (name !== 'development' && name !== 'filtered') {
          const findings = await seriousFindings(page, { coloursAlone: colorScheme === 'dark' })
          t.same(findings, [], `${name}, ${colorScheme}`)
        }
        t.same(
          found.filter((text) => !text.includes('422')),
          [],
          name,
        )
        for (const width of [360, 1440]) {
          await page.setViewportSize({ width, height: 900 })
          const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
          t.ok(Number(over) <= 0, `${name} does not scroll sideways at ${width} px`)
          if (process.env.WRIT_SHOTS !== undefined)
            await page.screenshot({
              path: `${process.env.WRIT_SHOTS}/${name}-${colorScheme}-${width}.png`,
              fullPage: true,
            })
        }
      }
      await all.close()
    }
  })

  await t.test('filters are in the address, times in the zone of the reader', async (t) => {
    const own = await context({ timezoneId: 'Asia/Tokyo' })
    const page = await open('/console/history', own)
    await page.fill('input[name=agent]', 'orders-coder')
    await page.fill('input[data-instant] >> nth=0', '2026-01-31T09:00:00')
    await page.click('button.strong')
    await page.waitForURL(/agent=/)
    const { searchParams } = new URL(page.url())
    t.same(
      [...searchParams],
      [
        ['agent', 'orders-coder'],
        ['since', '2026-01-31T00:00:00.000Z'],
      ],
    )
    t.match(await page.inputValue('input[data-instant] >> nth=0'), /^2026-01-31T09:00/)
    await page.locator('.chip').first().click()
    await page.waitForURL((url) => !url.searchParams.has('agent'))
    t.equal(new URL(page.url()).search, '?since=2026-01-31T00%3A00%3A00.000Z')
    await page.locator('svg.bars a').last().click()
    await page.waitForURL(/until=/)
  })
})
