import { createHash } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import { parseVerifierKey } from '../../server/audit/merkle/keys.js'
import { canonicalText, challengeOf } from '../../server/audit/proofs/document.js'
import { folder } from '../../server/audit/publish/folder.js'
import { Authority } from '../../server/audit/verify/authority.js'
import { verifyTiles } from '../../server/audit/verify/tiles.js'
import type { PolicySet } from '../../server/types.js'
import { startConsole } from './console.js'
import { chromiumPath, openBrowser } from './support.js'

const ASKED = { environment: 'production', scopes: ['orders:write'] }
const EVIL = `"><img src=x onerror=alert(1)><script>alert(2)</script>' javascript:alert(3) {{7*7}}`

const skip = chromiumPath() === undefined && 'NO CHROMIUM: nothing of the console is tested in a browser'

t.test('deciding at the console', { skip }, async (t) => {
  const browser = await openBrowser(t)
  const { broker, origin, enter } = await startConsole(t, { policySet: withBreakGlass })
  const token = await broker.agentToken('orders-coder')
  const ask = async (reason: string, more: object = {}): Promise<string> =>
    (await broker.call('POST', '/v1/grant-requests', token, { ...ASKED, reason, ...more })).body.id
  const stateOf = async (id: string): Promise<string> =>
    (await broker.call('GET', `/v1/grant-requests/${id}`, token)).body.state
  const bob = await enter(browser, 'bob')

  t.test(
    'a request appears by itself, is signed, and the waiting agent has its credentials, provably',
    async (t) => {
      const { page } = bob
      await page.getByText('Up to date').waitFor()
      t.ok(await page.getByText('Nothing is waiting.').isVisible())
      const id = await ask('Repair order 4711', { ticket: 'OPS-1' })
      const link = page.locator(`a[href="/console/requests/${id}"]`)
      await link.waitFor()

      await link.focus()
      const other = await ask('Repair order 4712')
      await page.locator(`a[href="/console/requests/${other}"]`).waitFor()
      t.equal(
        await page.evaluate('document.activeElement.getAttribute("href")'),
        `/console/requests/${id}`,
        'focus stays where it was',
      )

      const waiting = broker.call('GET', `/v1/grant-requests/${id}?wait=25`, token)
      await link.click()
      await page.getByRole('button', { name: 'Approve' }).waitFor()
      t.equal(await page.evaluate('document.activeElement.tagName'), 'BODY', 'nothing is focused')
      await page.getByLabel('Comment').fill('Looked at the order: it is so')
      await page.getByRole('button', { name: 'Approve' }).click()
      await page.getByText('Granted by bob').waitFor()
      t.match((await waiting).body, { state: 'granted', decisions: [{ proof_kind: 'passkey' }] })
      const issued = await broker.call('POST', '/v1/credentials', token, {
        ...ASKED,
        reason: 'Repair order 4711',
      })
      t.equal(issued.status, 200)
      t.ok(await page.getByText('Looked at the order: it is so').isVisible(), 'the comment is on record')
      t.strictSame(bob.troubles, [], 'no script failed and the policy of contents refused nothing')
      await page.goto(`${origin}/console/history/${issued.body.issuance}`)
      await page.getByText('entries are in the signed log, unaltered').waitFor()
      await broker.call('DELETE', `/v1/grant-requests/${other}`, token)

      const authority = new Authority()
      const key = parseVerifierKey(broker.publishing?.verifierKey ?? '')
      const read = folder(join(broker.dataDir, 'log')).read
      await verifyTiles(read, [key], { onEntry: authority.onEntry })
      t.match(authority.counts(), { grants: 1, sessions_on_grants: 1, decisions_signed: 1 }, 'and offline')
      await page.goto(`${origin}/console/requests`)
    },
  )

  t.test('what is altered between the page and the key is not signed', async (t) => {
    const id = await ask('Repair order 4713', { ticket: 'OPS-2' })
    const { page } = bob
    const signs = async () =>
      JSON.stringify(
        (await bob.authenticator.credentials()).map((one) => (one as { signCount: number }).signCount),
      )
    const alterations: Readonly<Record<string, Alteration>> = {
      'more uses': { document: (d) => ({ ...d, max_uses: 1000 }) },
      'another scope': { document: (d) => ({ ...d, scopes: ['orders:purge'] }) },
      'wider permissions': {
        document: (d) => ({ ...d, permissions: [{ Effect: 'Allow', Action: ['s3:*'], Resource: ['*'] }] }),
      },
      'another agent': { document: (d) => ({ ...d, agent: 'report-bot' }) },
      'another account': { document: (d) => ({ ...d, account: '999999999999' }) },
      'the other decision': { document: (d) => ({ ...d, decision: 'deny' }) },
      'break-glass': { document: (d) => ({ ...d, break_glass: true }) },
      'another approver': { document: (d) => ({ ...d, approver: 'alice' }) },
      'another request': { document: (d) => ({ ...d, request: '000000000000' }) },
      'a field that the page does not show': { document: (d) => ({ ...d, also: 'everything' }) },
      'a field less': { document: ({ network: _, ...d }) => d },
      'another comment': { document: (d) => ({ ...d, comment: 'ab'.repeat(32) }) },
      'another type': { document: (d) => ({ ...d, type: 'writ.vouch.v1' }) },
      'another site': { document: (d) => ({ ...d, origin: 'https://evil.example' }) },
      'another reason, with its own hash': {
        personal: (text) => text.replace('4713', '9999'),
        rehash: true,
      },
      'another reason': { personal: (text) => text.replace('4713', '9999') },
      'no reason at all': { noPersonal: true },
      'a field twice': { text: (text) => text.replace('"max_uses":1,', '"max_uses":1000,"max_uses":1,') },
      'a challenge that is not of the document': { challenge: 'A'.repeat(43) },
    }
    let sent = 0
    let alteration: Alteration = {}
    await page.route('**/decide', (route) => {
      sent += 1
      return route.abort()
    })
    await page.route('**/challenge', async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, json: altered(await response.json(), alteration) })
    })
    await page.goto(`${origin}/console/requests/${id}`)
    const before = await signs()
    for (const [name, one] of Object.entries(alterations)) {
      alteration = one
      const answered = page.waitForResponse('**/challenge')
      await page.getByRole('button', { name: 'Approve' }).click()
      await answered
      await page.locator('button[data-decision="approve"]:enabled').waitFor()
      t.equal(await page.locator('#said code').textContent(), 'not_what_was_shown', name)
      t.equal(await signs(), before, `${name}: the key was not used`)
      t.equal(sent, 0, `${name}: nothing was sent`)
    }
    // A page that shows another reason than the record commits to, and an answer that plays along.
    await page.unroute('**/challenge')
    await page.route('**/challenge', async (route) => {
      const response = await route.fetch()
      const answer = await response.json()
      const personal = { ...answer.personal, text: answer.personal.text.replace('4713', '9999') }
      await route.fulfill({ response, json: { ...answer, personal } })
    })
    await page.route(`**/requests/${id}`, async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, body: (await response.text()).replaceAll('4713', '9999') })
    })
    await page.reload()
    await page.getByText('Repair order 9999').first().waitFor()
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByText('not_what_was_shown').waitFor()
    t.equal(await signs(), before, 'another reason on the page too: the key was not used')
    await page.unrouteAll()
    t.equal(await stateOf(id), 'pending')
    await broker.call('DELETE', `/v1/grant-requests/${id}`, token)
  })

  t.test('a user who does not prove who they are signs nothing, and can try again', async (t) => {
    const id = await ask('Repair order 4714')
    const { page } = bob
    await page.goto(`${origin}/console/requests/${id}`)
    await bob.authenticator.verifies(false)
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByText('cancelled', { exact: true }).waitFor()
    t.equal(await stateOf(id), 'pending')
    await bob.authenticator.verifies(true)
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByText('Granted by bob').waitFor()
    t.equal(await stateOf(id), 'granted')
  })

  t.test('what an agent writes stays text', async (t) => {
    const id = await ask(EVIL, { ticket: EVIL.slice(0, 90), on_behalf_of: EVIL })
    const { page } = bob
    await page.goto(`${origin}/console/requests`)
    await page.getByText(EVIL).first().waitFor()
    await page.goto(`${origin}/console/requests/${id}`)
    t.equal(await page.locator('.written blockquote').textContent(), EVIL)
    t.equal(await page.locator('img, main script').count(), 0)
    // Signed as it is: the hash is over the same characters that the page shows.
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByText('Granted by bob').waitFor()
    const expected = [/favicon/, /Failed to load resource/, /ERR_FAILED/]
    t.strictSame(
      bob.troubles.filter((trouble) => !expected.some((one) => one.test(trouble))),
      [],
    )
  })

  t.test('who may not approve reads why, and finds no dead button', async (t) => {
    const id = await ask('Repair order 4715')
    const alice = await enter(browser, 'alice')
    await alice.page.goto(`${origin}/console/requests/${id}`)
    await alice.page.getByRole('button', { name: 'Deny' }).waitFor()
    t.ok(await alice.page.getByText('The agent belongs to your team, orders.').isVisible())
    t.equal(await alice.page.getByRole('button', { name: 'Approve' }).count(), 0)
    const carol = await enter(browser, 'carol')
    await carol.page.goto(`${origin}/console/requests/${id}`)
    await carol.page.getByText('Deciding takes the role approver.').waitFor()
    t.equal(await carol.page.getByRole('button', { name: 'Deny' }).count(), 0)

    // While somebody reads, somebody else decides: said, and nothing on the page moves.
    await bob.page.goto(`${origin}/console/requests/${id}`)
    await bob.page.getByRole('button', { name: 'Deny' }).click()
    await alice.page.getByText('Something was recorded on this (denied).').waitFor()
    await alice.page.getByRole('button', { name: 'Deny' }).click()
    await alice.page.getByText('request_closed').waitFor()
    t.equal(await stateOf(id), 'denied')
    await alice.context.close()
    await carol.context.close()
  })

  t.test('breaking the glass has a block of its own, a reason, and a shorter life', async (t) => {
    const id = (
      await broker.call('POST', '/v1/grant-requests', await broker.agentToken('report-bot'), {
        environment: 'production',
        scopes: ['reports:write'],
        reason: 'The nightly report',
        valid_for: 3600,
      })
    ).body.id
    const { page } = bob
    await page.goto(`${origin}/console/requests/${id}`)
    t.equal(await page.getByRole('button', { name: 'Break glass and approve' }).isVisible(), false)
    await page.getByText('Break glass', { exact: true }).click()
    t.ok(await page.getByText('for at most 30 minutes').isVisible())
    await page.getByRole('button', { name: 'Break glass and approve' }).click()
    await page.getByText('reason_missing').waitFor()
    await page.getByLabel('Why it cannot wait').fill('Payments are down and nobody answers')
    await page.getByRole('button', { name: 'Break glass and approve' }).click()
    await page.getByText('broke the glass').waitFor()
    await page.goto(`${origin}/console/requests`)
    await page.getByRole('link', { name: /Break-glass was used by bob in production/ }).click()
    await page.getByText('You broke the glass; somebody else reviews it.').waitFor()
    const carol = await enter(browser, 'carol')
    await carol.page.goto(`${origin}/console/grants`)
    await carol.page.getByText('Review', { exact: true }).click()
    await carol.page.getByLabel('What you found').fill('Payments were down indeed')
    await carol.page.getByRole('button', { name: 'Justified', exact: true }).click()
    await carol.page.getByRole('heading', { name: 'Break-glass to review' }).waitFor({ state: 'detached' })
    await carol.context.close()
  })

  t.test('no other page can put one of ours into a frame', async (t) => {
    const { page } = bob
    await page.route('http://evil.example/', (route) =>
      route.fulfill({ contentType: 'text/html', body: `<iframe src="${origin}/console/requests"></iframe>` }),
    )
    await page.goto('http://evil.example/')
    const frame = page.frames()[1]
    t.notOk(frame?.url().startsWith(origin) === true && (await frame.locator('h1').count()) > 0)
  })
})

