import { StartError } from '../errors.js'
import type { Queryable } from './pool.js'

interface Finding {
  readonly finding: string
}

/**
 * `may` holds every role the login is, inherits from, or could `SET ROLE` to: a power that is one SET ROLE
 * away is a power. UPDATE on a whole table counts as UPDATE on each column. has_*_privilege counts what PUBLIC and the predefined roles give, too.
 */
const POWERS = `
  WITH may AS (
    SELECT oid, rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
    FROM pg_catalog.pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')
  ),
  ours AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner
    FROM pg_catalog.pg_class c WHERE c.relnamespace IN (to_regnamespace('writ'), to_regnamespace('writ_archive'))
  ),
  owned AS (
    SELECT 'schema writ' AS what, nspowner AS owner FROM pg_catalog.pg_namespace WHERE nspname = 'writ'
    UNION ALL SELECT 'this database', datdba FROM pg_catalog.pg_database WHERE datname = current_database()
    UNION ALL SELECT 'writ.' || relname, relowner FROM ours
    UNION ALL SELECT 'function writ.' || proname, proowner FROM pg_catalog.pg_proc
      WHERE pronamespace = to_regnamespace('writ')
    UNION ALL SELECT 'type writ.' || typname, typowner FROM pg_catalog.pg_type
      WHERE typnamespace = to_regnamespace('writ')
  )
  SELECT 1 AS rank, 'is a superuser' AS finding FROM may WHERE rolsuper
  UNION SELECT 2, 'may create roles' FROM may WHERE rolcreaterole
  UNION SELECT 2, 'may create databases' FROM may WHERE rolcreatedb
  UNION SELECT 2, 'may replicate' FROM may WHERE rolreplication
  UNION SELECT 2, 'bypasses row level security' FROM may WHERE rolbypassrls
  UNION SELECT 2, 'has the role ' || rolname FROM may
    WHERE rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_write_all_data')
  UNION SELECT 3, 'owns or can become the owner of ' || what FROM owned WHERE pg_has_role(session_user, owner, 'MEMBER')
  UNION SELECT 4, 'may change rows of writ.' || relname FROM ours, may
    WHERE relkind IN ('r', 'p', 'v', 'f', 'S')
      AND (has_table_privilege(may.oid, ours.oid, 'DELETE, TRUNCATE, TRIGGER')
        OR has_any_column_privilege(may.oid, ours.oid, 'UPDATE'))
  UNION SELECT 4, 'may create in schema ' || nspname FROM pg_catalog.pg_namespace n, may
    WHERE has_schema_privilege(may.oid, n.oid, 'CREATE')
      AND nspname !~ '^pg_(toast_)?temp_'
  UNION SELECT 4, 'may create schemas' FROM may WHERE has_database_privilege(may.oid, current_database(), 'CREATE')
  UNION SELECT 4, 'may create temporary tables' FROM may
    WHERE has_database_privilege(may.oid, current_database(), 'TEMP')
  ORDER BY rank, finding`

/**
 * Refuses to run on a login that could change or divert the record. Throws StartError that lists every
 * power it should not have. Temporary tables count: they can shadow real ones inside functions.
 */
export async function checkBrokerRole(database: Queryable): Promise<void> {
  const found = await database.query<Finding>(POWERS)
  if (found.length === 0) return
  const [login] = await database.query<{ name: string }>('SELECT session_user AS name')
  const first = found.slice(0, 5).map(({ finding }) => finding)
  const more = found.length > first.length ? ` and ${found.length - first.length} more` : ''
  throw new StartError(
    `The broker's database login ${login?.name} can do what no broker may: it ${first.join(', ')}${more}. Use writ_broker_login, a member of writ_broker and of nothing else.`,
  )
}
