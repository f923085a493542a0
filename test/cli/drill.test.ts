import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { playDrill, type Report, SCENARIOS, type Tried } from '../../cli/drill/run.js'
import { openStage } from '../../cli/drill/stage.js'
import type { IssueDeps } from '../../server/issuance/issue.js'
import type { Agent, Environment, PolicySet } from '../../server/types.js'
import { asSuperuser } from '../support/console.js'
import { commandOnBroker } from './support.js'

t.setTimeout(120_000)

/** In place of the broker's own while a gate is taken out. */
let policy: (real: PolicySet) => PolicySet = (real) => real
let parts: (real: IssueDeps) => Partial<IssueDeps> = () => ({})

t.test('a drill', async (t) => {
  const { broker, writ, folder } = await commandOnBroker(t, {
    alarms: true,
    policySet: (real) => policy(real),
    issue: (real) => ({
      ...real,
      loadGrants: (...asked) => (parts(real).loadGrants ?? real.loadGrants)(...asked),
      loadStanding: (asker) => (parts(real).loadStanding ?? real.loadStanding)(asker),
      record: (item) => (parts(real).record ?? real.record)(item),
    }),
  })
  const { sql, dataDir, url } = broker

  /** As if the first minute were over: what the next drill releases at once. */
  const aMinuteLater = async () => {
    await asSuperuser(sql, 'ALTER TABLE writ.stop DISABLE TRIGGER guard')
    await asSuperuser(sql, 'UPDATE writ.stop SET cutoff = engaged_at')
    await asSuperuser(sql, 'ALTER TABLE writ.stop ENABLE TRIGGER guard')
  }

  await t.test(
    'without keys and tokens it says what it did not play, and does not call that stopped',
    async (t) => {
      const token = join(folder, 'drill.token')
      await writ(['dev', 'token', '--agent', 'writ-drill', '--write', token])
      const alone = ['drill', '--only', 'stolen-token', '--token-file', token, '--url', broker.origin]
      const ran = await writ(alone)
      t.equal(ran.code, 1)
      t.match(
        ran.stdout,
        /STOPPED +Stolen token[\s\S]*SKIPPED +A token after its life[\s\S]*Some of it was not played/,
      )
      const allowed = await writ([...alone, '--allow-skipped', '--json'])
      t.equal(allowed.code, 0)
      t.match(allowed.json, { all_stopped: true, complete: false })
      const other = await writ(['drill', '--agent', 'orders-coder', '--token-file', token])
      t.equal(other.code, 2)
      t.match(other.stderr, /The token is that of writ-drill/)
    },
  )

  await t.test('everything is stopped, recorded, and told', async (t) => {
    const file = join(folder, 'report.md')
    const ran = await writ(['drill', '--json', '--report', file])
    const report: Report = JSON.parse(ran.stdout)
    for (const { name, outcome, attempts, skipped } of report.scenarios) {
      t.equal(outcome, 'stopped', `${name} ${JSON.stringify(attempts.filter(({ held }) => !held))}`)
      t.strictSame(skipped, [], `${name}: played in full`)
    }
    t.equal(report.scenarios.length, SCENARIOS.length)
    t.equal(ran.code, 0)
    t.match(report.left, /left stopped/)

    const all = report.scenarios.flatMap(({ attempts }) => attempts)
    const carol = await broker.operatorToken('carol')
    const of = (code: string) => all.find((one) => one.code === code) as Tried
    for (const code of ['agent_stopped', 'red_line', 'grant_used_up', 'over_limit', 'environment_unknown']) {
      const { entry } = of(code)
      t.ok(entry, `${code} has an entry`)
      const { body } = await broker.call('GET', `/v1/events?code=${code}&agent=writ-drill&limit=100`, carol)
      const found = body.items.find(({ index }: { index: number }) => index === entry?.index)
      t.match(found, { leaf_hash: entry?.leaf_hash, body: { kind: entry?.kind, code } })
    }
    t.match(of('red_line').alarm, { alarm: 'red-line-attempt' }, 'an alarm for what is alarming')
    t.match(of('token_expired').unrecorded, /Only in the broker/, 'and what is not recorded says so')

    const text = readFileSync(file, 'utf8')
    t.match(text, /All 7 scenarios were stopped/)
    for (const { title } of report.scenarios) t.match(text, `## ${title}`)
    t.notMatch(text + ran.stdout, /eyJ/, 'no token in a report')
    const others = await broker.call('GET', '/v1/issuances?agent=orders-coder', carol)
    t.strictSame(others.body.items, [], 'nobody else was played with')
  })

  await aMinuteLater()

  // In our own process, so that only the broker's work is paid for.
  const stage = await openStage({
    url,
    dataDir,
    agent: 'writ-drill',
    approver: 'alice',
    owner: 'bob',
    reader: 'carol',
  })
  const plays = async (t: Test, name: string, missed: RegExp | undefined) => {
    const [scenario] = SCENARIOS.filter((one) => one.name === name)
    if (scenario === undefined) throw new Error(`no scenario ${name}`)
    const report = await playDrill(stage, [scenario], { release: false }, () => undefined)
    const [result] = report.scenarios
    const wrong = result?.attempts.filter(({ held }) => !held).map(({ what }) => what) ?? []
    t.equal(result?.outcome, missed === undefined ? 'stopped' : 'failed', name)
    if (missed !== undefined)
      t.ok(
        wrong.some((what) => missed.test(what)),
        `${name}: ${wrong.join('; ')}`,
      )
  }
  const gates: readonly (readonly [gate: string, scenario: string, missed: RegExp, without: Without])[] = [
    [
      'what no document lists',
      'injected-delete',
      /a scope that deletes/,
      {
        policy: agents(
          (one) => inPlace(one, 'production', { scopes: ['drill:read', 'drill:write', 'orders:purge'] }),
          { allowDelete: true },
        ),
      },
    ],
    [
      'red lines',
      'injected-delete',
      /red line/,
      { policy: (set) => ({ ...set, redLineAt: () => undefined }) },
    ],
    [
      'the list of environments',
      'environment-confusion',
      /others/,
      { policy: agents((one) => alsoIn(one, 'development', 'production')) },
    ],
    [
      'the owner',
      'self-approval',
      /team that owns/,
      { policy: agents((one) => ({ ...one, owner: { kind: 'team', name: 'nobodys' } })) },
    ],
    [
      'the human it acts for',
      'self-approval',
      /human it acts for/,
      { policy: (set) => withoutNames(set, 'alice') },
    ],
    [
      'the scopes of a grant',
      'grant-replay',
      /more scopes/,
      {
        parts: (real) => ({
          loadGrants: async (...asked) =>
            (await real.loadGrants(...asked)).map((one) => ({
              ...one,
              scopes: ['drill:read', 'drill:write'],
            })),
        }),
      },
    ],
    [
      'limits',
      'velocity-burst',
      /within a minute/,
      {
        parts: (real) => ({
          loadStanding: async () => ({ pace: { issued: 0, live: 0, denied: 0, scopes: [] } }),
          record: (item) => {
            const { limits: _, ...rest } = item as typeof item & { limits?: unknown }
            return real.record(rest as typeof item)
          },
        }),
      },
    ],
  ]
  for (const [gate, scenario, missed, without] of gates) {
    await t.test(`without ${gate} the drill notices`, async (t) => {
      policy = without.policy ?? policy
      parts = without.parts ?? parts
      t.teardown(() => {
        policy = (real) => real
        parts = () => ({})
      })
      await plays(t, scenario, missed)
    })
  }

  await t.test('a stop that stops nothing is noticed', async (t) => {
    await asSuperuser(
      sql,
      `CREATE FUNCTION writ.lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       CREATE TRIGGER lose BEFORE INSERT ON writ.stopped FOR EACH ROW EXECUTE FUNCTION writ.lose()`,
    )
    await plays(t, 'use-after-stop', /a new session/)
    await asSuperuser(sql, 'DROP TRIGGER lose ON writ.stopped')
    await aMinuteLater()
    await plays(t, 'use-after-stop', undefined)
  })
})

