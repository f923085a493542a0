import t from 'tap'
import { activityChart, type Bar } from '../../web/pages/chart.js'
import { type Span, timeline } from '../../web/pages/timeline.js'

const at = (hour: number) => new Date(Date.UTC(2026, 0, 31, hour)).toISOString()
const bar = (n: number, change: Partial<Bar> = {}): Bar => ({
  from: at(n),
  to: at(n + 1),
  issuances: n,
  denials: 0,
  counted: 'exactly',
  href: `/console/history?since=${at(n)}`,
  ...change,
})
const rects = (text: string, look: string) =>
  [
    ...text.matchAll(
      new RegExp(
        `<rect class="${look}" x="([\\d.]+)" y="([\\d.]+)" width="([\\d.]+)" height="([\\d.]+)"/>`,
        'g',
      ),
    ),
  ].map(([, ...numbers]) => numbers.map(Number))

t.test('bars are as high as what they count, one on the other', async (t) => {
  const { text } = activityChart([bar(0), bar(3, { denials: 1 }), bar(2)])
  t.same(
    rects(text, 'issued').map(([, y, , height]) => [y, height]),
    [
      [25, 75],
      [50, 50],
    ],
  )
  t.same(
    rects(text, 'denied').map(([, y, , height]) => [y, height]),
    [[0, 25]],
  )
  t.notMatch(text, /style=/)
})

t.test('the same stands in a sentence and in a table', async (t) => {
  const { text } = activityChart([bar(1), bar(40, { denials: 2 }), bar(3)])
  t.match(text, /<strong>44 issuances<\/strong> and 2 refusals/)
  t.match(text, /Most \(40\)/)
  t.equal([...text.matchAll(/<tr role="row"/g)].length, 4)
  t.match(text, /<svg [^>]*aria-hidden="true"/)
})

t.test('what was sampled, or not counted, says so', async (t) => {
  const about = activityChart([bar(1, { issuances: 7931, denials: 0, counted: 'about' })]).text
  t.match(about, /about 7,900 issuances/)
  const { text } = activityChart([
    bar(0, { issuances: null, denials: null, counted: 'not' }),
    bar(1, { issuances: 12, denials: null, counted: 'at least' }),
    bar(2, { issuances: 30, denials: null }),
  ])
  t.match(text, /at least 42 issuances/)
  t.match(text, /oldest column was not counted/)
  t.match(text, /class="back unknown"/)
  t.match(text, />not counted</)
  t.notMatch(text, /refusals/, 'nothing is said of what was not asked')
  t.match(activityChart([bar(0)]).text, /<strong>No issuances<\/strong>/)
})

const NOW = new Date(at(12))
const span = (from: number, to: number | null, change: Partial<Span> = {}): Span => ({
  agent: 'orders-coder',
  environment: 'staging',
  state: 'issued',
  at: at(from),
  expires_at: to === null ? null : at(to),
  ...change,
})

t.test('a session is drawn from its beginning to its end, live ones apart', async (t) => {
  const text = timeline([span(11, 13), span(3, 5)], NOW)?.text ?? ''
  t.same(
    rects(text, 'over').map(([x, , width]) => [x, width]),
    [[0, 200]],
  )
  t.same(
    rects(text, 'live').map(([x, , width]) => [x, width]),
    [[800, 200]],
  )
  t.match(text, /1 is a live session, 1 is a session that is over/)
  t.match(text, /2 sessions, 1 live/)
  t.match(text, /class="now" x1="900.0"/)
})

t.test('sessions at one time lie below each other, and agents in lanes of their own', async (t) => {
  const text = timeline([span(1, 4), span(2, 5), span(4, 6), span(1, 2, { agent: 'other' })], NOW)?.text ?? ''
  t.same(
    rects(text, 'over').map(([, y]) => y),
    [1, 11, 1, 1],
    'the third begins where the first ended',
  )
  t.match(text, /class="lane-2"/)
  t.match(text, /other · staging/)
  const many = Array.from({ length: 12 }, (_, n) => span(1, 2, { agent: `agent-${n}` }))
  t.match(timeline(many, NOW)?.text, /2 more lanes not drawn/)
})

t.test('what gave no session has no length, and is still seen', async (t) => {
  const text = timeline([span(1, null, { state: 'failed' }), span(1, 2)], NOW)?.text ?? ''
  t.same(
    rects(text, 'failed').map(([, , width]) => width),
    [1],
  )
  t.match(text, /1 has no session/)
  t.equal(timeline([], NOW), undefined)
})

t.test('names that somebody made up stay text', async (t) => {
  const text = timeline([span(1, 2, { agent: '<b>"' })], NOW)?.text
  t.match(text, /&lt;b&gt;&quot; · staging/)
  t.notMatch(text, /<b>/)
})
