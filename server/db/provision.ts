import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import pg from 'pg'

export interface Passwords {
  /** Of `writ_migrator`. */
  readonly owner: string
  /** Of `writ_broker_login`. */
  readonly broker: string
}

/**
 * Four roles: who owns everything (nobody logs in as it), who may become that owner to migrate, what the
 * broker may do, and the login that may do just that. NOINHERIT makes the migrator ask for its power.
 */
const ROLES: readonly (readonly [name: string, attributes: string])[] = [
  ['writ_owner', 'NOLOGIN INHERIT'],
  ['writ_migrator', 'LOGIN NOINHERIT'],
  ['writ_broker', 'NOLOGIN INHERIT'],
  ['writ_broker_login', 'LOGIN INHERIT'],
]
const PLAIN = 'NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS'

/** Somebody else made it in the meantime: duplicate_object, duplicate_database, unique_violation, tuple concurrently updated. */
const RACES = new Set(['42710', '42P04', '23505', 'XX000'])

/**
 * Makes or corrects the roles, the database and the database's own privileges. Idempotent, and safe when
 * several run at once. Needs a superuser; `superuserUrl` may name any existing database.
 */
export async function provision(
  superuserUrl: string,
  { database, passwords }: { database: string; passwords: Passwords },
): Promise<void> {
  await connected(superuserUrl, async (client) => {
    for (const [name, attributes] of ROLES) {
      if (!(await exists(client, 'pg_roles', 'rolname', name))) {
        await racing(client, `CREATE ROLE ${name} NOLOGIN`)
      }
      await racing(client, `ALTER ROLE ${name} ${attributes} ${PLAIN}`)
    }
    await racing(client, `ALTER ROLE writ_migrator PASSWORD '${scramVerifier(passwords.owner)}'`)
    await racing(client, `ALTER ROLE writ_broker_login PASSWORD '${scramVerifier(passwords.broker)}'`)
    await racing(client, 'GRANT writ_owner TO writ_migrator')
    await racing(client, 'GRANT writ_broker TO writ_broker_login')
    if (!(await exists(client, 'pg_database', 'datname', database))) {
      await racing(client, `CREATE DATABASE ${pg.escapeIdentifier(database)} OWNER writ_owner`)
    }
  })
  await applyDatabasePrivileges(superuserUrl, database)
}

/** What belongs to the database itself and so is not copied from a template: its owner and its privileges. */
export async function applyDatabasePrivileges(superuserUrl: string, database: string): Promise<void> {
  const name = pg.escapeIdentifier(database)
  await connected(withDatabase(superuserUrl, database), async (client) => {
    await racing(client, `ALTER DATABASE ${name} OWNER TO writ_owner`)
    // Temporary tables could shadow ours inside functions that run with the owner's rights.
    await racing(client, `REVOKE TEMP, CREATE ON DATABASE ${name} FROM PUBLIC`)
    await racing(client, 'REVOKE CREATE ON SCHEMA public FROM PUBLIC')
  })
}

/** As the server says it: `18.4`. */
export async function serverVersion(url: string): Promise<string> {
  return await connected(url, async (client) => {
    const { rows } = await client.query<{ version: string }>(
      "SELECT current_setting('server_version') AS version",
    )
    return rows[0]?.version ?? ''
  })
}

/** The same server and login, another database. */
export function withDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${encodeURIComponent(database)}`
  return changed.href
}

/** The same server and database, another login. */
export function withLogin(url: string, user: string, password: string): string {
  const changed = new URL(url)
  changed.username = encodeURIComponent(user)
  changed.password = encodeURIComponent(password)
  return changed.href
}

/**
 * What PostgreSQL stores instead of a password (RFC 5803). Computed here, so that the password itself is in
 * no statement that a server could log.
 */
export function scramVerifier(password: string): string {
  const salt = randomBytes(16)
  const iterations = 4096
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest()
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${hmac('Server Key').toString('base64')}`
}

async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function exists(client: pg.Client, table: string, column: string, value: string): Promise<boolean> {
  const { rowCount } = await client.query(`SELECT FROM pg_catalog.${table} WHERE ${column} = $1`, [value])
  return rowCount === 1
}

/** Roles and databases are shared by the whole server: another start may be doing the very same. */
async function racing(client: pg.Client, statement: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query(statement)
      return
    } catch (error) {
      const code = (error as { code?: string }).code ?? ''
      if (!RACES.has(code) || attempt >= 10) throw error
      if (statement.startsWith('CREATE')) return
    }
  }
}
