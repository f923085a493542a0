import type { SoftwareKey } from '../../cli/software-key.js'
import type { AppendItem, Verdict } from '../../server/audit/items.js'
import { appendTo } from '../../server/audit/store.js'
import { createPool, type Database, type Queryable } from '../../server/db/pool.js'
import { ROLES, requestArgument } from './items.js'
import { silent, testDatabase } from './postgres.js'
import { enrolKey, signedArgument } from './signing.js'

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
  /** What `decide_grant_request` takes for this decision, signed with a key of the operator's own. */
  readonly sign: (
    asked: Readonly<Record<string, unknown>>,
    operator: string,
    change?: Readonly<Record<string, unknown>>,
  ) => Promise<Record<string, unknown>>
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
  const keys = new Map<string, Promise<SoftwareKey>>()
  const sign: Ledger['sign'] = async (asked, operator, change) => {
    const key = keys.get(operator) ?? enrolKey(owner, broker, operator)
    keys.set(operator, key)
    return signedArgument(broker, asked, operator, await key, change)
  }
  return {
    broker,
    owner,
    superuserUrl,
    append: (...items) => append(items),
    sign,
    grant: async (change = {}) => {
      const asked = requestArgument(change)
      await broker.query('SELECT writ.open_grant_request($1::jsonb)', [JSON.stringify(asked)])
      const decision = await sign(asked, 'bob')
      await broker.query('SELECT writ.decide_grant_request($1::jsonb)', [JSON.stringify(decision)])
      return String(decision.grant_id)
    },
  }
}
