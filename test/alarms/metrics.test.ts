import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { ALARMS } from '../../server/audit/bodies/alarms.js'
import { createMetrics } from '../../server/metrics.js'
import { packageRoot } from '../../server/paths.js'
import { startTestBroker } from '../support/broker.js'

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Exposed {
  readonly families: ReadonlyMap<string, string>
  readonly samples: readonly Sample[]
}

/** Prometheus' text format 0.0.4, strictly; throws where a scraper would. */
function parseText(text: string): Exposed {
  const families = new Map<string, string>()
  const samples: Sample[] = []
  const unique = new Set<string>()
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, name, type] = /^# TYPE ([a-z_][a-z0-9_]*) (counter|gauge|histogram|summary)$/.exec(line) ?? []
    if (name !== undefined && type !== undefined) {
      if (families.has(name)) throw new Error(`two families ${name}`)
      families.set(name, type)
      continue
    }
    if (/^# HELP [a-z_][a-z0-9_]* \S/.test(line)) continue
    const found = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (NaN|[+-]?(?:Inf|[\d.]+(?:e[+-]?\d+)?))(?: \d+)?$/.exec(
      line,
    )
    if (found === null) throw new Error(`not a line of the format: ${line}`)
    const labels: Record<string, string> = {}
    const rest = (found[2] ?? '').replace(/([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)",?/g, (_, key, value) => {
      labels[key] = value
      return ''
    })
    if (rest !== '') throw new Error(`not labels: ${line}`)
    const key = line.slice(0, line.lastIndexOf('}') + 1) || (found[1] ?? '')
    if (unique.has(key)) throw new Error(`twice: ${key}`)
    unique.add(key)
    samples.push({ name: found[1] ?? '', labels, value: Number(found[3]?.replace('Inf', 'Infinity')) })
  }
  for (const { name } of samples) {
    const family = name.replace(/_(bucket|sum|count)$/, '')
    if (!families.has(name) && !families.has(family)) throw new Error(`no TYPE before ${name}`)
  }
  return { families, samples }
}

const page = readFileSync(join(packageRoot(), 'docs/alarms.md'), 'utf8')

