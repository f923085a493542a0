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
  proposalView,
  requestView,
} from '../support/pages.js'

const EVIL = `"'><script>alert(1)</script><img src=x onerror=alert(2)>javascript:alert(3)\u202e\u2066`

/** The same shape with every text in it replaced, but those that are one of a fixed few or an instant. */
function poisoned<T>(value: T, key = ''): T {
  if (FIXED.has(key)) return value
  if (typeof value === 'string') return EVIL as T
  if (Array.isArray(value)) return value.map((one) => poisoned(one, key)) as T
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, poisoned(inner, name)])) as T
}

const FIXED = new Set(
  'state created_at expires_at closed_at at not_before revoked_at review_due added_at last_used_at removed_at tone kind decision href method'.split(
    ' ',
  ),
)

const frame = { ...FRAME, notices: [EVIL, { tone: 'warn' as const, text: EVIL, href: '/console/grants' }] }
const request = poisoned(
  requestView({
    decisions: [{ operator: 'a', decision: 'approve', at: later(-9), comment: 'c', proof_kind: 'passkey' }],
  }),
)
const glass = {
  grant_id: 'a',
  request_id: 'b',
  agent: 'c',
  environment: 'd',
  scopes: ['e'],
  operator: 'f',
  comment: 'g',
  at: later(-9),
  review_due: later(900),
  overdue: false,
}
const place = { agent: 'a', describe: 'b', environment: 'c', tier: 'd' }
const scope = { name: 'a', describe: 'b', levels: ['c'], destroys: true, approvals: 2 }

const PAGES: Readonly<Record<string, string>> = {
  requests: requestsPage({
    ...frame,
    approves: () => false,
    pending: [request],
    decided: [{ ...request, state: 'denied' }],
    filter: { agent: EVIL },
    agents: [EVIL],
    older: `/console/requests?before=${encodeURIComponent(EVIL)}`,
  }),
  request: requestPage({
    ...frame,
    card: poisoned(
      card(
        { decisions: request.decisions },
        { objection: { code: 'a', text: 'b', mayDeny: true }, already: card().adds, breakGlassSeconds: 60 },
      ),
    ),
  }),
  grants: grantsPage({
    ...frame,
    live: [poisoned(grantView())],
    ended: [poisoned(grantView({ state: 'revoked', revoked_by: 'x', revoke_reason: 'y' }))],
    reviews: [poisoned(glass)],
    agents: [EVIL],
    filter: { agent: EVIL },
  }),
  'grant-new': grantNewPage({ ...frame, places: [poisoned(place)] }),
  'grant-new form': grantNewPage({
    ...frame,
    places: [],
    chosen: { ...poisoned(place), scopes: [poisoned(scope)], maxSessionSeconds: 900 },
  }),
  keys: keysPage({
    ...frame,
    keys: [poisoned(keyView()), poisoned(keyView({ removed_at: later(-9), removed_by: 'x' }))],
    proposals: [poisoned(proposalView()), { ...poisoned(proposalView()), operator: FRAME.viewer.operator }],
    sessions: [{ id: EVIL, method: 'oidc', createdAt: FRAME.now, seenAt: FRAME.now, current: false }],
  }),
  'sign-in': signInPage({
    issuers: [{ name: EVIL, href: '/console/sign-in/start' }],
    passkey: true,
    error: { code: EVIL, text: EVIL },
    assets: ASSETS,
    notice: EVIL,
  }),
  enrol: enrolPage({ assets: ASSETS, notice: EVIL }),
  error: errorPage({ code: EVIL, title: EVIL, detail: EVIL, next: EVIL, request: EVIL, assets: ASSETS }),
}

t.test('whatever stands in a field is text', async (t) => {
  for (const [name, text] of Object.entries(PAGES)) {
    t.match(text, '&lt;script&gt;alert(1)', `${name} shows it`)
    t.notMatch(text, /<script>|<img|\sonerror=alert\(2\)>/, `${name}: no markup`)
    // A quote of a field's own would end an attribute.
    t.notMatch(text, /="[^"]*'>|"'>/, `${name}: no attribute ends early`)
    for (const [link] of text.matchAll(/(?:href|src|action)="[^"]*"/g)) {
      t.match(link, /="(\/|#)/, `${name}: ${link} stays here`)
    }
  }
})

t.test('what people and agents write is shown with what cannot be seen in it', async (t) => {
  const page = PAGES.request ?? ''
  const own = page.replace(/<pre[\s\S]*?<\/pre>/g, '')
  const [reason = ''] = /<blockquote>[\s\S]*?<\/blockquote>/.exec(own) ?? []
  t.match(reason, 'U+202E')
  t.notOk(reason.includes('\u202e'))
  const raw = /<pre[\s\S]*?<\/pre>/.exec(page)?.[0] ?? ''
  t.ok(raw.length > 0 && !raw.includes('\u202e'), 'nor does the raw document hide anything')
})

t.test('pages load nothing but modules and styles of their own', async (t) => {
  for (const [name, whole] of Object.entries(PAGES)) {
    // But for the one style sheet, which has a test of its own.
    const text = whole.replace(`<style>${ASSETS.style.text}</style>`, '')
    t.not(text, whole)
    for (const [script] of text.matchAll(/<script[^>]*>/g)) {
      t.match(script, /^<script type="module" src="\/assets\/[a-z-]+\.js">$/, `${name}: ${script}`)
    }
    t.notMatch(text, /<style|\sstyle=|<iframe|<object|<base/i, name)
    t.equal(text.match(/<h1>/g)?.length, 1, `${name}: one heading`)
    t.match(text, '<html lang="en">')
  }
})
