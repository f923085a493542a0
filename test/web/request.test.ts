import t from 'tap'
import { requestPage } from '../../web/pages/request.js'
import { card, FRAME, later, VIEWER } from '../support/pages.js'

const page = (...of: Parameters<typeof card>) => requestPage({ ...FRAME, card: card(...of) })

t.test('a card is in the order in which it has to be read', async (t) => {
  const text = page({}, { breakGlassSeconds: 1800 })
  const order = [
    'acting for',
    'first time here',
    'What this adds',
    'Resources',
    'Reason',
    'Written by the agent',
    'Ticket',
    'did lately',
    'Policy',
    '7K3F-90QX',
    'Raw document',
    'Decisions so far',
    'Your decision',
    'data-decision="approve"',
    'data-decision="deny"',
    'data-decision="break-glass"',
  ]
  const places = order.map((part) => text.indexOf(part))
  t.notOk(places.includes(-1), `all there: ${order.filter((_, n) => places[n] === -1)}`)
  t.strictSame(
    places,
    [...places].sort((a, b) => a - b),
  )
  t.notMatch(text, /autofocus/)
})

t.test('the sentence says who, for whom, what, where, how long and how often', async (t) => {
  const text = page({ max_uses: 3, valid_seconds: 7200 })
    .replace(/[\s\S]*<p class="sentence">|<\/p>[\s\S]*/g, '')
    .replace(/<[^>]+>/g, '')
  t.equal(
    text,
    'orders-coder (of team orders), acting for dana@example.com (asserted by the issuer of its token), will be able to ' +
      'change order objects (orders:write) on arn:aws:s3:::orders-production/* in production, account 111122223333: ' +
      '3 sessions of at most 15 minutes, within 2 hours of the approval.',
  )
  t.match(page({ on_behalf_of: { human: 'eve', how: 'self-claimed' } }), 'only the agent says so')
  t.match(page({ on_behalf_of: null }), 'acting for nobody we know of')
  t.match(page({ requested_by: 'operator:bob' }), 'Written by the operator bob.')
})

t.test('the raw document is the one that the browser compares', async (t) => {
  const reason = 'x\u202e</pre><script>alert(1)</script>&amp;'
  const text = page({ reason })
  const [, raw = ''] = /<pre id="shown"[^>]*>([\s\S]*?)<\/pre>/.exec(text) ?? []
  const unescaped = raw
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
  t.equal(JSON.parse(unescaped).personal.reason, reason)
  t.notOk(raw.includes('\u202e'))
})

t.test('who may not approve reads why instead of a dead button', async (t) => {
  const objection = { code: 'approver_is_owner', text: 'The agent belongs to your team.', mayDeny: true }
  const owner = page({}, { objection })
  t.match(owner, 'The agent belongs to your team.')
  t.notMatch(owner, 'data-decision="approve"')
  t.match(owner, 'data-decision="deny"')
  const reader = page({}, { objection: { ...objection, mayDeny: false } })
  t.notMatch(reader, 'data-decision')
})

t.test('a request that is over says so and offers nothing', async (t) => {
  const decisions = [
    { operator: 'alice', decision: 'deny' as const, at: later(-60), comment: null, proof_kind: 'passkey' },
  ]
  const cases = [
    [{ state: 'granted' as const, grant_id: '3g7r4n5t6v8w' }, 'Nothing is left to decide'],
    [{ state: 'denied' as const, decisions }, 'Denied by <strong>alice</strong>'],
    [{ state: 'withdrawn' as const }, 'Taken back before it was decided'],
    [{ state: 'expired' as const }, 'Ran out before enough approvers decided'],
    // Past its end, and the sweep has not said so yet.
    [{ expires_at: later(-1) }, 'Ran out before enough approvers decided'],
  ] as const
  for (const [change, said] of cases) {
    const text = page(change)
    t.match(text, said)
    t.notMatch(text, /data-decision|<textarea/)
  }
})

t.test('how many approvals are still needed', async (t) => {
  const by = (operator: string) => ({
    operator,
    decision: 'approve' as const,
    at: later(-60),
    comment: null,
    proof_kind: 'passkey',
  })
  t.match(page({ approvals_needed: 3 }), '3 more approvals, by different people')
  t.match(page({ approvals_needed: 2, decisions: [by('alice')] }), 'One more approval makes the grant')
  t.match(page({ decisions: [by('alice')] }), 'signed with a passkey')
})

t.test('nothing in a page is a script of its own, a style, or leads elsewhere', async (t) => {
  const text = page().replace(`<style>${FRAME.assets.style.text}</style>`, '')
  for (const script of text.match(/<script[^>]*>/g) ?? [])
    t.match(script, /^<script type="module" src="\/assets\//)
  t.notMatch(text, /<style|\sstyle=|\son[a-z]+=|javascript:|https?:\/\//i)
  t.match(text, `content="${VIEWER.csrf}"`)
})
