import fc from 'fast-check'
import t from 'tap'
import type { IntentItem } from '../../server/audit/items.js'
import { limitReached } from '../../server/decision/pace.js'
import { loadStanding, sweepPace } from '../../server/issuance/standing.js'
import type { Limits, Pace } from '../../server/types.js'
import { intentItem, READ_ROLE } from '../support/items.js'
import { type Ledger, testLedger } from '../support/ledger.js'

const MANY = {
  issuances_per_minute: 1000,
  live_sessions: 1000,
  scopes_per_hour: 1000,
  denials_per_hour: 1000,
}

/** A request of an agent of its own. */
const asks = (agent: string, limits: Partial<typeof MANY> = {}, change: Partial<IntentItem> = {}) =>
  intentItem({ agent, role_arn: READ_ROLE, limits: { ...MANY, ...limits }, ...change })

const paceOf = async (agent: string, environment = 'production'): Promise<Pace> => {
  const { pace } = await loadStanding(ledger.broker, { agent, environment, humans: [] })
  if (pace === undefined) throw new Error('nothing is counted')
  return pace
}

const failure = ({ issuance_id }: IntentItem) =>
  ({ op: 'outcome', issuance_id, state: 'failed', error_code: 'aws_refused' }) as const

t.before(async () => {
  ledger = await testLedger(t)
})
let ledger: Ledger

t.test('what counts', async (t) => {
  const { append } = ledger
  const pace = (environment?: string) => paceOf('bot', environment)
  t.strictSame(await pace(), { issued: 0, live: 0, denied: 0, scopes: [] })

  const one = asks('bot')
  const two = asks('bot', {}, { scopes: ['orders:read'] })
  await append(one, two)
  await append(one)
  t.match(await pace(), { issued: 2, live: 2 }, 'a retry is none of it again')
  t.strictSame([...(await pace()).scopes].sort(), ['orders:read', 'orders:write'])
  t.match(await paceOf('other'), { issued: 0, scopes: [] }, 'each agent for itself')

  const failed = failure(two)
  await append(failed)
  await append(failed)
  t.match(await pace(), { issued: 2, live: 1 }, 'AWS refused: its place is free again, once')
  await append(
    {
      op: 'outcome',
      issuance_id: one.issuance_id,
      state: 'issued',
      access_key_id: 'ASIA',
      expires_at: one.not_after,
    },
    { op: 'delivery', issuance_id: one.issuance_id, agent: 'bot', payload: {} },
  )
  t.match(await pace(), { issued: 2, live: 1 }, 'handed out again: nothing more')

  const denied = (code: string, environment: string, more = {}) => ({
    op: 'denial' as const,
    kind: 'issuance.denied' as const,
    key: `${code} ${environment}`,
    paced_in: environment,
    fields: { agent: 'bot', code },
    payload: {},
    ...more,
  })
  await append(...Array.from({ length: 5 }, () => denied('scope_unknown', 'production')))
  t.equal((await pace()).denied, 1, 'within seconds the same is one')
  const attempt = { counts_as: 'over' as const }
  const [, , third] = await append(
    ...Array.from({ length: 3 }, () => denied('over_limit', 'production', attempt)),
  )
  t.match(third, { status: 'ok', attempts: 3 }, 'but each is an attempt')
  t.equal((await pace()).denied, 1, 'and none a denial, or nobody would ever come back')

  await append(
    denied('environment_unknown', '', { key: 'a' }),
    denied('environment_unknown', '', { key: 'b' }),
  )
  t.equal((await pace()).denied, 3, 'made-up places count everywhere')
  t.equal((await pace('staging')).denied, 2)
  const rows = await ledger.owner.query("SELECT DISTINCT environment FROM writ.pace WHERE agent = 'bot'")
  t.equal(rows.length, 2, 'and have one place in the table')
})

