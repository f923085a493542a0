import { bodyProblem } from '../../server/audit/bodies/registry.js'
import { commitment } from '../../server/audit/personal.js'
import { createPool } from '../../server/db/pool.js'
import { silent } from './postgres.js'

/** What is wrong with the entries of a log: each is held against the schema of its kind and its own commitment. */
export async function bodyProblems(url: string): Promise<readonly string[]> {
  const database = createPool({ connectionString: url, applicationName: 'writ test', log: silent, max: 1 })
  try {
    const rows = await database.query<{ body: Buffer; personal: Buffer | null; salt: Buffer | null }>(
      'SELECT body, personal, salt FROM writ.entry ORDER BY idx',
    )
    return rows.flatMap(({ body, personal, salt }) => {
      const said = JSON.parse(body.toString('utf8')) as Record<string, unknown>
      const beside = personal === null ? undefined : JSON.parse(personal.toString('utf8'))
      const problem = bodyProblem(said, beside)
      if (problem !== undefined) return [problem]
      if (personal === null || salt === null) return []
      return commitment(salt, personal).toString('hex') === said.personal
        ? []
        : [`${said.kind}: the commitment is not that of the personal part`]
    })
  } finally {
    await database.end()
  }
}
