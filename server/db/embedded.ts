import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { StartError } from '../errors.js'
import { type Binaries, findBinaries } from './embedded-binaries.js'
import { checkVersion, createCluster } from './embedded-cluster.js'
import { type Ownership, takeOwnership } from './embedded-owner.js'
import { choosePlace, type Place } from './embedded-place.js'
import { createSecrets, markInitialised, readSecrets, type Secrets } from './embedded-secrets.js'
import { ensureRunning, freePort, type RunningServer, type ServerPlan, shutDown } from './embedded-server.js'
import type { Log } from './pool.js'
import { provision, serverVersion, withDatabase, withLogin } from './provision.js'

const DATABASE = 'writ'

export interface EmbeddedOptions {
  /** Holds everything: the database, its passwords, its log. Made when absent. */
  readonly dataDir: string
  readonly log: Log
  /** Server settings beyond ours; tests turn fsync off here. */
  readonly extraSettings?: Readonly<Record<string, string>>
  /** Absent: a free port, chosen anew at each start. */
  readonly port?: number
  /** Where a database goes when its OS user cannot enter `dataDir` (only as root). */
  readonly systemFolder?: string
}

export interface EmbeddedPostgres {
  /** Database `postgres`, role `postgres`. */
  readonly superuserUrl: string
  /** Database `writ` as `writ_migrator`, which may `SET ROLE writ_owner`. */
  readonly ownerUrl: string
  /** Database `writ` as `writ_broker_login`. */
  readonly brokerUrl: string
  /** As the server says it: `18.4`. */
  readonly version: string
  readonly pid: number
  readonly port: number
  /** Where the database lies. */
  readonly dataFolder: string
  /** Fast shutdown; returns when the server is gone. May be called more than once. */
  stop(): Promise<void>
}

/**
 * Starts PostgreSQL for this one machine, or adopts the one that a killed broker left running, and sees
 * to its roles and its database. Throws StartError: one sentence that says what is in the way.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { log, extraSettings = {} } = options
  const place = await choosePlace(options.dataDir, options.systemFolder ?? '/var/lib/writ', log)
  const binaries = await findBinaries(place.user, place.copies)
  const { secrets, dataFolder } = await openCluster(place, binaries, extraSettings.fsync !== 'off')
  const plan: ServerPlan = {
    dataFolder,
    postgres: binaries.postgres,
    user: place.user,
    logFile: join(dirname(dataFolder), 'postgres.log'),
    settings: extraSettings,
    choosePort: options.port === undefined ? freePort : () => Promise.resolve(options.port ?? 0),
  }
  const { server, superuserUrl, ownership } = await startAndOwn(plan, place.dataDir, secrets, log)
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    stopping ??= ownership.release(() => shutDown(dataFolder))
    return stopping
  }
  try {
    await provision(superuserUrl, { database: DATABASE, passwords: secrets })
    const version = await serverVersion(superuserUrl)
    log.info(
      { version, port: server.port, folder: dataFolder },
      server.adopted ? 'PostgreSQL was still running and is adopted' : 'PostgreSQL started',
    )
    const url = withDatabase(superuserUrl, DATABASE)
    const ownerUrl = withLogin(url, 'writ_migrator', secrets.owner)
    const brokerUrl = withLogin(url, 'writ_broker_login', secrets.broker)
    return {
      superuserUrl,
      ownerUrl,
      brokerUrl,
      version,
      pid: server.pid,
      port: server.port,
      dataFolder,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The data folder of this place, made at the first start, and the passwords that open it. */
async function openCluster(
  place: Place,
  binaries: Binaries,
  sync: boolean,
): Promise<{ secrets: Secrets; dataFolder: string }> {
  const { dataDir, user } = place
  const secrets = (await readSecrets(dataDir)) ?? (await createSecrets(dataDir, place.folder))
  // Not place.dataFolder: another first start may have been quicker with its secrets and its folder.
  const dataFolder = resolve(dataDir, secrets.folder)
  if (!existsSync(dataFolder)) {
    if (secrets.initialised) {
      throw new StartError(
        `The database of ${dataDir} was in ${dataFolder} and is gone: bring it back, or delete ${dataDir}/postgres-secrets.json to begin with an empty one.`,
      )
    }
    await createCluster(dataFolder, { binaries, user, password: secrets.superuser, sync })
  }
  await checkVersion(dataFolder, binaries.major)
  return { secrets: await markInitialised(dataDir, secrets), dataFolder }
}

interface Owned {
  readonly server: RunningServer
  readonly superuserUrl: string
  readonly ownership: Ownership
}

async function startAndOwn(plan: ServerPlan, dataDir: string, secrets: Secrets, log: Log): Promise<Owned> {
  for (let attempt = 1; ; attempt++) {
    const server = await ensureRunning(plan)
    const base = `postgres://127.0.0.1:${server.port}/postgres`
    const superuserUrl = withLogin(base, 'postgres', secrets.superuser)
    try {
      return { server, superuserUrl, ownership: await takeOwnership(superuserUrl, dataDir, log) }
    } catch (error) {
      // The broker before us was just shutting the server down that we found: look again.
      if (error instanceof StartError || attempt >= 10) throw error
      await delay(100)
    }
  }
}
