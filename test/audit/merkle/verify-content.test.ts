import t from 'tap'
import { verifyTiles } from '../../../server/audit/verify/tiles.js'
import { bodies, bodyOf, keys, publish, readFiles, refusalOf } from './support.js'

t.test('a log that says nonsense is refused although all its hashes agree', async (t) => {
  const says = async (body: Buffer | string) => {
    const files = await publish(bodies(20).with(7, Buffer.from(body)), [20])
    return refusalOf(() => verifyTiles(readFiles(files), keys))
  }
  t.equal((await says(bodyOf(7))).code, 'passed')
  const later = bodyOf(7, { at: '2026-03-01T11:00:00.000000Z' })
  t.match(await says(later), { code: 'entry_time', index: 8 })
  t.match(await says(bodyOf(7, { at: '2026-03-01T09:00:00.000000Z' })), { code: 'entry_time', index: 7 })
  t.equal((await says(bodyOf(7, { at: '2026-03-01T10:00:00.000006Z' }))).code, 'passed', 'the same time')
  t.match(await says(bodyOf(8)), { code: 'entry_index', index: 7 })
  t.match(await says(bodyOf(7, { index: '7' })), { code: 'entry_index', index: 7 })
  t.match(await says(bodyOf(7, { v: 3 })), { code: 'entry_version', index: 7 })
  const odd = [
    '',
    '{',
    'null',
    '[]',
    '7',
    '"x"',
    `${bodyOf(7)}x`,
    Buffer.from([0xff, 0x7b, 0x7d]),
    `\ufeff${bodyOf(7)}`,
  ]
  for (const body of odd) t.match(await says(body), { code: 'entry_malformed', index: 7 }, String(body))
  for (const at of [
    undefined,
    7,
    '2026-03-01T10:00:00Z',
    '2026-03-01T10:00:00.000000',
    '2026-13-01T10:00:00.000000Z',
    '٢026-03-01T10:00:00.000000Z',
  ]) {
    t.match(await says(bodyOf(7, { at })), { code: 'entry_malformed', index: 7 }, String(at))
  }
  t.match(await says(bodyOf(7, { kind: '' })), { code: 'entry_malformed', index: 7 })
  const latin1 = Buffer.from(bodyOf(7, { human: 'Zo\u00eb' }).toString(), 'latin1')
  t.match(await says(latin1), { code: 'entry_malformed', index: 7 }, 'not UTF-8 within a text')
  const humans: unknown[] = []
  const named = await publish([bodyOf(0, { human: 'Zoë 🦔' })], [1])
  await verifyTiles(readFiles(named), keys, { onEntry: ({ human }) => humans.push(human) })
  t.same(humans, ['Zoë 🦔'])
})
