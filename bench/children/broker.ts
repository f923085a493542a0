import { openSync, writeSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { devNull } from 'node:os'
import { createRecorder } from '../../server/audit/recorder.js'
import { createSts } from '../../server/aws/sts.js'
import { buildBroker } from '../../server/build.js'
import { readConfig } from '../../server/config.js'
import { createLog } from '../../server/log.js'
import type { AwsPlace } from '../bare-sts.js'
import { given, serveUntilStopped } from '../child.js'
import { openPool, plainAppend } from '../plain.js'

export interface BrokerConfig {
  readonly dataDir: string
  readonly policies: string
  readonly databaseUrl: string
  readonly aws: AwsPlace
  /** With it, everything is recorded as bare rows there: what an issuance would cost without the record. */
  readonly bareUrl?: string
}

/**
 * The whole broker as `serve` builds it, but for its AWS: local mode's own local AWS would share the broker's
 * event loop. It logs as in production, a line a request, to where nothing is kept.
 */
async function main({ dataDir, policies, databaseUrl, aws, bareUrl }: BrokerConfig): Promise<void> {
  const sink = openSync(devNull, 'w')
  const log = createLog('info', { write: (line: string) => void writeSync(sink, line) })
  const config = readConfig({
    WRIT_MODE: 'local',
    WRIT_PORT: '0',
    WRIT_DATA_DIR: dataDir,
    WRIT_POLICIES: policies,
  })
  const sts = createSts({ endpoint: aws.url, credentials: aws.credentials, timeoutMs: config.awsTimeoutMs })
  const bare = bareUrl === undefined ? {} : { record: createRecorder(plainAppend(openPool(bareUrl))).record }
  const broker = await buildBroker(config, log, {
    databaseUrl,
    issue: (parts) => ({ ...parts, ...bare, assumeRole: sts.assumeRole }),
  })
  await broker.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = broker.app.server.address() as AddressInfo
  serveUntilStopped({ url: `http://127.0.0.1:${port}` }, async () => {
    await broker.close()
    sts.close()
  })
}

await main(given<BrokerConfig>())
