import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseCsv } from '../audit/formats/parse-csv.js'
import { commandOnBroker } from './support.js'

t.test('the record searched and taken along from the command line', { timeout: 120_000 }, async (t) => {
  const { broker, operator, agent, folder } = await commandOnBroker(t)
  const token = await broker.agentToken('orders-coder')
  const wish = { environment: 'development', reason: '=1+1' }
  const { body: given } = await broker.call('POST', '/v1/credentials', token, {
    ...wish,
    scopes: ['orders:read'],
  })
  const { body: other } = await broker.call('POST', '/v1/credentials', token, {
    ...wish,
    environment: 'staging',
    scopes: ['orders:read'],
  })
  await broker.call('POST', '/v1/credentials', token, { ...wish, scopes: ['orders:purge'] })

  for (const [args, ids] of [
    [[], [other.issuance, given.issuance]],
    [['--env', 'development'], [given.issuance]],
    [['--tier', 'staging'], [other.issuance]],
    [
      ['--scope', 'orders:read', '--action', 's3:GetObject'],
      [other.issuance, given.issuance],
    ],
    [['--role', given.role], [given.issuance]],
    [['--access-key', given.credentials.access_key_id], [given.issuance]],
    [
      ['--network', '127.0.0.0/8', '--state', 'issued', '--agent', 'orders-coder'],
      [other.issuance, given.issuance],
    ],
    [['--human', 'nobody'], []],
    [['--code', 'aws_refused'], []],
    [['--since', '2999-01-01T00:00:00Z'], []],
    [['--until', '2000-01-01T00:00:00Z'], []],
    [['--limit', '1'], [other.issuance]],
    [
      ['--limit', '501'],
      [other.issuance, given.issuance],
    ],
  ] as const) {
    const { code, json, stderr } = await operator('carol', ['issuances', ...args, '--json'])
    t.equal(code, 0, stderr)
    t.strictSame(
      json.items.map(({ issuance }: { issuance: string }) => issuance),
      ids,
      args.join(' '),
    )
  }
  const counted = await operator('carol', ['events', '--kind', 'issuance.issued', '--limit', '1', '--total'])
  t.match(counted, { code: 0, stderr: /Total: 2/ })
  t.match((await operator('carol', ['issuances', '--total', '--json'])).json, {
    total: { count: 2, exact: true },
  })
  t.match(await operator('carol', ['events', '--network', 'here', '--json']), {
    code: 7,
    json: { code: 'request_invalid' },
  })

  const csv = join(folder, 'issuances.csv')
  t.match(
    await operator('carol', [
      'issuances',
      '--env',
      'development',
      '--format',
      'csv',
      '--personal',
      '--out',
      csv,
    ]),
    { code: 0 },
  )
  const [header = [], row = [], ...more] = parseCsv(readFileSync(csv, 'utf8'))
  t.strictSame(more, [])
  t.equal(row[header.indexOf('reason')], "'=1+1")
  const again = await operator('carol', ['issuances', '--format', 'csv', '--out', csv])
  t.not(again.code, 0, 'never over a file that is there')

  const ocsf = join(folder, 'events.ndjson')
  const taken = await operator('carol', [
    'events',
    '--agent',
    'orders-coder',
    '--format',
    'ocsf',
    '--out',
    ocsf,
    '--json',
  ])
  t.match(taken, { code: 0, json: { file: ocsf, format: 'ocsf', bytes: Number } })
  const events = readFileSync(ocsf, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.equal(events.length, 5)
  t.match(events[0], { class_uid: 3003, unmapped: { personal_data: 'withheld' } })

  t.equal((await operator('carol', ['issuances', '--format', 'ocsf', '--out', join(folder, 'x')])).code, 2)
  t.equal((await operator('carol', ['events', '--format', 'csv'])).code, 2, 'a format needs a file')
  t.equal((await operator('carol', ['events', '--personal'])).code, 2)
  t.equal((await operator('bob', ['events', '--format', 'csv', '--out', join(folder, 'y')])).code, 3)
  t.equal((await agent('orders-coder', ['events'])).code, 5)
})
