import type { Database } from '../../db/pool.js'
import type { CompactState } from '../merkle/compact.js'

/** What the checkpointer needs of the database. */
export interface LogStore {
  /** The fence, or undefined while another replica is the log's writer. */
  readonly claim: (holder: string, seconds: number) => Promise<number | undefined>
  readonly size: () => Promise<number>
  /** Bodies from an index on, without a gap; fewer than asked for at the end. */
  readonly bodies: (from: number, most: number) => Promise<readonly Buffer[]>
  /** The first entry that is still there, and up to where the log itself says that entries were archived. */
  readonly begin: () => Promise<{ readonly first: number; readonly archived: number }>
  readonly latest: (origin: string) => Promise<RecordedCheckpoint | undefined>
  /** The largest checkpoint above one size and up to another; where there is none, the next above. */
  readonly between: (origin: string, above: number, upTo: number) => Promise<{ note: string } | undefined>
  /** False when the fence is lost or the size does not grow. */
  readonly record: (fence: number, origin: string, checkpoint: RecordedCheckpoint) => Promise<boolean>
}

export interface RecordedCheckpoint {
  readonly size: number
  readonly root: Buffer
  readonly peaks: CompactState['peaks']
  readonly note: string
}

export function logStore(database: Database): LogStore {
  return {
    async claim(holder, seconds) {
      const rows = await database.query<{ fence: string | null }>(
        'SELECT writ.claim_log_writer($1, $2) AS fence',
        [holder, seconds],
      )
      const fence = rows[0]?.fence
      return fence === null || fence === undefined ? undefined : Number(fence)
    },
    async size() {
      const rows = await database.query<{ size: string }>('SELECT size FROM writ.log_head')
      return Number(rows[0]?.size ?? 0)
    },
    async bodies(from, most) {
      const rows = await database.query<{ idx: string; body: Buffer }>(
        'SELECT idx, body FROM writ.entry WHERE idx >= $1 ORDER BY idx LIMIT $2',
        [from, most],
      )
      // A gap ends it: the tree is over contiguous indexes, and what comes after a gap proves nothing.
      const gap = rows.findIndex((row, i) => Number(row.idx) !== from + i)
      return (gap === -1 ? rows : rows.slice(0, gap)).map((row) => row.body)
    },
    async begin() {
      const rows = await database.query<{ first: string; archived: string | null }>(
        `SELECT first, (SELECT (convert_from(body, 'UTF8')::jsonb->>'to')::bigint FROM writ.entry
                        WHERE kind = 'log.archived' ORDER BY idx DESC LIMIT 1) AS archived FROM writ.log_start`,
      )
      return { first: Number(rows[0]?.first ?? 0), archived: Number(rows[0]?.archived ?? 0) }
    },
    async latest(origin) {
      const rows = await database.query<{ size: string; root: Buffer; peaks: string[]; note: string }>(
        'SELECT size, root, peaks, note FROM writ.checkpoint WHERE origin = $1 ORDER BY size DESC LIMIT 1',
        [origin],
      )
      const [row] = rows
      return row === undefined ? undefined : { ...row, size: Number(row.size) }
    },
    async between(origin, above, upTo) {
      const rows = await database.query<{ note: string }>(
        `SELECT note FROM writ.checkpoint WHERE origin = $1 AND size = coalesce(
           (SELECT max(size) FROM writ.checkpoint WHERE origin = $1 AND size > $2 AND size <= $3),
           (SELECT min(size) FROM writ.checkpoint WHERE origin = $1 AND size > $2))`,
        [origin, above, upTo],
      )
      return rows[0]
    },
    async record(fence, origin, { size, root, peaks, note }) {
      const rows = await database.query<{ ok: boolean }>(
        'SELECT writ.record_checkpoint($1, $2, $3, $4, $5::jsonb, $6) AS ok',
        [fence, origin, size, root, JSON.stringify(peaks), note],
      )
      return rows[0]?.ok === true
    },
  }
}
