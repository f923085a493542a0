import type { Test } from 'tap'
import { archivePartition, planArchive } from '../../../server/audit/archive/archive.js'
import type { DenialItem } from '../../../server/audit/items.js'
import { folder, type Published } from '../../../server/audit/publish/folder.js'
import { logStore } from '../../../server/audit/publish/store.js'
import { createPool, type Database, type Queryable } from '../../../server/db/pool.js'
import type { Ledger } from '../../support/ledger.js'
import { databaseError, silent } from '../../support/postgres.js'
import { key, writer } from '../publish/support.js'
import { ownedLedger } from '../redaction/support.js'

export const keys = [key]

/** Partitions of `per` entries for the first `count`, then one for all that come. Of an empty log. */
export async function smallPartitions(owner: Queryable, per: number, count: number): Promise<void> {
  const there = await owner.query<{ name: string }>('SELECT name FROM writ.entry_partition')
  for (const { name } of there) {
    await owner.query(`ALTER TABLE writ.entry DETACH PARTITION writ.${name}`)
    await owner.query(`DROP TABLE writ.${name}`)
  }
  for (let i = 0; i <= count; i++) {
    const [name, to] = [`entry_s${i}`, i === count ? 3_000_000 : (i + 1) * per]
    await owner.query(`CREATE TABLE writ.${name} (LIKE writ.entry INCLUDING ALL)`)
    await owner.query(
      `ALTER TABLE writ.entry ATTACH PARTITION writ.${name} FOR VALUES FROM (${i * per}) TO (${to})`,
    )
  }
}

let n = 0
/** An entry that stands by itself. */
export const denial = (human = 'Mia'): DenialItem => ({
  op: 'denial',
  kind: 'issuance.denied',
  key: `key ${n++}`,
  fields: { agent: 'orders-coder', environment: 'production', tier: 'production', code: 'grant_required' },
  payload: {
    request: `request-${n}`,
    scopes: ['orders:write'],
    policy_digest: 'sha256:policy',
    issuer: 'https://issuer',
  },
  personal: {
    human,
    human_how: 'verified',
    subject: 'agent:orders-coder',
    source_ip: '192.0.2.1',
    reason: 'a test',
  },
  seen: { human, source_ip: '192.0.2.1', scopes: ['orders:write'], actions: ['s3:PutObject'] },
})

export interface ArchiveStage extends Omit<Ledger, 'owner'> {
  readonly owner: Queryable
  readonly published: Published
  readonly logFolder: string
  readonly out: string
  readonly add: (count: number) => Promise<void>
  /** The checkpointer as a broker that starts now has it. */
  readonly restart: () => ReturnType<typeof writer>
  readonly first: () => Promise<number>
}

/** A ledger with partitions of a hundred entries, its log published to a folder. */
export async function archiveStage(t: Test, entries: number): Promise<ArchiveStage> {
  const ledger = await ownedLedger(t)
  await smallPartitions(ledger.owner, 100, 10)
  const root = t.testdir({ log: {}, out: {} })
  const published = folder(`${root}/log`)
  const add = async (count: number) => {
    for (let left = count; left > 0; left -= 200)
      await ledger.append(...Array.from({ length: Math.min(left, 200) }, () => denial()))
  }
  const restart = () => writer(logStore(ledger.broker), published)
  await add(entries)
  const one = restart()
  await one.start()
  await one.tick()
  return {
    ...ledger,
    published,
    logFolder: `${root}/log`,
    out: `${root}/out`,
    add,
    restart,
    first: async () => {
      const rows = await ledger.broker.query<{ first: string }>('SELECT first FROM writ.log_start')
      return Number(rows[0]?.first)
    },
  }
}

/** A connection of its own that no trigger stops. */
export async function superuser(t: Test, ledger: Pick<Ledger, 'superuserUrl'>): Promise<Database> {
  const admin = createPool({
    connectionString: ledger.superuserUrl,
    applicationName: 'test',
    log: silent,
    max: 1,
  })
  t.teardown(() => admin.end())
  await admin.query('SET session_replication_role = replica')
  return admin
}

export const BY = 'dana'
export const plan = (stage: ArchiveStage, olderThanSeconds = 0) =>
  planArchive(stage.owner, stage.published.read, keys, olderThanSeconds)
export const order = (stage: ArchiveStage, personal = false) => ({ by: BY, directory: stage.out, personal })

/**
 * Leaves a partition as a crash between the two phases of DETACH … CONCURRENTLY does: the first is committed, and
 * the second waits for a transaction that the caller has open when it is cancelled.
 */
export async function crashInDetach(t: Test, stage: ArchiveStage, partition: string): Promise<void> {
  const [backend] = await stage.owner.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  const ended = t.rejects(
    stage.owner.query(`ALTER TABLE writ.entry DETACH PARTITION writ.${partition} CONCURRENTLY`),
    databaseError({ sqlState: '57014' }),
  )
  const admin = await superuser(t, stage)
  const pending = `SELECT FROM pg_inherits WHERE inhdetachpending AND inhrelid = 'writ.${partition}'::regclass`
  while ((await admin.query(pending)).length === 0);
  await admin.query('SELECT pg_cancel_backend($1)', [backend?.pid])
  await ended
}

/** Archives the first of what a plan has. */
export async function archiveNext(stage: ArchiveStage) {
  const planned = await plan(stage)
  const [partition] = planned.partitions
  if (partition === undefined) throw new Error('nothing to archive')
  return archivePartition(stage.owner, planned, order(stage), partition)
}

export const saysArchived = async (stage: ArchiveStage) =>
  (
    await stage.broker.query<{ body: Buffer }>(
      "SELECT body FROM writ.entry WHERE kind = 'log.archived' ORDER BY idx",
    )
  ).map(({ body }) => {
    const { from, to, by } = JSON.parse(body.toString('utf8')) as Record<string, unknown>
    return [from, to, by]
  })
export const tables = async (stage: ArchiveStage, schema: string) =>
  (
    await stage.owner.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relnamespace = '${schema}'::regnamespace AND relkind = 'r' AND relname ~ '^entry' ORDER BY 1`,
    )
  ).map(({ name }) => name)

/** All goes on: the log grows, is published, and a broker that starts has nothing to complain of. */
export async function goesOn(t: Test, stage: ArchiveStage, first: number): Promise<void> {
  t.equal(await stage.first(), first)
  await stage.add(3)
  const one = stage.restart()
  await one.start()
  for (let i = 0; i < 10; i++) await one.tick()
  const [head] = await stage.broker.query<{ size: string }>('SELECT size FROM writ.log_head')
  t.equal(one.size(), Number(head?.size), 'all of it is published')
  t.strictSame(one.troubles, [])
  t.equal(
    await stage.broker.query('SELECT writ.sweep($1::interval)', ['1 minute']).then((rows) => rows.length),
    1,
  )
}
