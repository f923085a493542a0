import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { buildBroker, LOCAL_NOTICE } from './build.js'
import type { Config } from './config.js'
import { StartError } from './errors.js'
import { createLog } from './log.js'
import type { PolicySet } from './types.js'

export interface Serving {
  /** Where the broker listens. */
  readonly url: string
  /** Where browsers reach the console. */
  readonly consoleUrl: string
  /** Operators, by their documents. */
  readonly policySet: () => PolicySet
  /** Where the local AWS listens; local mode only. */
  readonly localAwsUrl?: string
  readonly close: () => Promise<void>
}

/** Starts the broker and listens. Throws `StartError` with one sentence when it cannot. */
export async function serve(config: Config, log: Logger = createLog(config.logLevel)): Promise<Serving> {
  const broker = await buildBroker(config, log)
  try {
    await broker.app.listen({ host: config.host, port: config.port })
  } catch (error) {
    await broker.close()
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new StartError(`WRIT_HOST and WRIT_PORT: cannot listen on ${config.host}:${config.port} (${code}).`)
  }
  const { address, port } = broker.app.server.address() as AddressInfo
  const host = address.includes(':') ? `[${address}]` : address
  const url = `${config.tls === undefined ? 'http' : 'https'}://${host}:${port}`
  const localAwsUrl = broker.localAws?.url
  const consoleUrl = broker.origin()
  const forget =
    localAwsUrl === undefined
      ? () => undefined
      : announce(config.dataDir, { url, localAwsUrl, policies: config.policies, consoleUrl })
  if (config.mode === 'local') log.warn(LOCAL_NOTICE)
  log.info({ url, mode: config.mode, policy: broker.policy.state().digest }, 'listening')
  return {
    url,
    consoleUrl,
    policySet: broker.policy.current,
    ...(localAwsUrl === undefined ? {} : { localAwsUrl }),
    close: async () => {
      forget()
      await broker.close()
    },
  }
}

/** Serves until SIGINT or SIGTERM, then drains and ends. A second signal ends at once. */
export async function serveUntilSignal(config: Config, ready: (serving: Serving) => void): Promise<void> {
  const log = createLog(config.logLevel)
  const serving = await serve(config, log)
  ready(serving)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        log.info({ signal }, 'shutting down')
        process.once(signal, () => process.exit(1))
        resolve()
      })
    }
  })
  await serving.close()
}

/** Tells the command line on this machine where the broker and its local AWS are, and on which policies they run. */
function announce(dataDir: string, where: Readonly<Record<string, string>>): () => void {
  mkdirSync(dataDir, { recursive: true })
  const file = join(dataDir, 'local.json')
  writeFileSync(`${file}.new`, `${JSON.stringify({ ...where, pid: process.pid })}\n`)
  chmodSync(`${file}.new`, 0o600)
  renameSync(`${file}.new`, file)
  return () => rmSync(file, { force: true })
}
