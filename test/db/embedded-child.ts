/**
 * A broker's process as far as its database goes: starts it on the folder given, says so in one line of
 * JSON, and stops it on SIGINT or SIGTERM, having asked it once more.
 */
import { startEmbeddedPostgres } from '../../server/db/embedded.js'
import { createPool } from '../../server/db/pool.js'
import { FAST, silent } from '../support/postgres.js'

const [, , dataDir = '', systemFolder] = process.argv

async function main(): Promise<void> {
  const server = await startEmbeddedPostgres({
    dataDir,
    log: silent,
    extraSettings: FAST,
    ...(systemFolder === undefined ? {} : { systemFolder }),
  })
  const pool = createPool({ connectionString: server.brokerUrl, applicationName: 'child', log: silent })
  const finish = async (): Promise<void> => {
    const [row] = await pool.query<{ alive: string }>("SELECT 'still there' AS alive")
    await pool.end()
    await server.stop()
    console.log(JSON.stringify({ last: row?.alive }))
    clearInterval(running)
  }
  const running = setInterval(() => undefined, 60_000)
  process.on('SIGINT', () => void finish())
  process.on('SIGTERM', () => void finish())
  console.log(JSON.stringify(server))
}

await main().catch((error: Error) => {
  console.log(JSON.stringify({ name: error.name, message: error.message }))
  process.exitCode = 1
})
