import fc from 'fast-check'
import t from 'tap'
import type { AppendItem } from '../../../server/audit/items.js'
import { fetchEvents } from '../../../server/audit/review/events.js'
import { searchEvents } from '../../../server/audit/review/filters.js'
import { listEvents } from '../../../server/audit/review/lists.js'
import { streamOf } from '../../../server/audit/review/stream.js'
import { newId } from '../../../server/issuance/id.js'
import { testLedger } from '../../support/ledger.js'

t.setTimeout(60_000)

const denied = (agent: string): AppendItem => ({
  op: 'denial',
  kind: 'issuance.denied',
  key: newId(),
  fields: { agent, environment: 'sandbox', code: 'scope_unknown' },
  payload: {},
})

t.test('while the log grows, pages neither lose nor repeat an entry', async (t) => {
  const { broker, append } = await testLedger(t)
  let size = 0
  const grow = async (agents: readonly string[]) => {
    await append(...agents.map(denied))
    size += agents.length
  }
  await grow(Array.from({ length: 100 }, (_, n) => (n % 3 === 0 ? 'b' : 'a')))
  const growth = fc.array(fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 5 }), {
    minLength: 4,
    maxLength: 4,
  })
  await fc.assert(
    fc.asyncProperty(
      growth,
      fc.constantFrom('a', 'b', undefined),
      fc.integer({ min: 5, max: 60 }),
      async (more, agent, limit) => {
        const whole = await listEvents(broker, { agent }, { limit: 500 })
        const wanted = whole.items.map(({ index }) => index).filter((index) => index < size)
        const found: number[] = []
        let before: number | undefined
        for (const page of Array.from({ length: 200 }, (_, n) => n)) {
          const { items, next } = await listEvents(broker, { agent }, { limit, before })
          found.push(...items.map(({ index }) => index))
          await grow(more[page] ?? [])
          if (next === null) break
          before = next
        }
        if (JSON.stringify(found) !== JSON.stringify(wanted)) throw new Error(`${found} is not ${wanted}`)
      },
    ),
    { numRuns: 15 },
  )
})

t.test('a stream ends where the log did when it began, and reads a page ahead at most', async (t) => {
  const { broker, append } = await testLedger(t)
  for (let n = 0; n < 6; n++) await append(...Array.from({ length: 250 }, () => denied('a')))
  for (const filter of [{}, { agent: 'a' }, { agent: 'a', environment: 'sandbox' }]) {
    const search = await searchEvents(broker, filter)
    let fetched = 0
    let taken = 0
    let ahead = 0
    const all = streamOf(broker, search, async (database, indexes) => {
      fetched += indexes.length
      return fetchEvents(database, indexes)
    })
    for await (const { index } of all) {
      t.equal(index, taken, 'oldest first, each once')
      ahead = Math.max(ahead, fetched - ++taken)
      // Grows under its feet.
      if (taken % 500 === 0) await append(denied('a'))
      if (taken % 100 === 0) t.equal(broker.stats().total - broker.stats().idle, 0, 'no connection is held')
    }
    t.equal(taken, search.range.hi, 'to the end it had')
    t.ok(ahead < 500, `${ahead} ahead`)
  }
})

t.test('who stops reading stops the reading', async (t) => {
  const { broker, append } = await testLedger(t)
  await append(...Array.from({ length: 250 }, () => denied('a')))
  let pages = 0
  const all = streamOf(broker, await searchEvents(broker, {}), async (database, indexes) => {
    pages++
    return fetchEvents(database, indexes)
  })
  for await (const { index } of all) if (index === 3) break
  t.equal(pages, 1)
  t.strictSame(await all.next(), { value: undefined, done: true })
})
