import { openSync, writeSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { devNull } from 'node:os'
import { createSts } from '../../server/aws/sts.js'
import { buildBroker } from '../../server/build.js'
import { readConfig } from '../../server/config.js'
import { createLog } from '../../server/log.js'
import type { AwsPlace } from '../bare-sts.js'
import { given, serveUntilStopped } from '../child.js'

export interface BrokerConfig {
  readonly dataDir: string
  readonly policies: string
  readonly databaseUrl: string
  readonly aws: AwsPlace
}

/**
 * The whole broker as `serve` builds it, but for its AWS: local mode's own local AWS would share the broker's
 * event loop. It logs as in production, a line a request, to where nothing is kept.
 */
async function main({ dataDir, policies, databaseUrl, aws }: BrokerConfig): Promise<void> {
  const sink = openSync(devNull, 'w')
  const log = createLog('info', { write: (line: string) => void writeSync(sink, line) })
  const config = readConfig({
    WRIT_MODE: 'local',
    WRIT_PORT: '0',
    WRIT_DATA_DIR: dataDir,
    WRIT_POLICIES: policies,
  })
  const sts = createSts({ endpoint: aws.url, credentials: aws.credentials, timeoutMs: config.awsTimeoutMs })
  const broker = await buildBroker(config, log, {
    databaseUrl,
    issue: (parts) => ({ ...parts, assumeRole: sts.assumeRole }),
  })
  await broker.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = broker.app.server.address() as AddressInfo
  serveUntilStopped({ url: `http://127.0.0.1:${port}` }, async () => {
    await broker.close()
    sts.close()
  })
}

await main(given<BrokerConfig>())