/** Production with bob named for emergencies. */
function withBreakGlass(real: PolicySet): PolicySet {
  const environments = new Map(real.environments)
  const production = environments.get('production')
  if (production === undefined) throw new Error('no production')
  environments.set('production', {
    ...production,
    breakGlass: { operators: new Set(['bob']), maxSeconds: 1800 },
  })
  return { ...real, environments }
}

interface ChallengeAnswer {
  readonly document: string
  readonly personal: { readonly text: string; readonly salt: string }
  readonly webauthn: object
}

interface Alteration {
  readonly document?: (document: Record<string, unknown>) => Record<string, unknown>
  readonly text?: (text: string) => string
  readonly personal?: (text: string) => string
  /** Also the hash in the document. */
  readonly rehash?: boolean
  readonly noPersonal?: boolean
  readonly challenge?: string
}

function altered(
  answer: ChallengeAnswer,
  { document, text: rewrite, personal, rehash, noPersonal, challenge }: Alteration,
): unknown {
  let said = JSON.parse(answer.document)
  if (document !== undefined) said = document(said)
  const text = personal === undefined ? answer.personal.text : personal(answer.personal.text)
  if (rehash === true) said.personal = commitment(answer.personal.salt, text)
  const written = rewrite === undefined ? canonicalText(said) : rewrite(canonicalText(said))
  return {
    ...answer,
    document: written,
    personal: noPersonal === true ? null : { ...answer.personal, text },
    webauthn: {
      ...answer.webauthn,
      challenge: challenge ?? challengeOf(written).toString('base64url'),
    },
  }
}

const commitment = (salt: string, text: string): string =>
  createHash('sha256').update(Uint8Array.of(3)).update(Buffer.from(salt, 'hex')).update(text).digest('hex')
