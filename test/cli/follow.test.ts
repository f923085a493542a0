import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { followEvents, parseEvents } from '../../cli/follow.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'

t.test('events are read whatever the pieces they come in', async (t) => {
  const wire =
    'retry: 2000\nid: 1.aa\n\n:\n\nid: 2.bb\nevent: x\ndata: {"ü":1}\n\nid: 3.cc\n\nid: 4.dd\nevent: x\ndata: {'
  const bytes = Buffer.from(wire)
  for (let size = 1; size <= bytes.length; size++) {
    const pieces = async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
    }
    const events = []
    for await (const event of parseEvents(pieces())) events.push(event)
    const [first, ...others] = events
    t.strictSame(first, { id: '1.aa' })
    t.strictSame(
      others.filter(({ data }) => data !== undefined),
      [{ id: '2.bb', data: '{"ü":1}' }],
      'what is cut off is no event',
    )
    t.equal(events.at(-1)?.id, '3.cc')
  }
})

const MODULE = new URL('../../cli/follow.js', import.meta.url).href
const SCRIPT = `const { followEvents } = await import(process.argv[1])
const { url, token, options } = JSON.parse(process.argv[2])
await followEvents({ target: { url }, token: { read: async () => token } }, options)`

/** The command in a process of its own: it ends by a signal only. */
function follow(t: Test, url: string, token: string, options: object) {
  const child: ChildProcess = spawn(
    process.execPath,
    ['--input-type=module', '-e', SCRIPT, MODULE, JSON.stringify({ url, token, options })],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH } },
  )
  t.teardown(async () => {
    if (child.exitCode !== null) return
    child.kill()
    await once(child, 'exit')
  })
  if (child.stdout === null || child.stderr === null) throw new Error('no pipes')
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const notes = createInterface(child.stderr)[Symbol.asyncIterator]()
  return {
    line: async () => String((await lines.next()).value),
    note: async () => String((await notes.next()).value),
  }
}

const deny = async (broker: TestBroker, environment: string) =>
  broker.call('POST', '/v1/credentials', await broker.agentToken('orders-coder'), {
    environment,
    scopes: ['orders:read'],
    reason: 'a test',
  })

t.test('prints what comes, and goes on after its connection broke', async (t) => {
  const broker = await startTestBroker(t)
  const carol = await broker.operatorToken('carol')
  await deny(broker, 'nowhere')
  const options = { after: '-1', json: true, kind: 'issuance.*,grant.*', personal: true }
  const { line, note } = follow(t, broker.url, carol, options)
  const first = JSON.parse(await line())
  t.match(first, {
    body: { kind: 'issuance.denied', environment: 'nowhere' },
    personal: { reason: 'a test' },
  })
  broker.app.server.closeAllConnections()
  // Told once the end has arrived: until then this test's own next request may go into a connection that is cut.
  t.match(await note(), /not connected to http.*trying again/)
  await deny(broker, 'elsewhere')
  t.match(JSON.parse(await line()), { body: { environment: 'elsewhere' } })

  const human = follow(t, broker.url, carol, { after: '-1', agent: 'orders-coder', env: 'nowhere' })
  t.match(
    await human.line(),
    /^ +\d+ {2}\S+ \S+Z {2}issuance\.denied +orders-coder +nowhere +environment_unknown$/,
  )
})

t.test('a refusal ends it', async (t) => {
  const broker = await startTestBroker(t)
  const carol = await broker.operatorToken('carol')
  const target = { url: broker.url, loopback: true, https: false }
  const refused = (token: string, after: string) =>
    followEvents({ target, token: { read: async () => token } }, { after })
  const stray = { after: '0', follow: true, sourceIp: '192.0.2.1' }
  await t.rejects(
    followEvents({ target, token: { read: async () => carol } }, stray),
    { name: 'CliError', message: /does not go with --source-ip/, exitCode: 2 },
    'nothing is printed that was not asked for',
  )
  await t.rejects(refused(carol, '99999'), {
    name: 'CliError',
    message: /There is no entry 99999/,
    exitCode: 7,
  })
  await t.rejects(refused('a.b.c', '0'), { name: 'CliError', exitCode: 5 })
  await t.rejects(refused(await broker.operatorToken('alice'), '0'), { name: 'CliError', exitCode: 3 })
})
