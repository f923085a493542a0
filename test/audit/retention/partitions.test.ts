import t from 'tap'
import { makePartitions } from '../../../server/audit/store.js'
import { createPool } from '../../../server/db/pool.js'
import { testLedger } from '../../support/ledger.js'
import { silent } from '../../support/postgres.js'
import { archiveNext, archiveStage, denial, superuser } from './support.js'

t.test(
  'the log grows over the end of a partition, with all writers at it',
  { timeout: 60_000 },
  async (t) => {
    const ledger = await testLedger(t)
    const admin = await superuser(t, ledger)
    // As if a million had been recorded, less 150.
    await admin.query('UPDATE writ.log_head SET size = 999850')
    let running = true
    // Whoever waited for the reader would be refused after the lock_timeout of 3 s: it goes on until they are done.
    const writer = async () => {
      for (let i = 0; i < 20; i++) await ledger.append(...Array.from({ length: 5 }, () => denial()))
    }
    // Readers that hold the log's tables for as long as it takes, and the replicas' upkeep beside it.
    const reader = createPool({
      connectionString: ledger.superuserUrl,
      applicationName: 'test',
      log: silent,
      max: 1,
    })
    t.teardown(() => reader.end())
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await reader.query('SELECT count(*) FROM writ.entry')
    const upkeep = async () => {
      while (running) await makePartitions(ledger.broker)
    }
    const [a, b] = [upkeep(), upkeep()]
    await Promise.all(Array.from({ length: 8 }, writer))
    running = false
    await Promise.all([a, b])
    await reader.query('COMMIT')
    const rows = await ledger.broker.query<{ name: string; n: number; least: string; most: string }>(
      `SELECT tableoid::regclass::text AS name, count(*)::int AS n, min(idx) AS least, max(idx) AS most
     FROM writ.entry GROUP BY 1 ORDER BY 3`,
    )
    t.strictSame(rows, [
      { name: 'writ.entry_0', n: 150, least: '999850', most: '999999' },
      { name: 'writ.entry_1', n: 650, least: '1000000', most: '1000649' },
    ])
    const [until] = await ledger.broker.query<{ until: string }>('SELECT writ.partitioned_until() AS until')
    t.equal(until?.until, '4000000', 'and two are ahead again')
  },
)

t.test('detaching waits for a reader, and nobody waits for the detaching', { timeout: 60_000 }, async (t) => {
  const stage = await archiveStage(t, 150)
  const reader = await superuser(t, stage)
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await reader.query('SELECT count(*) FROM writ.entry')
  let detached = false
  const archiving = archiveNext(stage).then(() => {
    detached = true
  })
  // Until it waits, seen as the database sees it.
  const admin = await superuser(t, stage)
  for (;;) {
    const rows = await admin.query(
      "SELECT FROM pg_stat_activity WHERE query ~ 'DETACH PARTITION' AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()",
    )
    if (rows.length > 0) break
  }
  // Whoever waited for the detaching would be refused after the lock_timeout of 3 s: it goes on until the end.
  for (let i = 0; i < 20; i++) {
    await stage.append(denial())
    await stage.broker.query('SELECT count(*) FROM writ.entry WHERE human = $1', ['Mia'])
  }
  t.notOk(detached)
  const [seen] = await reader.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM writ.entry WHERE idx < 100',
  )
  t.equal(seen?.n, 100, 'the reader still sees what it saw')
  await reader.query('COMMIT')
  await archiving
})
