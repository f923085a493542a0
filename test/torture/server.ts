import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startEmbeddedPostgres } from '../../server/db/embedded.js'
import { isAlive } from '../../server/db/embedded-process.js'
import { endWithUs, silent } from '../support/postgres.js'

/** A PostgreSQL that is killed and started again on the same port. */
export interface Victim {
  readonly dataDir: string
  readonly superuserUrl: string
  readonly ownerUrl: string
  readonly brokerUrl: string
  readonly version: string
  /** SIGKILL to the postmaster; returns when it is gone. */
  readonly kill9: () => Promise<void>
  readonly restart: () => Promise<void>
  readonly close: () => Promise<void>
}

export async function startVictim(settings: Readonly<Record<string, string>>): Promise<Victim> {
  const dataDir = await mkdtemp(join(tmpdir(), 'writ-torture-'))
  const forget = endWithUs(dataDir)
  const options = { dataDir, log: silent, extraSettings: { max_connections: '200', ...settings } }
  let running = await startEmbeddedPostgres(options)
  const { superuserUrl, ownerUrl, brokerUrl, version, port } = running
  return {
    dataDir,
    superuserUrl,
    ownerUrl,
    brokerUrl,
    version,
    kill9: async () => {
      process.kill(running.pid, 'SIGKILL')
      while (isAlive(running.pid)) await delay(5)
      await running.stop()
    },
    restart: async () => {
      running = await startEmbeddedPostgres({ ...options, port })
    },
    close: async () => {
      await running.stop()
      await rm(dataDir, { recursive: true, force: true })
      forget()
    },
  }
}
