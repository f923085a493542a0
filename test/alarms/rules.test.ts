import { deepStrictEqual, ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type Alarm, BURST, type Facts, judge, lateAlarm, type SeenEntry } from '../../server/alarms/rules.js'

const DAY = 86_400_000
const START = Date.parse('2026-03-01T00:00:00Z')

/** What the database keeps between two stretches, as 016 does. */
function world() {
  const known = new Map<string, number>()
  const past: SeenEntry[] = []
  const raised = new Map<string, Alarm>()
  const facts = (entries: readonly SeenEntry[]): Facts => {
    const agents = new Set(entries.flatMap(({ agent }) => agent ?? []))
    const first = entries.find(isDenial)?.at ?? 0
    const values = (agent: string, what: string) =>
      [...known.keys()].flatMap((key) => {
        const [of, is, value = ''] = key.split('|')
        return of === agent && is === what ? [value] : []
      })
    return {
      entries,
      agents: Object.fromEntries(
        [...agents].map((agent) => {
          const active = known.get(`${agent}|activity|`)
          const bursts = [...raised.values()].flatMap(({ alarm, cause }) => {
            const at = past.find(({ index }) => index === cause)?.at ?? 0
            const same = past.some((one) => one.index === cause && one.agent === agent)
            return alarm === 'denied-burst' && same && at > first - BURST.quiet_seconds * 1000 ? [at] : []
          })
          return [
            agent,
            {
              environments: values(agent, 'environment'),
              networks: values(agent, 'network'),
              networks_known: values(agent, 'network').length,
              denials: past
                .filter((one) => isDenial(one) && one.agent === agent)
                .map(({ at }) => at)
                .filter((at) => at >= first - BURST.within_seconds * 1000)
                .reverse()
                .slice(0, BURST.denials),
              ...(active === undefined ? {} : { active }),
              ...(bursts.length === 0 ? {} : { burst: Math.max(...bursts) }),
            },
          ]
        }),
      ),
    }
  }
  return {
    look(entries: readonly SeenEntry[]): readonly Alarm[] {
      const { alarms, learned } = judge(facts(entries))
      past.push(...entries)
      const fresh = alarms.filter(({ key }) => !raised.has(key))
      for (const alarm of fresh) raised.set(alarm.key, alarm)
      for (const { agent, what, value, at } of learned) known.set(`${agent}|${what}|${value}`, at)
      return fresh
    },
  }
}

const isDenial = ({ kind }: SeenEntry) => kind === 'issuance.denied' || kind === 'grant_request.refused'

/** A log of a few agents that do whatever; times run on by seconds, sometimes by weeks. */
const log = fc
  .array(
    fc.record({
      kind: fc.constantFrom(
        'issuance.intended',
        'issuance.issued',
        'issuance.issued',
        'issuance.delivered',
        'issuance.denied',
        'issuance.denied',
        'issuance.denied',
        'grant_request.refused',
        'grant.created',
        'stop.engaged',
        'deny.failed',
      ),
      agent: fc.constantFrom('a', 'b', '__proto__'),
      environment: fc.constantFrom('dev', 'prod', 'prod-2'),
      network: fc.constantFrom('n1', 'n1', 'n2', 'n3'),
      code: fc.constantFrom('red_line', 'delete_not_allowed', 'grant_required'),
      break_glass: fc.boolean(),
      pause: fc.constantFrom(0, 1_000, 1_000, 10_000, 40_000, 400_000, 20 * DAY, 31 * DAY),
    }),
    { maxLength: 80 },
  )
  .map((steps) => {
    let at = START
    return steps.map(({ kind, agent, environment, network, code, break_glass, pause }, index): SeenEntry => {
      at += pause
      const about = { index, kind, at, agent }
      const tier = environment === 'dev' ? 'development' : 'production'
      if (kind === 'grant.created') return { ...about, environment, break_glass }
      if (kind === 'stop.engaged') return { index, kind, at, stop: '0123456789ab', stops: 'everything' }
      if (kind === 'deny.failed') return { index, kind, at }
      if (kind === 'issuance.issued') return { ...about, environment, tier }
      if (kind === 'grant_request.refused') return { ...about, environment, code }
      return { ...about, environment, network, ...(isDenial(about) ? { code, tier } : {}) }
    })
  })

const cut = (entries: readonly SeenEntry[], sizes: readonly number[]): SeenEntry[][] => {
  const stretches: SeenEntry[][] = []
  for (let at = 0, n = 0; at < entries.length; n++) {
    const size = sizes[n % sizes.length] ?? 1
    stretches.push(entries.slice(at, at + size))
    at += size
  }
  return stretches
}

t.test('however the log is cut into stretches, the same is raised', async () => {
  fc.assert(
    fc.property(
      log,
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 }),
      (entries, sizes) => {
        const whole = world().look(entries)
        const piecemeal = world()
        const pieces = cut(entries, sizes).flatMap((stretch) => piecemeal.look(stretch))
        deepStrictEqual(pieces, whole)
      },
    ),
    { numRuns: 150 },
  )
})

