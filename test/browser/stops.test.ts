import t from 'tap'
import type { PolicySet } from '../../server/types.js'
import { asSuperuser, startSession } from '../support/console.js'
import { STOP_PAGES } from '../web/stop-view.js'
import { startConsole } from './console.js'
import { chromiumPath, openBrowser, seriousFindings, servePages, troubles } from './support.js'

const skip = chromiumPath() === undefined && 'NO CHROMIUM: nothing of the console is tested in a browser'

t.test('pages about stops on a phone, light and dark', { skip }, async (t) => {
  const origin = await servePages(t, STOP_PAGES)
  const browser = await openBrowser(t)
  // Contrast hangs on the colours; all else that axe looks at does not.
  const looks = [
    ['light', Object.keys(STOP_PAGES)],
    ['dark', ['/stops']],
  ] as const
  for (const [colorScheme, paths] of looks) {
    const context = await browser.newContext({ colorScheme, viewport: { width: 360, height: 740 } })
    const page = await context.newPage()
    const found = troubles(page)
    for (const path of paths) {
      await page.goto(`${origin}${path}`)
      await page.evaluate('for (const one of document.querySelectorAll("details")) one.open = true')
      t.strictSame(await seriousFindings(page), [], `${path} ${colorScheme}: nothing serious for axe`)
      const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
      t.ok(Number(over) <= 0, `${path}: ${over} pixels too wide`)
    }
    t.strictSame(
      found.filter((one) => !/404/.test(one)),
      [],
      'no script failed',
    )
    await context.close()
  }
})

