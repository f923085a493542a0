import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts'
import t from 'tap'
import { startLocalAws } from '../../local-aws/server.js'
import { BROKER, BROKER_KEYS, READ_ROLE, refusal, role } from './support.js'

const MAIN = fileURLToPath(new URL('../../local-aws/main.js', import.meta.url))

function start(config: object): ChildProcess {
  const child = spawn(process.execPath, [MAIN], { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin?.end(JSON.stringify(config))
  return child
}

t.test('a process of its own: prints its URL, serves, ends on SIGTERM', async (t) => {
  const child = start({ broker: BROKER, roles: [role(READ_ROLE)], buckets: [] })
  t.teardown(() => child.kill('SIGKILL'))
  if (child.stdout === null) throw new Error('no stdout')
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const { url } = JSON.parse(line) as { url: string }
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  const client = new STSClient({ endpoint: url, region: 'eu-west-1', credentials: BROKER_KEYS })
  t.teardown(() => client.destroy())
  const command = new AssumeRoleCommand({ RoleArn: READ_ROLE, RoleSessionName: 'writ-1' })
  t.match(await client.send(command), { Credentials: { AccessKeyId: /^ASIA/ } })
  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')
  t.equal(code, 0)
})

t.test('a configuration with a misspelling does not start', async (t) => {
  const child = start({ broker: BROKER, roles: [], buckets: [], latency: 5 })
  const [code] = await once(child, 'exit')
  t.not(code, 0)
})

t.test('it listens on loopback only', async (t) => {
  const options = { broker: BROKER, roles: [], buckets: [] }
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'localhost.example'])
    await t.rejects(startLocalAws({ ...options, host }), /loopback only/, host)
})

t.test('answers take the latency they are told to', async (t) => {
  const aws = await startLocalAws({ broker: BROKER, roles: [role(READ_ROLE)], buckets: [], latencyMs: 60 })
  t.teardown(() => aws.close())
  const client = new STSClient({ endpoint: aws.url, region: 'eu-west-1', credentials: BROKER_KEYS })
  t.teardown(() => client.destroy())
  const started = performance.now()
  const command = new AssumeRoleCommand({ RoleArn: READ_ROLE, RoleSessionName: 'writ-1' })
  t.equal(await refusal(client.send(command)), 'not refused')
  t.ok(performance.now() - started >= 59)
})
