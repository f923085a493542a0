import fc from 'fast-check'
import t from 'tap'
import { html } from '../../web/html.js'
import {
  ago,
  copyable,
  duration,
  foreign,
  left,
  listed,
  readableJson,
  table,
  time,
} from '../../web/pages/parts.js'

const NOW = new Date('2026-03-14T03:07:00Z')

t.test('what cannot be seen in a text is said by its number', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['\u202e', 'U+202E'],
    ['\u2066', 'U+2066'],
    ['\u200b', 'U+200B'],
    ['\u00a0', 'U+00A0'],
    ['\u3164', 'U+3164'],
    ['\ufeff', 'U+FEFF'],
    ['\n', 'U+000A'],
    ['\u0007', 'U+0007'],
    ['\u{e0041}', 'U+E0041'],
    ['\ufe0f', 'U+FE0F'],
    ['\ud800', 'U+D800'],
  ]
  for (const [character, name] of cases) {
    const shown = foreign(`a${character}b`).text
    t.match(shown, `>${name}</span>b</bdi>`, name)
    t.notOk(shown.includes(character), `${name} itself is not in the page`)
  }
  t.equal(foreign('Grüße, 注文 4711, ⚠️').text, '<bdi class="foreign">Grüße, 注文 4711, ⚠️</bdi>')
  t.equal(foreign('<b onclick="x">').text, '<bdi class="foreign">&lt;b onclick=&quot;x&quot;&gt;</bdi>')
})

t.test('JSON to read parses to what it was made of and hides nothing', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = readableJson(value)
      t.strictSame(JSON.parse(text), JSON.parse(JSON.stringify(value)))
      if (/\p{Cf}|[^\P{Cc}\n]|\u00a0/u.test(text)) throw new Error('hidden')
    }),
    { numRuns: 200 },
  )
  t.equal(readableJson({ b: '\u202e\u{e0041}', a: 1 }), '{\n  "a": 1,\n  "b": "\\u202e\\udb40\\udc41"\n}')
})

t.test('times and lengths in words', async (t) => {
  t.match(time('2026-03-14T02:00:00.5+01:00').text, 'datetime="2026-03-14T01:00:00.500Z"')
  t.match(time('2026-03-14T02:00:00Z').text, '>2026-03-14 02:00:00 UTC<')
  t.match(time(null).text, 'never')
  t.match(time('"><script>').text, 'unreadable')
  t.match(left('2026-03-14T03:07:20Z', NOW).text, '>20 s left<')
  t.match(left('2026-03-14T03:06:59Z', NOW).text, '>over<')
  t.match(ago('2026-03-14T03:06:59Z', NOW).text, '>just now<')
  t.match(ago('2026-03-13T03:06:59Z', NOW).text, '>24 h ago<')
  t.equal(duration(5400), '1 hour 30 minutes')
  t.equal(duration(900), '15 minutes')
  t.equal(duration(604_800), '7 days')
  t.equal(duration(0), '0 seconds')
})

t.test('lists, ids and tables escape what is put in', async (t) => {
  t.equal(html`${listed(['a', 'b', '<c>'])}`.text, 'a, b and &lt;c&gt;')
  t.match(copyable('"x"').text, 'data-copy="&quot;x&quot;"')
  const shown = table({ caption: '<c>', columns: ['<h>'], rows: [{ key: '"', cells: ['<d>'] }] }).text
  t.notMatch(shown, /<[chd]>/)
  t.match(shown, 'data-label="&lt;h&gt;"')
})