t.test('over a limit the database refuses by itself', async (t) => {
  const { append } = ledger
  const codes = async (...items: IntentItem[]) =>
    (await append(...items)).map((verdict) =>
      verdict.status === 'refused' ? (verdict.limit ?? verdict.code) : verdict.status,
    )
  const two = { issuances_per_minute: 2 }
  t.strictSame(
    await codes(asks('a', two), asks('b', two), asks('a', two), asks('a', two), asks('b', two)),
    ['ok', 'ok', 'ok', 'issuances_per_minute', 'ok'],
    'within one batch as well',
  )
  const early = asks('e', two)
  await append(early, failure(early))
  t.strictSame(
    await codes(asks('e', two), asks('e', two)),
    ['ok', 'issuances_per_minute'],
    'counted although its outcome came in the same batch',
  )
  const live = { live_sessions: 1 }
  const held = asks('c', live)
  t.strictSame(await codes(held, asks('c', live)), ['ok', 'live_sessions'])
  t.strictSame(await codes(held), ['ok'], 'a retry of what was let through stays so')
  await append(failure(held))
  t.strictSame(await codes(asks('c', live)), ['ok'], 'and a free place is given to the next')
  const scopes = { scopes_per_hour: 2 }
  const with_ = (...names: string[]) => asks('d', scopes, { scopes: names })
  t.strictSame(await codes(with_('x'), with_('x', 'y'), with_('y'), with_('z'), with_('x')), [
    'ok',
    'ok',
    'ok',
    'scopes_per_hour',
    'ok',
  ])
  t.strictSame(await codes(asks('e', scopes, { scopes: ['x', 'y', 'z'] })), ['scopes_per_hour'])

  const [verdict] = await append(asks('a', two))
  t.match(verdict, { status: 'refused', code: 'over_limit', attempts: 2 })
  const index = verdict?.status === 'refused' ? verdict.index : undefined
  const entries = await ledger.owner.query<{ kind: string; code: string; agent: string }>(
    'SELECT kind, code, agent FROM writ.entry WHERE idx = $1',
    [index],
  )
  t.match(entries, [{ kind: 'issuance.denied', code: 'over_limit', agent: 'a' }], 'and records that')
})

t.test('no count is ever below what was in the window', async (t) => {
  const at = (seconds: number) => new Date(1_800_000_000_000 + Math.round(seconds * 1000))
  const between = (min: number, max: number) => fc.double({ min, max, noNaN: true })
  // Ages in seconds: anything, and close to where a window ends.
  const age = fc.oneof(between(0, 7200), between(45, 75), between(3500, 3700), between(3500, 4000))
  const ages = fc.array(age, { maxLength: 15 })
  let n = 0
  const holds = fc.assert(
    fc.asyncProperty(
      ages,
      ages,
      fc.array(between(-900, 900), { maxLength: 15 }),
      fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e'), age), { maxLength: 10 }),
      between(0, 3600),
      async (issued, denied, ends, scopes, now) => {
        const agent = `agent-${n++}`
        const counts = [
          ...issued.map((age) => ['issued', now - age, 10] as const),
          ...denied.map((age) => ['denied', now - age, 60] as const),
          ...ends.map((later) => ['expires', now + later, 300] as const),
        ]
        const used = scopes.map(([name, age]) => [name, now - age] as const).sort(([, a], [, b]) => a - b)
        await ledger.owner.query(
          `SELECT writ.pace_add($1, 'e', c->>0, writ.slot_of((c->>1)::timestamptz, (c->>2)::integer), 1)
           FROM jsonb_array_elements($2::jsonb) c`,
          [agent, JSON.stringify(counts.map(([what, moment, slot]) => [what, at(moment), slot]))],
        )
        for (const [scope, moment] of used) {
          await ledger.owner.query(
            `INSERT INTO writ.pace_scope VALUES ($1, 'e', $2, writ.slot_of($3, 300))
             ON CONFLICT (agent, environment, scope) DO UPDATE SET slot = excluded.slot`,
            [agent, scope, at(moment)],
          )
        }
        const [row] = await ledger.owner.query<{ pace: Pace }>(
          "SELECT to_jsonb((writ.paces_of(ARRAY[$1], ARRAY['e'], $2))[1]) AS pace",
          [agent, at(now)],
        )
        const within = (what: string, seconds: number) =>
          counts.filter(([which, moment]) => which === what && moment > now - seconds).length
        const pace = row?.pace ?? { issued: 0, live: 0, denied: 0, scopes: [] }
        const true_ = {
          issued: within('issued', 60),
          live: counts.filter(([what, moment]) => what === 'expires' && moment > now).length,
          denied: within('denied', 3600),
        }
        const loose = { issued: within('issued', 70), denied: within('denied', 3660) }
        const fresh = used.filter(([, moment]) => moment > now - 3600).map(([scope]) => scope)
        return (
          pace.issued >= true_.issued &&
          pace.issued <= loose.issued &&
          pace.live >= true_.live &&
          pace.denied >= true_.denied &&
          pace.denied <= loose.denied &&
          fresh.every((scope) => pace.scopes.includes(scope))
        )
      },
    ),
    { numRuns: 100 },
  )
  await t.resolves(holds)
})

