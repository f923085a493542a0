import { createHash } from 'node:crypto'
import { CompactRange } from '../../server/audit/merkle/compact.js'
import type { Database } from '../../server/db/pool.js'

/** What one entry of the log says, as far as it is held against the ledger. */
export interface EntryFact {
  readonly index: number
  readonly kind: string
  /** Milliseconds since 1970. */
  readonly at: number
  readonly issuance?: string
  readonly grant?: string
  readonly tag?: string
  readonly key?: string
  readonly expiresAt?: number
}

export interface IntentFact {
  readonly issuance: string
  readonly entry: number
  readonly grant?: string
  readonly use?: number
}

export interface OutcomeFact {
  readonly issuance: string
  readonly entry: number
  readonly state: 'issued' | 'failed' | 'abandoned'
  readonly key?: string
}

export interface GrantFact {
  readonly id: string
  readonly uses: number
  readonly maxUses: number
  readonly revoked: boolean
}

/** The record, read whole. */
export interface RecordFacts {
  readonly entries: readonly EntryFact[]
  readonly intents: readonly IntentFact[]
  readonly outcomes: readonly OutcomeFact[]
  readonly grants: readonly GrantFact[]
  /** What is wrong with indexes, hashes, chain and head by themselves. */
  readonly broken: readonly string[]
  /** Of the tree over the entries as the database has them. */
  readonly root: Buffer
}

const PAGE = 4_000

/** Reads the database as its superuser, and computes leaves, chain and tree again from the bodies. */
export async function readRecord(database: Database): Promise<RecordFacts> {
  const broken: string[] = []
  const entries: EntryFact[] = []
  const tree = new CompactRange()
  const chain = await Chain.open(database, broken)
  const personal = await hasPersonal(database)
  for (;;) {
    const rows = await database.query<Row>(
      `SELECT idx, body, leaf_hash, batch_no, ${personal ? "convert_from(personal, 'UTF8')" : 'NULL'} AS personal
       FROM writ.entry WHERE idx >= $1 ORDER BY idx LIMIT $2`,
      [entries.length, PAGE],
    )
    for (const row of rows) {
      const index = Number(row.idx)
      if (index !== entries.length) {
        broken.push(`after entry ${entries.length - 1} comes entry ${index}`)
        return { entries, ...(await readTables(database)), broken, root: tree.root() }
      }
      const leaf = sha256(Buffer.from([0]), row.body)
      if (!leaf.equals(row.leaf_hash)) broken.push(`entry ${index} is not what its leaf hash says`)
      tree.append(leaf)
      chain.add(index, Number(row.batch_no), leaf)
      entries.push(factOf(index, row, broken))
    }
    if (rows.length < PAGE) break
  }
  await chain.end(database, entries.length)
  return { entries, ...(await readTables(database)), broken, root: tree.root() }
}

interface Row {
  readonly idx: string
  readonly body: Buffer
  readonly leaf_hash: Buffer
  readonly batch_no: string
  readonly personal: string | null
}

function factOf(index: number, { body, personal }: Row, broken: string[]): EntryFact {
  const said = JSON.parse(body.toString('utf8')) as Record<string, unknown>
  // From body version 2 on, what a caller wrote lies beside the body.
  const beside = personal === null ? {} : (JSON.parse(personal) as Record<string, unknown>)
  if (said.index !== index) broken.push(`entry ${index} says that it is entry ${String(said.index)}`)
  const text = (name: string): string | undefined => {
    const value = said[name] ?? beside[name]
    return typeof value === 'string' ? value : undefined
  }
  const [issuance, grant, tag, key, expires] = [
    text('issuance_id'),
    text('grant_id'),
    text('reason'),
    text('access_key_id'),
    text('expires_at'),
  ]
  return {
    index,
    kind: text('kind') ?? '',
    at: Date.parse(text('at') ?? ''),
    ...(issuance === undefined ? {} : { issuance }),
    ...(grant === undefined ? {} : { grant }),
    ...(tag === undefined ? {} : { tag }),
    ...(key === undefined ? {} : { key }),
    ...(expires === undefined ? {} : { expiresAt: Date.parse(expires) }),
  }
}

