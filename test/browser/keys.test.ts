import t from 'tap'
import { startConsole } from './console.js'
import { addAuthenticator, chromiumPath, openBrowser } from './support.js'

const skip = chromiumPath() === undefined && 'NO CHROMIUM: nothing of the console is tested in a browser'

t.test('keys and grants at the console', { skip }, async (t) => {
  const browser = await openBrowser(t)
  const { broker, origin, enter, code: codeFor } = await startConsole(t)
  const bob = await enter(browser, 'bob')
  const alice = await enter(browser, 'alice')

  t.test('a second passkey takes the signature of somebody else', async (t) => {
    const { page } = alice
    await page.goto(`${origin}/console/keys`)
    t.equal(await page.getByRole('heading', { name: 'Passkey', exact: true }).count(), 1)
    // One authenticator holds one key of hers: the second needs another.
    await alice.authenticator.remove()
    await addAuthenticator(page)
    await page.getByLabel('Name of the new key').fill('blue key')
    await page.getByRole('button', { name: 'Add a passkey' }).click()
    await page.getByText('Waiting for somebody to vouch: blue key').waitFor()
    const code = await page.locator('.panel.warn .code').textContent()
    t.match(code, /^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/)

    await bob.page.goto(`${origin}/console/keys`)
    t.equal(await bob.page.locator('.card .code').textContent(), code, 'both read the same code')

    await bob.page.route('**/challenge', async (route) => {
      const response = await route.fetch()
      const answer = await response.json()
      const document = answer.document.replace('"operator":"alice"', '"operator":"mallory"')
      await route.fulfill({ response, json: { ...answer, document } })
    })
    await bob.page.getByRole('button', { name: 'Vouch' }).click()
    await bob.page.getByText('not_what_was_shown').waitFor()
    await bob.page.unrouteAll()

    await bob.page.getByRole('button', { name: 'Vouch' }).click()
    await bob.page.getByRole('heading', { name: 'Keys of others that wait' }).waitFor({ state: 'detached' })
    await page.reload()
    await page.getByText('vouched for by bob').waitFor()

    await page
      .locator('.card', { hasText: 'with a one-time code' })
      .getByText('Remove', { exact: true })
      .click()
    await page.getByRole('button', { name: 'Remove this key' }).first().click()
    await page.getByText('Removed keys (1)').waitFor()
    t.strictSame(alice.troubles, [])
  })

  t.test('granting unasked leads to a card that is signed, and revoking takes it away', async (t) => {
    const { page } = bob
    await page.goto(`${origin}/console/grants`)
    await page.getByRole('link', { name: 'Grant unasked' }).click()
    await page.getByRole('link', { name: 'orders-coder in production' }).click()
    await page.getByRole('button', { name: 'Show what this permits' }).isVisible()
    await page.getByLabel('Why').fill('The nightly repair')
    await page.getByRole('button', { name: 'Show what this permits' }).click()
    await page.getByText('scopes_missing').waitFor()
    await page.getByLabel('orders:write').check()
    await page.getByRole('button', { name: 'Show what this permits' }).click()
    await page.waitForURL('**/console/requests/*')
    t.ok(await page.getByText('Asked for by the operator bob').isVisible())
    t.ok(await page.getByText('Written by the operator bob.').isVisible())
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByText('Granted by bob').waitFor()

    const token = await broker.agentToken('orders-coder')
    const ask = () =>
      broker.call('POST', '/v1/credentials', token, {
        environment: 'production',
        scopes: ['orders:write'],
        reason: 'The nightly repair',
      })
    await page.goto(`${origin}/console/grants`)
    await page.getByText('1 of 1 use left').waitFor()
    t.equal(await page.getByRole('button', { name: 'Revoke this grant' }).isVisible(), false)
    await page.getByText('Revoke', { exact: true }).click()
    await page.getByLabel('Why').fill('Wrong night')
    await page.getByRole('button', { name: 'Revoke this grant' }).click()
    await page.getByText('No grant is live.').waitFor()
    t.ok(await page.getByText('Wrong night').isVisible())
    t.match(await ask(), { status: 403, body: { code: 'grant_revoked' } })
    const aborted = bob.troubles.filter((trouble) => !/Failed to load resource/.test(trouble))
    t.strictSame(aborted, [])
  })

  t.test('a session that was ended elsewhere opens nothing more', async (t) => {
    const second = await browser.newContext()
    const page = await second.newPage()
    const cookies = await bob.context.cookies()
    await second.addCookies(cookies)
    await page.goto(`${origin}/console/keys`)
    await bob.page.goto(`${origin}/console/keys`)
    await bob.page.getByRole('button', { name: 'Sign out' }).click()
    await bob.page.waitForURL('**/console/sign-in')
    await page.getByLabel('Name of the new key').fill('green key')
    await page.getByRole('button', { name: 'Add a passkey' }).click()
    await page.getByText('session_missing').waitFor()
    t.ok(await page.getByRole('link', { name: 'Sign in again' }).isVisible())
    await second.close()
  })

  t.test('the code of an enrolment is out of the address at once, and works once', async (t) => {
    const code = await codeFor('carol')
    const context = await browser.newContext()
    const page = await context.newPage()
    await addAuthenticator(page)
    await page.goto(`${origin}/console/enrol#operator=carol&code=${code}`)
    await page.getByRole('button', { name: 'Create a passkey' }).waitFor()
    t.equal(page.url(), `${origin}/console/enrol`)
    await page.getByRole('button', { name: 'Create a passkey' }).click()
    await page.getByText('Your passkey is enrolled.').waitFor()
    await page.goto(`${origin}/console/enrol#operator=carol&code=${code}`)
    await page.reload()
    await page.getByLabel('Your name as an operator').fill('carol')
    await page.getByLabel('One-time code').fill(code)
    await page.getByRole('button', { name: 'Create a passkey' }).click()
    await page.getByText('code_unusable').waitFor()
    await context.close()
  })
})