t.test('what is counted, and what is never told', async (t) => {
  // Nobody looks unasked for an hour: what is raised here was woken for.
  const broker = await startTestBroker(t, { alarms: { everyMs: 3_600_000 } })
  const scrape = async (): Promise<Exposed & { readonly text: string }> => {
    const response = await fetch(`${broker.url}/metrics`)
    t.equal(response.status, 200)
    t.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
    const text = await response.text()
    return { text, ...parseText(text) }
  }
  const sumOf = ({ samples }: Exposed, name: string, labels: Readonly<Record<string, string>> = {}) =>
    samples
      .filter(
        (one) =>
          one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
      )
      .reduce((sum, { value }) => sum + value, 0)
  const first = await scrape()
  for (const alarm of ALARMS) {
    t.ok(
      first.samples.some(({ name, labels }) => name === 'writ_alarms_raised_total' && labels.alarm === alarm),
      alarm,
    )
  }

  const token = await broker.agentToken('orders-coder')
  const ask = (environment: string, ...scopes: string[]) =>
    broker.call('POST', '/v1/credentials', token, { environment, scopes, reason: 'canary-reason' })
  t.equal((await ask('development', 'orders:read')).status, 200)
  t.equal((await ask('development', 'orders:read')).status, 200, 'the same session again')
  t.equal((await ask('production', 'orders:read')).status, 200)
  t.equal((await ask('production', 'orders:write')).body.code, 'grant_required')
  t.equal((await ask('canary-environment', 'canary:scope')).status, 403)
  t.equal((await broker.call('GET', '/canary-path?canary=query')).status, 404)
  t.equal((await broker.call('GET', '/v1/whoami', 'canary.token.x')).status, 401)

  const carol = await broker.operatorToken('carol')
  let alarms: { body: Record<string, unknown> }[] = []
  while (alarms.length === 0) {
    alarms = (await broker.call('GET', '/v1/events?kind=alarm.raised&code=first-production-access', carol))
      .body.items
  }
  t.match(alarms, [
    { body: { alarm: 'first-production-access', agent: 'orders-coder', environment: 'production' } },
  ])
  const delayMs = Number(alarms[0]?.body.delay_ms)
  t.comment(`from cause to alarm: ${delayMs} ms`)

  const now = await scrape()
  t.equal(sumOf(now, 'writ_issuances_total', { outcome: 'issued', tier: 'development' }), 1)
  t.equal(sumOf(now, 'writ_issuances_total', { outcome: 'issued', tier: 'production' }), 1)
  t.equal(sumOf(now, 'writ_issuances_total', { outcome: 'failed' }), 0)
  t.equal(sumOf(now, 'writ_deliveries_total'), 1)
  t.equal(sumOf(now, 'writ_denials_total', { kind: 'issuance.denied', code: 'grant_required' }), 1)
  t.equal(sumOf(now, 'writ_denials_total', { kind: 'issuance.denied' }), 2)
  t.equal(sumOf(now, 'writ_assume_role_seconds_count', { outcome: 'ok' }), 2)
  t.equal(sumOf(now, 'writ_alarms_raised_total', { alarm: 'first-production-access' }), 1)
  t.equal(sumOf(now, 'writ_alarm_delay_seconds_count'), sumOf(now, 'writ_alarms_raised_total'))
  const sum = sumOf(now, 'writ_alarm_delay_seconds_sum')
  t.ok(Math.abs(sum * 1000 - delayMs) < 1, 'the delay that the entry has')
  const counted = { method: 'POST', route: '/v1/credentials', status: '200' }
  t.equal(sumOf(now, 'writ_http_request_duration_seconds_count', counted), 3)
  t.equal(sumOf(now, 'writ_http_request_duration_seconds_count', { route: '(none)', status: '404' }), 1)
  t.ok(sumOf(now, 'writ_record_append_seconds_count') > 0)
  for (const [name, value] of [
    ['writ_database_up', 1],
    ['writ_record_queue_items', 0],
    ['writ_streams_open', 0],
    ['writ_denies_waiting', 0],
    ['writ_record_failures_total', 0],
  ] as const) {
    t.equal(sumOf(now, name), value, name)
  }
  t.ok(now.families.has('process_cpu_seconds_total') && now.families.has('nodejs_eventloop_lag_seconds'))

  const set = broker.policy.current()
  const roles = [...set.agents.values()].flatMap(({ environments }) =>
    [...environments.values()].flatMap(({ roles }) => Object.values(roles)),
  )
  for (const secret of [
    ...set.agents.keys(),
    ...set.operators.keys(),
    ...set.scopes.keys(),
    ...roles,
    'canary',
    'arn:',
    '127.0.0.1',
  ]) {
    t.notOk(now.text.includes(secret), `never: ${secret}`)
  }

  const [written] = [...now.families.keys()].filter(
    (name) => name.startsWith('writ_') && !page.includes(`| \`${name}\` | ${now.families.get(name)}`),
  )
  t.equal(written, undefined, 'each is in the table of docs/alarms.md, with its type')
  for (const [, name = ''] of page.matchAll(/^\| `(writ_\w+)` \|/gm)) t.ok(now.families.has(name), name)
  const rules = parse(/```yaml\n(groups:[\s\S]*?)```/.exec(page)?.[1] ?? '') as {
    groups: { rules: { alert: string; expr: string }[] }[]
  }
  const exprs = rules.groups.flatMap(({ rules: all }) => all.map(({ expr }) => expr))
  t.ok(exprs.length > 5)
  for (const [name] of exprs.join('\n').matchAll(/writ_[a-z_]+/g)) {
    t.ok(now.families.has(name.replace(/_bucket$/, '')), `${name} exists`)
  }

  const stream = await fetch(`${broker.url}/v1/events/stream?kind=alarm.*`, {
    headers: { authorization: `Bearer ${carol}` },
  })
  t.equal(sumOf(await scrape(), 'writ_streams_open'), 1)
  await stream.body?.cancel()
  const open = async () => sumOf(await scrape(), 'writ_streams_open')
  while ((await open()) !== 0) await new Promise(setImmediate)
})

t.test('what has no sample yet is written as the format has it', async (t) => {
  const metrics = createMetrics()
  // Each scrape empties what was sampled of the event loop, and the second comes before another sample.
  const [, second] = await Promise.all([metrics.scrape(), metrics.scrape()])
  const mean = parseText(second.text).samples.find(({ name }) => name === 'nodejs_eventloop_lag_mean_seconds')
  t.ok(Number.isNaN(mean?.value))
})

t.test('every alarm is on its page', async (t) => {
  for (const alarm of [...ALARMS, 'log-untrusted'])
    t.match(page, new RegExp(`^\\| \`${alarm}\` \\|`, 'm'), alarm)
})

t.test('the parser of this test refuses what a scraper would', async (t) => {
  for (const text of ['x 1', 'x{a="b} 1\n', '# TYPE x gauge\nx 1\nx 1\n', 'x one\n', 'y 1\n']) {
    t.throws(() => parseText(text), text)
  }
})