t.test('an agent is stopped by a button, and released by two people', { skip }, async (t) => {
  const browser = await openBrowser(t)
  const { broker, origin, enter } = await startConsole(t, { policySet: withAdmin })
  const token = await broker.agentToken('orders-coder')
  const ask = (session: string) =>
    broker.call('POST', '/v1/credentials', token, {
      environment: 'development',
      scopes: ['orders:read'],
      reason: 'a look',
      session,
    })
  t.equal((await ask('a')).status, 200)
  const { body: request } = await broker.call('POST', '/v1/grant-requests', token, {
    environment: 'production',
    scopes: ['orders:write'],
    reason: 'Repair order 4711',
  })
  const bob = await enter(browser, 'bob')
  const { page } = bob

  await t.test('one session is killed on its page', async (t) => {
    const { body } = await ask('odd')
    await page.goto(`${origin}/console/history/${body.issuance}`)
    await page.locator('summary', { hasText: 'Kill this session' }).click()
    await page.getByLabel('Why').fill('Looked odd')
    await page.getByRole('button', { name: 'Kill this session now' }).click()
    await page.getByText('handed out no more', { exact: true }).waitFor()
    await page.getByText('deny written', { exact: true }).waitFor()
    t.equal(await page.locator('[data-kill]').count(), 0, 'once is enough')
    t.not((await ask('odd')).body.issuance, body.issuance, 'another one, under its own id')
  })

  await t.test('the button, the reason, and no more', async (t) => {
    const waiting = broker.call('GET', `/v1/grant-requests/${request.id}?wait=25`, token)
    await page.goto(`${origin}/console/agents/orders-coder`)
    t.equal(await page.evaluate('document.activeElement.tagName'), 'BODY', 'nothing is focused')
    t.equal(await page.getByRole('button', { name: 'Stop orders-coder now' }).isVisible(), false)
    await page.locator('summary', { hasText: 'Stop orders-coder' }).focus()
    await page.keyboard.press('Enter')
    await page.locator('[name="reason"]:focus').waitFor()
    await page.keyboard.type('Deletes orders')
    await page.keyboard.press('Enter')
    await page.getByText('issuance blocked').waitFor()
    t.match((await waiting).body, { state: 'withdrawn' }, 'what waited for a human was taken back')
    t.match(await ask('b'), { status: 403, body: { code: 'agent_stopped' } })
    t.match(await ask('a'), { status: 403, body: { code: 'agent_stopped' } }, 'nor is a live one handed out')
    t.equal(await page.getByText('revoked').count(), 0)
    t.equal(await page.getByRole('button', { name: 'Stop orders-coder now' }).count(), 0)
    t.ok(await page.getByText('Deletes orders').isVisible())
  })

  await t.test('the deny in IAM shows by itself, and on every page that something is stopped', async (t) => {
    await page.getByText('deny written', { exact: true }).waitFor()
    await page.getByText('not in effect yet').waitFor()
    await page.goto(`${origin}/console/agents`)
    t.ok(await page.locator('.card.stopped', { hasText: 'orders-coder' }).isVisible())
    await page.getByRole('link', { name: 'Stopped: agent orders-coder.' }).click()
    await page.getByRole('heading', { name: 'Stopped: agent orders-coder' }).waitFor()
  })

  await t.test('two people release it, not within its first minute', async (t) => {
    const sign = async ({ page }: typeof bob) => {
      await page.goto(`${origin}/console/stops`)
      await page.locator('summary', { hasText: 'Release' }).click()
      await page.getByRole('button', { name: 'Sign the release' }).click()
    }
    await sign(bob)
    await page.getByText('stop_too_fresh').waitFor()
    await asSuperuser(broker.sql, 'ALTER TABLE writ.stop DISABLE TRIGGER guard')
    await asSuperuser(broker.sql, 'UPDATE writ.stop SET cutoff = engaged_at')
    await asSuperuser(broker.sql, 'ALTER TABLE writ.stop ENABLE TRIGGER guard')

    for (const [name, from, to] of [
      ['another stop', /"stop":"\w+"/, '"stop":"000000000000"'],
      ['everything', '"stops":"agent"', '"stops":"everything"'],
      ['another agent', '"name":"orders-coder"', '"name":"report-bot"'],
      ['another entry', /"stop_leaf":"\w+"/, `"stop_leaf":"${'0'.repeat(64)}"`],
      ['one signature enough', '"approvals_needed":2', '"approvals_needed":1'],
      ['a closed incident', 'writ.release.v1', 'writ.close.v1'],
    ] as const) {
      await page.route('**/challenge', async (route) => {
        const response = await route.fetch()
        const answer = await response.json()
        const document = answer.document.replace(from, to)
        await route.fulfill({ response, json: { ...answer, document } })
      })
      await sign(bob)
      await page.getByText('not_what_was_shown').waitFor()
      t.pass(`${name} is not signed`)
      await page.unrouteAll()
    }

    await sign(bob)
    await page.getByText('1 of 2 signed the release: bob').waitFor()
    t.ok(await page.getByText('You have signed. Somebody else has to sign too.').isVisible())
    t.match(await ask('c'), { status: 403, body: { code: 'agent_stopped' } }, 'one is not enough')
    const alice = await enter(browser, 'alice')
    await sign(alice)
    await alice.page.getByText('Nothing is stopped.').waitFor()
    t.ok(await alice.page.getByText('bob and alice').isVisible())
    await page.getByText('Nothing is stopped.').waitFor()
    t.equal((await ask('d')).status, 200)
    t.strictSame(alice.troubles, [])
  })

  await t.test('everything takes its word, and a misspelt name stops nothing', async (t) => {
    await page.locator('summary', { hasText: 'Stop something' }).click()
    await page.getByLabel('Name').fill('orders-codr')
    await page.getByLabel('Why').fill('All of it')
    await page.getByRole('button', { name: 'Stop it now' }).click()
    await page.getByText('Did you mean orders-coder?').waitFor()
    await page.getByLabel('What').selectOption('everything')
    t.equal(await page.getByLabel('Name').isVisible(), false)
    await page.getByRole('button', { name: 'Stop it now' }).click()
    await page.getByText('word_missing').waitFor()
    t.equal((await ask('e')).status, 200)
    await page.getByLabel('Type EVERYTHING').fill('EVERYTHING')
    await page.getByRole('button', { name: 'Stop it now' }).click()
    await page.getByRole('heading', { name: 'Everything is stopped' }).waitFor()
    t.match(await ask('f'), { status: 403, body: { code: 'agent_stopped' } })
  })

  await t.test('who only looks after keys stops nothing and kills nothing, whatever they send', async (t) => {
    const { cookie, csrf } = await startSession(broker.sql, 'carol', new Date(), origin)
    const send = (path: string, body: object) =>
      fetch(`${origin}${path}`, {
        method: 'POST',
        headers: { cookie, 'x-writ-csrf': csrf, origin, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const some = {
      challenge: '0'.repeat(12),
      proof: { kind: 'ssh-sk', key_id: `SHA256:${'a'.repeat(43)}`, signature: 'a' },
    }
    for (const [path, body] of [
      ['/console/stops', { kind: 'agent', name: 'report-bot', reason: 'because' }],
      ['/console/stops/000000000000/challenge', {}],
      ['/console/stops/000000000000/release', some],
      ['/console/issuances/000000000000/revoke', { reason: 'because' }],
    ] as const) {
      const answer = await send(path, body)
      t.match(
        { status: answer.status, ...((await answer.json()) as object) },
        { status: 403, code: 'operator_role' },
        path,
      )
    }
    const seen = await fetch(`${origin}/console/stops`, { headers: { cookie } })
    t.notMatch(await seen.text(), /data-stop=|data-release=/)
  })

  // What was refused on purpose.
  const expected = /Failed to load resource|ERR_FAILED/
  t.strictSame(
    bob.troubles.filter((trouble) => !expected.test(trouble)),
    [],
    'no script failed and the policy of contents refused nothing',
  )
})

/** With carol as one who looks after keys, and no more. */
function withAdmin(real: PolicySet): PolicySet {
  const operators = new Map(real.operators)
  const carol = operators.get('carol')
  if (carol === undefined) throw new Error('no carol')
  operators.set('carol', { ...carol, roles: new Set(['admin']) })
  return { ...real, operators, operatorByName: (name) => operators.get(name) }
}
