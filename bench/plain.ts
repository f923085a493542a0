import type { AppendBatch } from '../server/audit/recorder.js'
import { createPool, type Database, type Log } from '../server/db/pool.js'

export const silent: Log = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** Connections, as in the broker's own pool. */
export const POOL = 20

export function openPool(connectionString: string): Database {
  return createPool({ connectionString, applicationName: 'writ bench', log: silent, max: POOL })
}

/** What the floors write to: no index but its key, no checks. */
export async function createPlainTable(database: Database): Promise<void> {
  await database.query('CREATE TABLE plain_row (id bigserial PRIMARY KEY, body text NOT NULL)')
}

/** One row, one commit. */
export async function plainInsert(database: Database, item: object): Promise<void> {
  await database.query('INSERT INTO plain_row (body) VALUES ($1)', [JSON.stringify(item)], {
    name: 'plain_insert',
  })
}

/** A batch in one statement: what the recorder would cost without hashes, chain and checks. */
export function plainAppend(database: Database): AppendBatch {
  return async (items) => {
    const rows = await database.query<{ id: string }>(
      'INSERT INTO plain_row (body) SELECT value FROM jsonb_array_elements_text($1::jsonb) RETURNING id',
      [JSON.stringify(items)],
      { name: 'plain_append' },
    )
    const at = new Date().toISOString()
    return rows.map((row) => ({ status: 'ok', index: Number(row.id), at }))
  }
}
