import t from 'tap'
import { openPool } from '../../bench/plain.js'
import { openKept } from '../../bench/seed/kept.js'
import { bodyProblems } from '../support/bodies.js'

t.setTimeout(60_000)

const ENTRIES = 5_000

t.test('a seeded record is one that the broker could have written', async (t) => {
  const kept = await openKept(ENTRIES, false, () => undefined)
  t.teardown(() => kept.close())
  const database = openPool(kept.superuserUrl)
  t.teardown(() => database.end())
  const one = async (sql: string): Promise<unknown> =>
    Object.values((await database.query<Record<string, unknown>>(sql))[0] ?? {})[0]

  t.same(await bodyProblems(kept.superuserUrl), [])
  t.equal(await one('SELECT count(*) FROM writ.entry'), String(ENTRIES))
  t.equal(await one('SELECT count(*) FROM writ.entry WHERE idx NOT BETWEEN 0 AND 4999'), '0')

  // What the rows say beside one another. Foreign keys were not asked while they were loaded.
  const nothing = {
    'an intent on a role that is something else': `SELECT count(*) FROM writ.intent i LEFT JOIN writ.role_catalog r
      USING (role_arn, environment, sensitivity) WHERE r.role_arn IS NULL`,
    'an intent on a grant for something else': `SELECT count(*) FROM writ.intent i LEFT JOIN writ.grants g
      ON (g.id, g.agent, g.environment, g.role_arn, g.scopes, g.policy_digest, g.permissions_sha256, g.max_uses, g.expires_at)
        = (i.grant_id, i.agent, i.environment, i.role_arn, i.scopes, i.policy_digest, i.permissions_sha256, i.grant_max, i.grant_expires)
      WHERE i.grant_id IS NOT NULL AND g.id IS NULL`,
    'an outcome of no intent': `SELECT count(*) FROM writ.outcome o LEFT JOIN writ.intent i
      ON i.issuance_id = o.issuance_id AND i.entry_idx = o.intent_idx WHERE i.issuance_id IS NULL`,
    'an entry without its intent': `SELECT count(*) FROM writ.entry e LEFT JOIN writ.intent i ON i.entry_idx = e.idx
      AND i.agent = e.agent AND i.environment = e.environment AND i.issuance_id = e.issuance_id
      WHERE e.kind = 'issuance.intended' AND i.issuance_id IS NULL`,
    'an entry whose body says something else': `SELECT count(*) FROM (
        SELECT e.*, convert_from(body, 'UTF8')::jsonb AS said FROM writ.entry e) e
      WHERE (said->>'index', said->>'kind', said->>'agent', said->>'environment', said->>'operator', said->>'issuance_id', said->>'grant_id', said->>'code', said->>'tier')
        IS DISTINCT FROM (idx::text, kind, agent, environment, operator, issuance_id, grant_id, code, tier)`,
    'a batch whose time is not that of its entries': `SELECT count(*) FROM writ.entry e JOIN writ.log_batch b USING (batch_no)
      WHERE e.at <> b.at OR e.idx NOT BETWEEN b.first_idx AND b.first_idx + b.entries - 1`,
  }
  for (const [what, sql] of Object.entries(nothing)) t.equal(await one(sql), '0', what)
  // Dropped for the load, and built again on every partition.
  const indexes =
    "SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'entry\\_%' AND indexdef LIKE '%(agent, idx)%'"
  t.equal(await one(indexes), await one("SELECT count(*) FROM pg_tables WHERE tablename ~ '^entry_[0-9]+$'"))
})
