import fc from 'fast-check'
import t from 'tap'
import { type EventFilter, searchEvents, searchIssuances } from '../../../server/audit/review/filters.js'
import { listEvents, listIssuances } from '../../../server/audit/review/lists.js'
import { type Search, walk } from '../../../server/audit/review/search.js'
import type { Database } from '../../../server/db/pool.js'
import { testLedger } from '../../support/ledger.js'
import { alone, type DrawnFilter, histories, play, together } from './history.js'
import { Model } from './model.js'

t.setTimeout(120_000)

/** A drawn filter with ids and times that are in the log; nearly always. */
function fillIn(drawn: DrawnFilter, model: Model): EventFilter {
  const at = (n: number) => String(model.entries[n % model.entries.length]?.body.at)
  const id = (field: string, n: number) => {
    const values = model.values(field)
    return n === 0 ? '000000000000' : values[n % values.length]
  }
  return Object.fromEntries(
    Object.entries(drawn).map(([name, value]) => {
      if (typeof value === 'string') return [name, value]
      return [name, name === 'since' || name === 'until' ? at(value) : id(FIELDS[name] ?? '', value)]
    }),
  )
}

const FIELDS: Readonly<Record<string, string>> = {
  issuance: 'issuance_id',
  access_key: 'access_key_id',
  grant: 'grant_id',
  request: 'request_id',
}

const forIssuances = ({ kind: _k, operator: _o, issuance: _i, request: _r, ...filter }: EventFilter) => filter

/** All pages. */
async function through(
  list: (
    before: number | undefined,
  ) => Promise<{ readonly items: readonly number[]; readonly next: number | null }>,
): Promise<readonly number[]> {
  const all: number[] = []
  let before: number | undefined
  for (let pages = 0; pages < 5_000; pages++) {
    const { items, next } = await list(before)
    all.push(...items)
    if (next === null) return all
    before = next
  }
  throw new Error('paging does not end')
}

async function walked(database: Database, search: Search, order: 'asc' | 'desc', first: number) {
  const all: number[] = []
  for await (const { found } of walk(database, search, order, first)) all.push(...found)
  return all
}

const same = (one: readonly number[], other: readonly number[]) =>
  one.length === other.length && one.every((idx, n) => idx === other[n])

/** A few pages for few, not one for each. */
const pages = (limit: number, expected: readonly number[]) => Math.max(limit, Math.ceil(expected.length / 5))

async function compare(broker: Database, model: Model, filter: EventFilter, limit: number): Promise<number> {
  const events = model.events(filter)
  const found = await through(async (before) => {
    const { items, next } = await listEvents(broker, filter, { limit: pages(limit, events), before })
    return { items: items.map(({ index }) => index), next }
  })
  if (!same(found, events)) throw new Error(`events ${JSON.stringify(filter)}: ${found} is not ${events}`)
  const back = await walked(broker, await searchEvents(broker, filter), 'asc', 3 * limit)
  if (!same(back.reverse(), events)) throw new Error(`events, oldest first ${JSON.stringify(filter)}`)

  const asked = forIssuances(filter)
  const issuances = model.issuances(asked)
  const listed = await through(async (before) => {
    const { items, next } = await listIssuances(broker, asked, { limit: pages(limit, issuances), before })
    return { items: items.map(({ entry }) => entry), next }
  })
  if (!same(listed, issuances))
    throw new Error(`issuances ${JSON.stringify(asked)}: ${listed} is not ${issuances}`)
  const small = await walked(broker, await searchIssuances(broker, asked), 'desc', 3 * limit)
  if (!same(small, issuances)) throw new Error(`issuances, small steps ${JSON.stringify(asked)}`)
  return events.length + issuances.length
}

t.test('each filter, and any of them together, finds what going through all bodies finds', async (t) => {
  const answered = { some: 0, none: 0 }
  await fc.assert(
    fc.asyncProperty(histories, together, fc.integer({ min: 1, max: 9 }), async (history, drawn, limit) => {
      const ledger = await testLedger(t)
      await play(ledger, history)
      const model = await Model.of(ledger)
      for (const one of [...alone, ...drawn]) {
        const found = await compare(ledger.broker, model, fillIn(one, model), limit)
        answered[found > 0 ? 'some' : 'none']++
      }
    }),
    {
      numRuns: 1,
      endOnFailure: true,
      // Without the whole history: the filter and the seed tell enough.
      reporter: ({ failed, seed, errorInstance }) => {
        if (failed) throw new Error(`seed ${seed}`, { cause: errorInstance })
      },
    },
  )
  t.ok(answered.some > 30 && answered.none > 3, JSON.stringify(answered))
})
