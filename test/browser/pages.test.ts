import t from 'tap'
import { enrolPage } from '../../web/pages/enrol.js'
import { errorPage } from '../../web/pages/error.js'
import { grantNewPage } from '../../web/pages/grant-new.js'
import { grantsPage } from '../../web/pages/grants.js'
import { keysPage } from '../../web/pages/keys.js'
import { requestPage } from '../../web/pages/request.js'
import { requestsPage } from '../../web/pages/requests.js'
import { signInPage } from '../../web/pages/sign-in.js'
import {
  ASSETS,
  card,
  FRAME,
  grantView,
  keyView,
  later,
  NOW,
  proposalView,
  requestView,
} from '../support/pages.js'
import { chromiumPath, openBrowser, seriousFindings, servePages, troubles } from './support.js'

const LONG = 'arn:aws:s3:::orders-production/a-very-long-name-that-nothing-breaks/'.repeat(3)
const frame = {
  ...FRAME,
  notices: [
    { tone: 'danger' as const, text: 'The record is not what was published.', href: '/console/integrity' },
    'Local mode: these credentials work on this machine only.',
  ],
}
const approved = {
  operator: 'alice',
  decision: 'approve' as const,
  at: later(-60),
  comment: LONG,
  proof_kind: 'passkey',
}
const wide = { reason: LONG, ticket: LONG, on_behalf_of: { human: LONG, how: 'self-claimed' } }
const lists = {
  ...frame,
  approves: () => false,
  filter: {},
  agents: ['orders-coder'],
}
const place = { agent: 'orders-coder', describe: LONG, environment: 'production', tier: 'production' }

const PAGES: Readonly<Record<string, string>> = {
  '/requests': requestsPage({
    ...lists,
    pending: [requestView(), requestView({ ...wide, approvals_needed: 2, decisions: [approved] })],
    decided: [requestView({ state: 'denied' }), requestView({ state: 'granted', decisions: [approved] })],
    older: '/requests?before=x',
  }),
  '/requests-empty': requestsPage({ ...lists, pending: [], decided: [] }),
  '/request': requestPage({
    ...frame,
    card: card(
      { ...wide, approvals_needed: 2, decisions: [approved] },
      {
        marks: [
          { tone: 'danger', title: 'deletes', text: LONG },
          { tone: 'warn', title: 'self-claimed human', text: 'Only the agent says for whom it acts.' },
        ],
        adds: [{ actions: ['s3:PutObject'], resources: [LONG] }],
        breakGlassSeconds: 1800,
      },
    ),
  }),
  '/request-barred': requestPage({
    ...frame,
    card: card({}, { objection: { code: 'approver_is_owner', text: 'Yours.', mayDeny: true } }),
  }),
  '/request-granted': requestPage({
    ...frame,
    card: card({ state: 'granted', closed_at: later(-60), decisions: [approved] }),
  }),
  '/grants': grantsPage({
    ...frame,
    live: [grantView()],
    ended: [grantView({ state: 'revoked', revoked_by: 'bob', revoke_reason: LONG })],
    reviews: [
      {
        ...grantView(),
        grant_id: 'x',
        operator: 'carol',
        comment: LONG,
        at: later(-60),
        review_due: later(900),
        overdue: true,
      },
    ],
    agents: ['orders-coder'],
    filter: {},
  }),
  '/grant-new': grantNewPage({ ...frame, places: [place] }),
  '/grant-new-form': grantNewPage({
    ...frame,
    places: [],
    chosen: {
      ...place,
      maxSessionSeconds: 900,
      scopes: [
        { name: 'orders:purge', describe: LONG, levels: ['write', 'delete'], destroys: true, approvals: 2 },
      ],
    },
  }),
  '/keys': keysPage({
    ...frame,
    keys: [
      keyView(),
      keyView({ id: 'A'.repeat(600), label: LONG.slice(0, 64) }),
      keyView({ removed_at: later(-9) }),
    ],
    proposals: [proposalView(), proposalView({ operator: 'bob' })],
    sessions: [
      { id: 'a', method: 'passkey', createdAt: NOW, seenAt: NOW, current: true },
      { id: 'b', method: 'oidc', createdAt: NOW, seenAt: NOW, current: false },
    ],
  }),
  '/keys-empty': keysPage({ ...frame, keys: [], proposals: [], sessions: [] }),
  '/sign-in': signInPage({
    issuers: [{ name: 'login.example.com', href: '/start' }],
    passkey: true,
    error: { code: 'sign_in_failed', text: 'The issuer did not say who you are.' },
    assets: ASSETS,
  }),
  '/enrol': enrolPage({ assets: ASSETS, notice: 'Local mode' }),
  '/error': errorPage({
    code: 'not_found',
    title: 'Not found',
    detail: LONG,
    next: 'Check the path and the id.',
    request: 'x',
    assets: ASSETS,
  }),
}

const skip = chromiumPath() === undefined && 'NO CHROMIUM: nothing of the console is tested in a browser'

t.test('every page, light and dark, on a phone and on a wide screen', { skip }, async (t) => {
  const origin = await servePages(t, PAGES)
  const browser = await openBrowser(t)
  const page = await (await browser.newContext()).newPage()
  const found = troubles(page)
  for (const path of Object.keys(PAGES)) {
    await page.goto(`${origin}${path}`)
    await page.evaluate('for (const one of document.querySelectorAll("details")) one.open = true')
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      for (const width of [360, 1440]) {
        await page.setViewportSize({ width, height: 740 })
        const name = `${path} ${colorScheme} ${width}`
        // What axe looks at does not hang on the width; contrast hangs on the colours.
        if (width === 360) {
          const findings = await seriousFindings(page, { coloursAlone: colorScheme === 'dark' })
          t.strictSame(findings, [], `${name}: nothing serious for axe`)
        }
        const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
        t.ok(Number(over) <= 0, `${name}: ${over} pixels too wide`)
        const small = await page.evaluate(TOO_SMALL)
        t.strictSame(small, [], `${name}: big enough to hit`)
      }
    }
  }
  // The live stream is not here; all else that goes wrong is a mistake of a page's.
  t.strictSame(
    found.filter((one) => !/404/.test(one)),
    [],
  )
})

t.test('without JavaScript everything reads, and what needs it says so', { skip }, async (t) => {
  const origin = await servePages(t, PAGES)
  const browser = await openBrowser(t)
  const context = await browser.newContext({ javaScriptEnabled: false })
  const page = await context.newPage()
  await page.goto(`${origin}/request`)
  t.equal(
    await page.getByRole('button', { name: 'Approve', exact: true }).isVisible(),
    false,
    'no dead button',
  )
  t.ok(await page.getByText('2026-03-14 02:57:00 UTC').first().isVisible(), 'times in UTC')
  // A browser that is told not to run scripts still parses as if it did, and shows no noscript.
  for (const path of ['/request', '/keys', '/grants', '/enrol', '/sign-in', '/grant-new-form']) {
    t.match(PAGES[path], /<noscript>.*JavaScript.*<\/noscript>/, path)
  }
})

/** Buttons and fields lower than 44 px, and copy buttons whose area is; checked ones have their label's. */
const TOO_SMALL = `[...document.querySelectorAll('main button:not(.copy), main .button, main select, main input, main textarea, .check, summary')]
  .filter((element) => element.offsetParent !== null && !['checkbox', 'hidden'].includes(element.type))
  .filter((element) => element.getBoundingClientRect().height < 44)
  .map((element) => element.outerHTML.slice(0, 80))`