type Batches = ReadonlyMap<
  number,
  { readonly first: number; readonly entries: number; readonly chain: Buffer }
>

/** docs/log-format.md, the batch chain. */
class Chain {
  #value = sha256(Buffer.from([2]))
  #batch = 0
  #first = 0
  #leaves: Buffer[] = []
  readonly #said: Batches
  readonly #broken: string[]

  private constructor(said: Batches, broken: string[]) {
    this.#said = said
    this.#broken = broken
  }

  static async open(database: Database, broken: string[]): Promise<Chain> {
    const rows = await database.query<{
      batch_no: string
      first_idx: string
      entries: number
      chain: Buffer
    }>('SELECT batch_no, first_idx, entries, chain FROM writ.log_batch')
    return new Chain(
      new Map(
        rows.map((row) => [
          Number(row.batch_no),
          { first: Number(row.first_idx), entries: row.entries, chain: row.chain },
        ]),
      ),
      broken,
    )
  }

  add(index: number, batch: number, leaf: Buffer): void {
    if (batch !== this.#batch) this.#seal(index)
    if (batch !== this.#batch) {
      if (batch !== this.#batch + 1) this.#broken.push(`batch ${batch} follows batch ${this.#batch}`)
      this.#batch = batch
      this.#first = index
    }
    this.#leaves.push(leaf)
  }

  #seal(size: number): void {
    if (this.#batch === 0) return
    const counts = Buffer.alloc(12)
    counts.writeBigUInt64BE(BigInt(size))
    counts.writeUInt32BE(this.#leaves.length, 8)
    this.#value = sha256(Buffer.from([2]), this.#value, counts, ...this.#leaves)
    const said = this.#said.get(this.#batch)
    if (
      said?.first !== this.#first ||
      said.entries !== this.#leaves.length ||
      !said.chain.equals(this.#value)
    )
      this.#broken.push(`batch ${this.#batch} is not what its entries hash to`)
    this.#leaves = []
  }

  async end(database: Database, size: number): Promise<void> {
    this.#seal(size)
    if (this.#said.size !== this.#batch)
      this.#broken.push(`there are ${this.#said.size} batches, and entries of ${this.#batch}`)
    const [head] = await database.query<{ size: string; batch_no: string; chain: Buffer }>(
      'SELECT size, batch_no, chain FROM writ.log_head',
    )
    if (
      Number(head?.size) !== size ||
      Number(head?.batch_no) !== this.#batch ||
      head?.chain.equals(this.#value) !== true
    )
      this.#broken.push(
        `the head says ${head?.size} entries in ${head?.batch_no} batches, the entries otherwise`,
      )
  }
}

async function readTables(database: Database): Promise<Pick<RecordFacts, 'intents' | 'outcomes' | 'grants'>> {
  const intents = await database.query<{
    id: string
    entry: string
    grant: string | null
    use: number | null
  }>('SELECT issuance_id AS id, entry_idx AS entry, grant_id AS grant, grant_use AS use FROM writ.intent')
  const outcomes = await database.query<{
    id: string
    entry: string
    state: OutcomeFact['state']
    key: string | null
  }>('SELECT issuance_id AS id, entry_idx AS entry, state, access_key_id AS key FROM writ.outcome')
  const grants = await database.query<GrantFact>(
    'SELECT id, uses, max_uses AS "maxUses", revoked_at IS NOT NULL AS revoked FROM writ.grants',
  )
  return {
    intents: intents.map(({ id, entry, grant, use }) => ({
      issuance: id,
      entry: Number(entry),
      ...(grant === null ? {} : { grant }),
      ...(use === null ? {} : { use }),
    })),
    outcomes: outcomes.map(({ id, entry, state, key }) => ({
      issuance: id,
      entry: Number(entry),
      state,
      ...(key === null ? {} : { key }),
    })),
    grants,
  }
}

async function hasPersonal(database: Database): Promise<boolean> {
  const rows = await database.query(
    "SELECT FROM pg_attribute WHERE attrelid = 'writ.entry'::regclass AND attname = 'personal' AND NOT attisdropped",
  )
  return rows.length > 0
}

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