/** Each rule once more, from the whole history at every entry, without remembering anything. */
function expected(entries: readonly SeenEntry[]): readonly string[] {
  const bursts: SeenEntry[] = []
  return entries.flatMap((entry, n) => {
    const before = entries.slice(0, n).filter(({ agent }) => agent === entry.agent)
    const { kind, index, agent, environment, network, code, tier, at } = entry
    const found: string[] = []
    if (kind === 'stop.engaged') found.push(`stop/${index}`)
    if (kind === 'deny.failed') found.push(`deny-failed/${index}`)
    if (kind === 'grant.created' && entry.break_glass === true) found.push(`break-glass/${index}`)
    const seen = before.flatMap((one) => one.network ?? [])
    if (network !== undefined && seen.length > 0 && !seen.includes(network)) {
      found.push(`new-network/${agent}/${network}`)
    }
    if (isDenial(entry)) {
      if (code === 'red_line' || (code === 'delete_not_allowed' && tier === 'production'))
        found.push(`red-line-attempt/${index}`)
      const recent = before.filter((one) => isDenial(one) && at - one.at <= 300_000).length + 1
      const quiet = bursts.some((one) => one.agent === agent && at - one.at < 900_000)
      if (recent >= 10 && !quiet) {
        bursts.push(entry)
        found.push(`denied-burst/${index}`)
      }
    }
    if (kind === 'issuance.issued' && tier === 'production') {
      const entered = before.some((one) => one.kind === kind && one.environment === environment)
      if (!entered) found.push(`first-production-access/${agent}/${environment}`)
    }
    if (kind === 'issuance.issued' || kind === 'issuance.delivered') {
      const last = before.findLast(
        (one) => one.kind === 'issuance.issued' || one.kind === 'issuance.delivered',
      )
      // What was written down may be an hour older than the last session.
      if (last !== undefined && at - last.at >= 30 * DAY) found.push(`silent-agent/${index}`)
    }
    return found
  })
}

t.test('what is raised is what the rules say, from first principles', async () => {
  fc.assert(
    fc.property(log, (entries) => {
      const raised = world().look(entries)
      deepStrictEqual(
        raised.map(({ key }) => key),
        expected(entries),
      )
      ok(raised.every(({ alarm, key, cause }) => key.startsWith(`${alarm}/`) && cause < entries.length))
    }),
    { numRuns: 150 },
  )
})

const denied = (count: number, everyMs: number, from = 0): SeenEntry[] =>
  Array.from({ length: count }, (_, n) => ({
    index: from + n,
    kind: 'issuance.denied',
    at: START + (from + n) * everyMs,
    agent: 'a',
    environment: 'dev',
    code: 'scope_unknown',
  }))

t.test('a burst is ten within five minutes, told once a quarter of an hour', async (t) => {
  const names = (entries: readonly SeenEntry[]) =>
    world()
      .look(entries)
      .map(({ key }) => key)
  t.strictSame(names(denied(9, 1_000)), [])
  t.strictSame(names(denied(10, 1_000)), ['denied-burst/9'])
  t.strictSame(names(denied(10, 34_000)), [], 'ten in more than five minutes')
  t.strictSame(names(denied(200, 10_000)), ['denied-burst/9', 'denied-burst/99', 'denied-burst/189'])
})

t.test('what an alarm says', async (t) => {
  const one = (entry: Partial<SeenEntry> & { readonly kind: string }) =>
    judge({
      entries: [{ index: 7, at: START, agent: 'a', environment: 'prod', ...entry }],
      agents: {
        a: { environments: [], networks: [], networks_known: 3, active: START - 40 * DAY, denials: [] },
      },
    }).alarms
  t.strictSame(one({ kind: 'issuance.issued', tier: 'production' }), [
    {
      key: 'first-production-access/a/prod',
      alarm: 'first-production-access',
      cause: 7,
      details: { tier: 'production' },
    },
    { key: 'silent-agent/7', alarm: 'silent-agent', cause: 7, details: { silent_days: 40 } },
  ])
  t.match(one({ kind: 'issuance.intended', network: 'n' }), [
    { key: 'new-network/a/n', details: { networks_known: 3 } },
  ])
  t.match(one({ kind: 'issuance.denied', code: 'red_line' }), [{ details: { refused_with: 'red_line' } }])
  t.strictSame(one({ kind: 'issuance.denied', code: 'delete_not_allowed', tier: 'staging' }), [])
  t.strictSame(one({ kind: 'grant.created' }), [], 'a usual grant')
  t.strictSame(lateAlarm('example.com/log', { index: 3 }), {
    key: 'checkpoint-late/example.com/log/3',
    alarm: 'checkpoint-late',
    cause: 3,
    after_seconds: 60,
    details: { origin: 'example.com/log' },
  })
})
