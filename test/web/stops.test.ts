import t from 'tap'
import { stopsOn } from '../../server/http/console/stopped.js'
import type { Agent } from '../../server/types.js'
import { type KillView, killPanel } from '../../web/pages/kill.js'
import { states } from '../../web/pages/stop-parts.js'
import { stopsPage } from '../../web/pages/stops.js'
import { later, NOW } from '../support/pages.js'
import { policySet } from '../support/policy.js'
import { STOP_PAGES, stopsView, stopView } from './stop-view.js'

const EVIL = `"'><script>alert(1)</script><img src=x onerror=alert(2)>\u202e`

/** Badges in their order. */
const badges = (html: string): readonly string[] =>
  [...html.matchAll(/<span class="badge \w+">(.*?)<\/span>/g)].map(([, text = '']) => text)

t.test('what is known of a stop is said in three parts, and never more than is known', async (t) => {
  const said = (denies: object, sessions: object) =>
    badges(states(stopView({ denies, sessions } as Parameters<typeof stopView>[0]), NOW).text)
  const none = { written_at: null, presumed_at: null }
  const at = { written_at: '2026-03-14T03:06:50Z', presumed_at: '2026-03-14T03:07:50Z' }
  t.strictSame(said({ asked: 4, written: 3, waiting: [] }, { ...none, state: 'asked' }), [
    'issuance blocked',
    'deny not written',
    'sessions may be alive',
  ])
  t.strictSame(said({ asked: 4, written: 4, waiting: [] }, { ...at, state: 'written' }), [
    'issuance blocked',
    'deny written',
    'not in effect yet',
  ])
  t.strictSame(said({ asked: 4, written: 4, waiting: [] }, { ...at, state: 'presumed' }), [
    'issuance blocked',
    'deny written',
    'presumed in effect',
  ])
  t.strictSame(said({ asked: 4, written: 4, waiting: [] }, { ...none, state: 'over' }), [
    'issuance blocked',
    'deny written',
    'sessions over',
  ])
  t.strictSame(said({ asked: 0, written: 0, waiting: [] }, { ...none, state: 'none' }), [
    'issuance blocked',
    'no deny needed',
  ])
  for (const page of Object.values(STOP_PAGES)) t.notMatch(page, /revoked/)
})

t.test('where a deny is not written, the page says on which role and why', async (t) => {
  const role = 'arn:aws:iam::111122223333:role/writ/orders-coder-read'
  const shown = (problem: string | null) => {
    const denies = { asked: 4, written: 3, waiting: [{ role, problem }] }
    const alive = { written_at: null, presumed_at: null, state: 'asked' } as const
    return states(stopView({ denies, sessions: alive }), NOW).text
  }
  t.match(shown('iam_unavailable'), `<code>${role}</code> (<code>iam_unavailable</code>)`)
  t.match(shown(null), `<code>${role}</code>`)
  t.notMatch(shown(null), '(<code>')
})

t.test('a session that is to be killed is called dead by nobody', async (t) => {
  const kill = (change: Partial<KillView>) =>
    killPanel(
      {
        issuance_id: '3k9d0c2x7m1p',
        state: 'none',
        by: null,
        revoked_at: null,
        revoked_by: null,
        written_at: null,
        presumed_at: null,
        ends_at: later(600),
        widened: false,
        problem: null,
        ...change,
      },
      ['operator'],
      NOW,
    )?.text ?? ''
  t.match(kill({}), /data-kill="3k9d0c2x7m1p"/)
  t.equal(kill({ ends_at: later(-1) }), '', 'nothing to kill')
  t.equal(kill({ state: 'over' }), '')
  const asked = kill({ state: 'asked', by: 'issuance', revoked_by: 'alice', problem: 'aws_refused' })
  t.strictSame(badges(asked), ['handed out no more', 'deny not written', 'may be alive'])
  t.match(asked, /aws_refused/)
  t.notMatch(asked, /data-kill|revoked/)
  const written = { state: 'written', by: 'agent', written_at: later(-9), presumed_at: later(51) } as const
  t.strictSame(badges(kill(written)), ['handed out no more', 'deny written', 'not in effect yet'])
  t.strictSame(badges(kill({ ...written, state: 'presumed' })).at(-1), 'presumed in effect')
})

t.test('who may not, finds no button', async (t) => {
  const page = (roles: readonly string[], signed_by: readonly string[] = []) =>
    stopsPage(stopsView([stopView({ signed_by })], { viewer: { operator: 'bob', roles } })).text
  t.match(page(['approver']), /data-stop.*data-release/s)
  t.match(page(['operator']), /data-stop/)
  t.notMatch(page(['operator']), /data-release/)
  t.notMatch(page(['admin']), /data-stop=|data-release/)
  t.notMatch(page(['approver'], ['bob']), /data-release/, 'nor who has signed')
})

t.test('what people write stays text', async (t) => {
  const human = stopView({ kind: 'human', name: EVIL, reason: EVIL, engaged_by: EVIL, signed_by: [EVIL] })
  const released = { ...human, id: 'x', state: 'released' as const, released_at: NOW.toISOString() }
  const { text } = stopsPage(stopsView([human, released]))
  t.match(text, '&lt;script&gt;alert(1)')
  t.notMatch(text, /<script>|<img|="[^"]*'>/)
  t.match(text, 'U+202E')
})

t.test('which stops hold for an agent', async (t) => {
  const set = policySet()
  const agent = set.agents.get('bot')
  if (agent === undefined) throw new Error('no agent')
  const owned: Agent = { ...agent, owner: { kind: 'human', name: 'Dana' } }
  const on = (kind: 'agent' | 'human' | 'environment' | 'account' | 'everything', name: string, of = owned) =>
    stopsOn([{ id: 'a', kind, name }], set, of)
  t.strictSame(on('agent', 'bot'), [{ stop: 'a', where: undefined }])
  t.strictSame(on('human', 'dana'), [{ stop: 'a', where: undefined }])
  t.strictSame(on('human', 'orders', agent), [], 'a team is no human')
  t.strictSame(on('everything', ''), [{ stop: 'a', where: undefined }])
  t.strictSame(on('environment', 'production'), [{ stop: 'a', where: ['production'] }])
  t.strictSame(on('account', '111122223333')[0]?.where?.length, 4)
  t.strictSame(on('agent', 'other'), [])
  t.strictSame(on('account', '999999999999'), [])
  const both = stopsOn(
    [
      { id: 'a', kind: 'environment', name: 'production' },
      { id: 'b', kind: 'agent', name: 'bot' },
    ],
    set,
    owned,
  )
  t.strictSame(
    both.map(({ stop }) => stop),
    ['b', 'a'],
    'the wider first',
  )
})