t.test('the database and the decision say the same', async (t) => {
  const few = fc.integer({ min: 0, max: 4 })
  const most = fc.integer({ min: 1, max: 4 })
  const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 })
  const asked = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 3 })
  const cases: [Pace, Limits, string[]][] = fc.sample(
    fc.tuple(
      fc.record({ issued: few, live: few, denied: few, scopes: names }),
      fc.record({ issuancesPerMinute: most, liveSessions: most, scopesPerHour: most, denialsPerHour: most }),
      asked,
    ),
    500,
  )
  const rows = await ledger.owner.query<{ limit: string | null }>(
    `SELECT writ.over_limit(ROW((c->0->>'issued')::integer, (c->0->>'live')::integer, (c->0->>'denied')::integer,
       c->0->'scopes', '[]')::writ.pace_now, c->1, c->2) AS limit
     FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY x (c, n) ORDER BY n`,
    [
      JSON.stringify(
        cases.map(([pace, limits, scopes]) => [
          pace,
          {
            issuances_per_minute: limits.issuancesPerMinute,
            live_sessions: limits.liveSessions,
            scopes_per_hour: limits.scopesPerHour,
            denials_per_hour: limits.denialsPerHour,
          },
          scopes,
        ]),
      ),
    ],
  )
  const wrong = cases.filter(
    ([pace, limits, scopes], n) => limitReached(pace, limits, scopes) !== (rows[n]?.limit ?? undefined),
  )
  t.strictSame(wrong, [])
  t.equal(new Set(rows.map(({ limit }) => limit)).size, 5, 'all four limits, and none')
})

t.test('what ran out is swept, and nothing else', async (t) => {
  await ledger.append(asks('swept'))
  const before = await paceOf('swept')
  await ledger.owner.query(
    `INSERT INTO writ.pace SELECT 'swept', 'production', what, slot, 1
     FROM (VALUES ('issued', 10), ('expires', 300), ('denied', 60), ('over', 60), ('red', 60)) w (what, s),
       LATERAL (SELECT writ.slot_of(clock_timestamp() - interval '2 hours', s) AS slot) x`,
  )
  await ledger.owner.query("INSERT INTO writ.pace_scope VALUES ('swept', 'production', 'old', 1)")
  t.strictSame(await paceOf('swept'), before, 'it counts no longer')
  t.equal(await sweepPace(ledger.broker), 6)
  t.equal(await sweepPace(ledger.broker), 0)
  t.strictSame(await paceOf('swept'), before)
})

t.test('sessions from before the counts began count as well', async (t) => {
  const [first, second] = [asks('early'), asks('early')]
  await ledger.append(first, second)
  await ledger.append(failure(second))
  await ledger.owner.query('DELETE FROM writ.pace')
  t.equal((await paceOf('early')).live, 0)
  const { readFile } = await import('node:fs/promises')
  const { join } = await import('node:path')
  const { packageRoot } = await import('../../server/paths.js')
  const sql = await readFile(join(packageRoot(), 'migrations/014-stops.sql'), 'utf8')
  const start = sql.indexOf('INSERT INTO writ.pace (agent, environment, what, slot, n)\nSELECT i.agent')
  await ledger.owner.query(sql.slice(start, sql.indexOf(';', start)))
  t.equal((await paceOf('early')).live, 1, 'but for the one that AWS refused')
})
