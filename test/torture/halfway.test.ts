import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { appendTo } from '../../server/audit/store.js'
import { createPool } from '../../server/db/pool.js'
import { intentItem, READ_ROLE, ROLES } from '../support/items.js'
import { databaseError, silent, testDatabase } from '../support/postgres.js'

/** The extended protocol's last two messages: run the statement, commit it (PostgreSQL manual, 54.7). */
const EXECUTE_BYTES = 10
const SYNC_BYTES = 5

/** Between a client and PostgreSQL: holds back the end of what is sent, as a stop in the middle of sending would. */
interface Wire {
  readonly url: string
  /** The next thing sent gets through but for its last `bytes`. Resolves when that much has arrived. */
  readonly holdBack: (bytes: number) => Promise<void>
  readonly release: () => void
}

async function wireTo(t: Test, url: string): Promise<Wire> {
  let hold: { readonly bytes: number; readonly arrived: () => void } | undefined
  let rest: (() => void) | undefined
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(url).port), '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay()
      socket.on('error', () => undefined)
    }
    upstream.pipe(client)
    let sent = Buffer.alloc(0)
    let quiet: NodeJS.Timeout | undefined
    client.on('data', (chunk: Buffer) => {
      if (hold === undefined) {
        upstream.write(chunk)
        return
      }
      const { bytes, arrived } = hold
      sent = Buffer.concat([sent, chunk])
      clearTimeout(quiet)
      // All of it has been sent when nothing follows any more.
      quiet = setTimeout(() => {
        const [whole, end] = [sent, sent.length - bytes]
        sent = Buffer.alloc(0)
        hold = undefined
        rest = () => upstream.write(whole.subarray(end))
        upstream.write(whole.subarray(0, end), arrived)
      }, 30)
    })
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const through = new URL(url)
  through.port = String((server.address() as AddressInfo).port)
  return {
    url: through.href,
    holdBack: (bytes) =>
      new Promise((arrived) => {
        hold = { bytes, arrived }
      }),
    release: () => rest?.(),
  }
}

t.test('an append whose sender stops halfway holds up nobody', async (t) => {
  const { brokerUrl } = await testDatabase(t)
  const wire = await wireTo(t, brokerUrl)
  const open = (connectionString: string, limits: { readonly transactionTimeoutMs?: number } = {}) => {
    const database = createPool({
      connectionString,
      applicationName: 'writ test',
      log: silent,
      max: 1,
      ...limits,
    })
    t.teardown(() => database.end())
    return database
  }
  const [stopping, running] = [open(wire.url), open(brokerUrl)]
  await running.query('SELECT writ.register_roles($1::jsonb)', [JSON.stringify(ROLES)])
  const item = () => intentItem({ environment: 'production', role_arn: READ_ROLE })
  // Connects, and prepares what is prepared once.
  await appendTo(stopping)([item()])

  /** Sends 50 items through the wire but for their last bytes. */
  const sendHalf = async (bytes: number) => {
    const arrived = wire.holdBack(bytes)
    const half = appendTo(stopping)(Array.from({ length: 50 }, item))
    await arrived
    // Time to do with it whatever can be done with a part of it.
    await delay(50)
    return { half }
  }

  for (const [where, bytes] of [
    ['in the middle of the items', 400],
    ['before the message that runs it', EXECUTE_BYTES + SYNC_BYTES],
  ] as const) {
    await t.test(where, async (t) => {
      const { half } = await sendHalf(bytes)
      for (let n = 0; n < 3; n++) t.match(await appendTo(running)([item()]), [{ status: 'ok' }])
      wire.release()
      t.match(await half, { length: 50 }, 'and it goes on where it stopped')
    })
  }

  await t.test('between running and committing', async (t) => {
    // The one place where the head stays locked: the others fail soon instead of hanging (docs/durability.md).
    const { half } = await sendHalf(SYNC_BYTES)
    await t.rejects(appendTo(running)([item()]), databaseError({ sqlState: '55P03', unavailable: true }))
    wire.release()
    t.match(await half, { length: 50 })
    t.match(await appendTo(running)([item()]), [{ status: 'ok' }], 'and all goes on')
  })

  await t.test('between running and committing, with a limit on transactions', async (t) => {
    const [version] = await running.query<{ major: number }>(
      "SELECT current_setting('server_version_num')::integer / 10000 AS major",
    )
    if ((version?.major ?? 0) < 17) {
      t.pass('PostgreSQL before 17 has no such limit')
      return
    }
    const limited = open(wire.url, { transactionTimeoutMs: 1_000 })
    await appendTo(limited)([item()])
    const arrived = wire.holdBack(SYNC_BYTES)
    const half = appendTo(limited)([item(), item()])
    const lost = t.rejects(half, databaseError({ unavailable: true }), 'its connection is ended')
    await arrived
    const locked = () =>
      running.query(
        "SELECT FROM pg_catalog.pg_locks WHERE relation = 'writ.log_head'::regclass AND mode = 'RowExclusiveLock'",
      )
    while ((await locked()).length === 0) await delay(5)
    t.match(await appendTo(running)([item()]), [{ status: 'ok' }], 'and nobody else fails')
    await lost
  })
})
