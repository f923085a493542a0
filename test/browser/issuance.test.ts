import type { BrowserContext, Page } from 'playwright-core'
import t from 'tap'
import { generateSignerKey, parseSignerKey } from '../../server/audit/merkle/keys.js'
import { livedBroker, startConsole } from '../web/support.js'
import { chromiumPath, enter, openBrowser } from './support.js'

const skip = chromiumPath() === undefined && 'NO CHROMIUM HERE: nothing was tried in a browser'
t.setTimeout(110_000)

t.test('an issuance and its proof, in a browser', { skip }, async (t) => {
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
  await t.test('an issuance proves itself, each of its entries', async (t) => {
    const own = await context()
    const page = await open(`/console/history/${production}`, own)
    await page.waitForSelector('#proof.ok')
    const states = await page.locator('[data-proof-state]').allTextContents()
    t.ok(states.length >= 5, 'request, approval, grant, intent, outcome')
    t.ok(states.every((text) => text === '✓ verified'))
    t.match(await page.textContent('[data-proof-summary]'), /in the signed log, unaltered/)
    t.match(await page.textContent('main'), /signature verified/)
    t.match(await page.textContent('[data-proof-key]'), /for the first time/)
    await page.reload()
    await page.waitForSelector('#proof.ok')
    t.match(await page.textContent('[data-proof-key]'), /remembers since/)
    const file = await page.locator('a[download]').first().getAttribute('href')
    const proof = await page.evaluate(`fetch(${JSON.stringify(file)}).then((answer) => answer.text())`)
    t.match(proof, /^c2sp\.org\/tlog-proof@v1\nextra /)
  })

  await t.test('what was altered on the way fails, loudly', async (t) => {
    const changes: Readonly<Record<string, (text: string) => string>> = {
      'the entry in the proof': (text) => text.replace(/extra ..../, 'extra eyJm'),
      'a hash of the path': (text) => text.replace(/index (\d+)\\n.../, 'index $1\\nAAA'),
      'the root': (text) => text.replace(/(\\n\\n[^\\]+\\n\d+\\n)..../, '$1AAAA'),
      'the signature': (text) => text.replace(/(— [^ ]+ .{12})..../, '$1AAAA'),
    }
    for (const [what, change] of Object.entries(changes)) {
      const own = await context()
      await own.route('**/console/log/proof/entry/*', async (route) => {
        const answer = await route.fetch()
        const text = await answer.text()
        t.not(change(text), text)
        await route.fulfill({ response: answer, body: change(text) })
      })
      const page = await open(`/console/history/${development}`, own)
      await page.waitForSelector('#proof.danger')
      t.match(await page.textContent('[role=alert]'), /not proven by the signed log/, what)
      t.notOk(await page.locator('#proof.ok').count(), what)
      await own.close()
    }
    const own = await context()
    await own.route('**/console/history/*', async (route) => {
      const answer = await route.fetch()
      const body = (await answer.text()).replace(
        '&quot;environment&quot;: &quot;development',
        '&quot;environment&quot;: &quot;sandbox',
      )
      await route.fulfill({ response: answer, body })
    })
    const page = await open(`/console/history/${development}`, own)
    await page.waitForSelector('#proof.danger')
    t.match(await page.textContent('[role=alert]'), /not what the log has/, 'the page itself')
  })

  await t.test('another key than the one this browser knows is shouted, and not believed', async (t) => {
    const own = await context()
    const first = await open(`/console/history/${development}`, own)
    await first.waitForSelector('#proof.ok')
    const { origin } = broker.publishing ?? { origin: '' }
    const other = parseSignerKey(generateSignerKey(origin)).verifierKey
    const known = JSON.stringify({ key: other, since: new Date().toISOString() })
    await first.evaluate(`localStorage.setItem('writ-log-key', ${JSON.stringify(known)})`)
    const page = await open(`/console/history/${development}`, own)
    await page.waitForSelector('[data-proof-alarm]:not([hidden])')
    t.match(await page.textContent('[role=alert]'), /THE KEY OF THE LOG IS NOT/)
    await page.waitForSelector('[data-proof-state].danger')
    t.notOk(await page.locator('#proof.ok').count())
    await page.click('[data-proof-key] button')
    await page.waitForSelector('#proof.ok')
    await page.locator('[data-proof-alarm]').waitFor({ state: 'hidden' })
    t.pass('a key that was compared is the one from now on')
  })

  await t.test('an entry that no checkpoint covers yet is waited for', async (t) => {
    const own = await context()
    let asked = 0
    await own.route('**/console/log/proof/entry/*', async (route) => {
      if (++asked > 2) return route.continue()
      await route.fulfill({
        status: 404,
        contentType: 'application/problem+json',
        body: JSON.stringify({ code: 'entry_not_covered', detail: 'Not covered yet.' }),
      })
    })
    const page = await open(`/console/history/${development}`, own)
    await page.waitForSelector('[data-proof-state].info')
    t.equal(await page.locator('[data-proof-state]').first().textContent(), 'not yet covered')
    await page.waitForSelector('#proof.ok')
  })

  await t.test('a browser without Ed25519 says what it did not check', async (t) => {
    const own = await context()
    await own.addInitScript(
      `crypto.subtle.importKey = () => Promise.reject(new DOMException('', 'NotSupportedError'))`,
    )
    const page = await open(`/console/history/${development}`, own)
    await page.waitForSelector('#proof.warn')
    t.match(await page.textContent('[data-proof-summary]'), /nobody checked the signature/)
    t.notOk(await page.locator('#proof.ok').count())
  })
})
