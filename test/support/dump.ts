import { createPool } from '../../server/db/pool.js'
import { silent } from './postgres.js'

/** Every row of every table of ours, as text. */
export async function dump(url: string): Promise<string> {
  const database = createPool({ connectionString: url, applicationName: 'writ test', log: silent, max: 1 })
  try {
    const tables = await database.query<{ name: string }>(
      `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname IN ('writ', 'writ_archive', 'public') AND c.relkind IN ('r', 'p')`,
    )
    if (tables.length < 9) throw new Error('there are fewer tables than there should be')
    let text = ''
    for (const { name } of tables) {
      const rows = await database.query<{ row: string }>(`SELECT t::text AS row FROM ${name} t`)
      text += rows.map((one) => one.row).join('\n')
    }
    // Bodies of the log are bytes: readable as hex only, until they are turned back.
    return text.replace(/\\x([0-9a-f]+)/g, (_, hex) => Buffer.from(hex, 'hex').toString('latin1'))
  } finally {
    await database.end()
  }
}
