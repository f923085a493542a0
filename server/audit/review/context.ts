import type { Queryable } from '../../db/pool.js'

/** What the log says elsewhere of the issuance or grant that an entry is about. */
export interface Context {
  readonly scopes: readonly string[]
  /** ARN. */
  readonly role: string
}

interface About {
  readonly body: Readonly<Record<string, unknown>>
}

/** Scopes and role of the issuances and grants that some entries are about, by the id the entry names. */
export async function contextsOf(
  database: Queryable,
  entries: readonly About[],
): Promise<(entry: About) => Context | undefined> {
  const ids = (field: string) => [
    ...new Set(entries.map(({ body }) => body[field]).filter((id) => typeof id === 'string')),
  ]
  const rows = await database.query<Context & { id: string }>(
    `SELECT issuance_id AS id, scopes, role_arn AS role FROM writ.intent WHERE issuance_id = ANY ($1::text[])
     UNION ALL SELECT id, scopes, role_arn FROM writ.grants WHERE id = ANY ($2::text[])`,
    [ids('issuance_id'), ids('grant_id')],
  )
  const known = new Map(rows.map(({ id, scopes, role }) => [id, { scopes, role }]))
  return ({ body }) => known.get(String(body.issuance_id ?? body.grant_id))
}
