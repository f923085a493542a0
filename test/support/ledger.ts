import type { AppendItem, Verdict } from '../../server/audit/items.js'
import { appendTo } from '../../server/audit/store.js'
import { createPool, type Database, type Queryable } from '../../server/db/pool.js'
import { decisionArgument, ROLES, requestArgument } from './items.js'
import { silent, testDatabase } from './postgres.js'

interface Tap {
  teardown(work: () => unknown): unknown
}

export interface Ledger {
  /** As the broker logs in. */
  readonly broker: Database
  /** As the owner of the tables, who is held by constraints and triggers alone. */
  readonly owner: Queryable
  readonly superuserUrl: string
  readonly append: (...items: AppendItem[]) => Promise<readonly Verdict[]>
  /** A grant, approved by bob. */
  readonly grant: (change?: Record<string, unknown>) => Promise<string>
}

/** A migrated database of the test's own with the two example roles in the catalog. */
export async function testLedger(t: Tap): Promise<Ledger> {
  const { brokerUrl, ownerUrl, superuserUrl } = await testDatabase(t)
  const open = (connectionString: string, max: number) => {
    const database = createPool({ connectionString, applicationName: 'writ test', log: silent, max })
    t.teardown(() => database.end())
    return database
  }
  const broker = open(brokerUrl, 10)
  const migrator = open(ownerUrl, 1)
  // Each time anew: the pool drops a connection that idles, and its role with it.
  const owner: Ledger['owner'] = {
    query: (text, values) =>
      migrator.transaction(async (client) => {
        await client.query('SET LOCAL ROLE writ_owner')
        return client.query(text, values)
      }),
  }
  await broker.query('SELECT writ.register_roles($1::jsonb)', [JSON.stringify(ROLES)])
  const append = appendTo(broker)
  return {
    broker,
    owner,
    superuserUrl,
    append: (...items) => append(items),
    grant: async (change = {}) => {
      const asked = requestArgument(change)
      await broker.query('SELECT writ.open_grant_request($1::jsonb)', [JSON.stringify(asked)])
      const decision = decisionArgument(String(asked.id), 'bob', {
        policy_digest: asked.policy_digest,
        permissions_sha256: asked.permissions_sha256,
      })
      await broker.query('SELECT writ.decide_grant_request($1::jsonb)', [JSON.stringify(decision)])
      return String(decision.grant_id)
    },
  }
}