interface Without {
  readonly policy?: typeof policy
  readonly parts?: typeof parts
}

/** The drill agent otherwise, and production too. */
const agents =
  (change: (agent: Agent) => Agent, production: Partial<Environment> = {}) =>
  (set: PolicySet): PolicySet => {
    const all = new Map(
      [...set.agents].map(([name, one]) => [name, name === 'writ-drill' ? change(one) : one]),
    )
    const environments = new Map(
      [...set.environments].map(([name, one]) => [
        name,
        name === 'production' ? { ...one, ...production } : one,
      ]),
    )
    return {
      ...set,
      agents: all,
      environments,
      agentsMatching: (who) => set.agentsMatching(who).flatMap(({ name }) => all.get(name) ?? []),
    }
  }

function inPlace(agent: Agent, name: string, change: object): Agent {
  const place = agent.environments.get(name)
  if (place === undefined) throw new Error(name)
  return { ...agent, environments: new Map(agent.environments).set(name, { ...place, ...change }) }
}

function alsoIn(agent: Agent, name: string, like: string): Agent {
  const place = agent.environments.get(like)
  if (place === undefined) throw new Error(like)
  return { ...agent, environments: new Map(agent.environments).set(name, { ...place, environment: name }) }
}

/** Nobody knows any more under which names this operator goes. */
function withoutNames(set: PolicySet, operator: string): PolicySet {
  const nameless = (one: PolicySet['operators'] extends ReadonlyMap<string, infer O> ? O : never) =>
    one.name === operator ? { ...one, alsoKnownAs: new Set<string>() } : one
  return {
    ...set,
    operators: new Map([...set.operators].map(([name, one]) => [name, nameless(one)])),
    operatorsMatching: (who) => set.operatorsMatching(who).map(nameless),
    operatorByName: (name) => {
      const one = set.operatorByName(name)
      return one && nameless(one)
    },
  }
}
