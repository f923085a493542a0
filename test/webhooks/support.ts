import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Log } from '../../server/db/pool.js'
import type { Webhook } from '../../server/types.js'
import {
  startWebhooks,
  type WebhookDeps,
  type WebhookParts,
  type Webhooks,
} from '../../server/webhooks/start.js'
import { type Ledger, testLedger } from '../support/ledger.js'

export interface Received {
  readonly id: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly message: {
    readonly type: string
    readonly timestamp: string
    readonly data: Record<string, unknown>
  }
}

type Reply = (received: Received, response: ServerResponse) => unknown

export interface Target {
  readonly url: string
  readonly port: number
  readonly received: Received[]
  /** How many there were, whatever was said on them. */
  readonly connections: number
  /** What the next requests are answered with; 204 when left alone. */
  answer: Reply
}

/** A receiver on loopback that keeps what it gets. With `tls` it speaks https. */
export async function target(
  t: Test,
  tls?: { readonly key: string; readonly cert: string },
): Promise<Target> {
  const self = {
    url: '',
    port: 0,
    connections: 0,
    received: [] as Received[],
    answer: ((_, response) => response.writeHead(204).end()) as Reply,
  }
  const listener: Parameters<typeof createServer>[1] = async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const received = {
      id: String(request.headers['webhook-id']),
      headers: request.headers,
      body,
      message: JSON.parse(body) as Received['message'],
    }
    self.received.push(received)
    self.answer(received, response)
  }
  const server: Server & { closeAllConnections?: () => void } =
    tls === undefined ? createServer(listener) : createSecureServer(tls, listener)
  server.on('connection', () => self.connections++)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.teardown(() => {
    server.closeAllConnections?.()
    server.close()
  })
  self.port = (server.address() as AddressInfo).port
  self.url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${self.port}/hook`
  return self
}

/** Answers in turn; the last one for ever. */
export const statuses = (...all: readonly number[]): Reply =>
  (() => {
    let n = 0
    return (_: Received, response: ServerResponse) =>
      response.writeHead(all[Math.min(n++, all.length - 1)] ?? 204).end()
  })()

export const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`

/** A webhook with a secret file of its own. */
export function hook(
  t: Test,
  change: Partial<Webhook> & { readonly url: string },
  ...secrets: string[]
): Webhook {
  const folder = mkdtempSync(join(tmpdir(), 'writ-hook-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const secretFile = join(folder, 'secret')
  writeFileSync(secretFile, (secrets.length === 0 ? [newSecret()] : secrets).join('\n'))
  return { name: 'siem', secretFile, kinds: ['*'], personal: false, local: true, ...change }
}

/**
 * Verifies as a receiver would, written from the specification alone (Standard Webhooks 1.0.0, "Verifying
 * signatures"): any signature of the list may match, times off by more than five minutes do not count.
 */
export function verifies(secret: string, { headers, body }: Received, at = new Date()): boolean {
  const id = String(headers['webhook-id'])
  const timestamp = String(headers['webhook-timestamp'])
  if (!/^\d+$/.test(timestamp) || Math.abs(at.getTime() / 1000 - Number(timestamp)) > 300) return false
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const wanted = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest()
  return String(headers['webhook-signature'])
    .split(' ')
    .map((one) => one.split(','))
    .filter(([version]) => version === 'v1')
    .map(([, text = '']) => Buffer.from(text, 'base64'))
    .some((given) => given.length === wanted.length && timingSafeEqual(given, wanted))
}

export interface Stage {
  readonly ledger: Ledger
  readonly webhooks: Webhooks
  /** Every line logged, as text. */
  readonly logged: string[]
  /** Another replica over the same database. */
  readonly replica: (parts?: Partial<WebhookParts>) => Webhooks
  /** Adds entries of this kind; answers their indexes. */
  readonly entries: (kind: 'policy.loaded' | 'policy.rejected', n?: number) => Promise<readonly number[]>
  /** As the owner of the tables. */
  readonly asOwner: <R extends object>(statement: string, values?: readonly unknown[]) => Promise<R[]>
  readonly row: () => Promise<Row>
  /** Moves a webhook's past further into the past: what a test does in place of waiting. */
  readonly elapse: (seconds: number) => Promise<void>
  readonly kinds: (like: string) => Promise<readonly Record<string, unknown>[]>
}

interface Row {
  readonly next: number
  readonly attempts: number
  readonly last_failure: string | null
  readonly disabled_why: string | null
  /** Seconds until the next attempt. */
  readonly waits: number | null
}

/** Webhooks over a database of the test's own, looked at once, so that they have begun. */
export async function stage(
  t: Test,
  given: readonly Webhook[],
  parts: Partial<WebhookParts> = {},
  change: Partial<WebhookDeps> = {},
): Promise<Stage> {
  const ledger = await testLedger(t)
  const asOwner: Stage['asOwner'] = (statement, values) => ledger.owner.query(statement, values)
  const logged: string[] = []
  const keep = (detail: object, message: string) => void logged.push(`${JSON.stringify(detail)} ${message}`)
  const log: Log = { info: keep, warn: keep, error: keep }
  const replica = (more: Partial<WebhookParts> = {}) => {
    const webhooks = startWebhooks(
      {
        database: ledger.broker,
        policySet: () => ({ webhooks: new Map(given.map((one) => [one.name, one])) }),
        log,
        localMode: true,
        inside: [],
        trusted: () => true,
        ...change,
      },
      { ...parts, ...more },
    )
    t.teardown(() => webhooks.close())
    return webhooks
  }
  const webhooks = replica()
  await webhooks.round()
  return {
    ledger,
    webhooks,
    asOwner,
    logged,
    replica,
    entries: async (kind, n = 1) => {
      const verdicts = await ledger.append(
        ...Array.from({ length: n }, () => ({
          op: 'event' as const,
          kind,
          payload: { policy_digest: 'sha256:policy', problems: 0 },
        })),
      )
      return verdicts.map((verdict) => ('index' in verdict ? verdict.index : -1))
    },
    row: async () => {
      const [row] = await asOwner<{ row: Row }>(
        `SELECT jsonb_build_object('next', next_idx, 'attempts', attempts, 'last_failure', last_failure,
           'disabled_why', disabled_why,
           'waits', CASE WHEN isfinite(next_attempt_at) THEN extract(epoch FROM next_attempt_at - clock_timestamp()) END) AS row
         FROM writ.webhook WHERE name = 'siem'`,
      )
      if (row === undefined) throw new Error('no such webhook')
      return row.row
    },
    elapse: async (seconds) => {
      await asOwner(
        `UPDATE writ.webhook SET next_attempt_at = next_attempt_at - make_interval(secs => $1),
           failing_since = failing_since - make_interval(secs => $1)`,
        [seconds],
      )
    },
    kinds: async (like) => {
      const rows = await ledger.broker.query<{ body: Record<string, unknown> }>(
        `SELECT convert_from(body, 'UTF8')::jsonb AS body FROM writ.entry WHERE kind LIKE $1 ORDER BY idx`,
        [like],
      )
      return rows.map(({ body }) => body)
    },
  }
}

export const indexes = (received: readonly Received[]): readonly unknown[] =>
  received.map(({ message }) => message.data.index)
