import Fastify from 'fastify'
import { importJWK, type JWK, jwtVerify } from 'jose'
import type { IntentItem } from '../../server/audit/items.js'
import { createRecorder } from '../../server/audit/recorder.js'
import type { AssumeRoleInput } from '../../server/types-aws.js'
import { type AwsPlace, assumeRoleCommand, stsClient } from '../bare-sts.js'
import { given, serveUntilStopped } from '../child.js'
import { openPool, plainAppend } from '../plain.js'

export interface FloorConfig {
  readonly key: JWK
  readonly issuer: string
  readonly audience: string
  readonly plainUrl: string
  readonly intent: IntentItem
  readonly aws: AwsPlace
  readonly assume: AssumeRoleInput
}

/** The least that the same answers could cost on the same parts: no decision, no checks, no chain, no log. */
async function main(config: FloorConfig): Promise<void> {
  const { issuer, audience, intent, assume } = config
  const key = await importJWK(config.key, 'ES256')
  const database = openPool(config.plainUrl)
  const { record } = createRecorder(plainAppend(database))
  const sts = stsClient(config.aws, assume.region)
  const assumeRole = assumeRoleCommand(assume)
  const app = Fastify({ keepAliveTimeout: 72_000 })

  const authenticate = async (authorization = ''): Promise<unknown> =>
    await jwtVerify(authorization.slice('Bearer '.length), key, { issuer, audience, algorithms: ['ES256'] })

  app.post('/empty', async (request) => request.body)
  app.post('/record', async (request) => {
    await authenticate(request.headers.authorization)
    return await record(intent)
  })
  app.post('/mint', async (request) => {
    await authenticate(request.headers.authorization)
    await record(intent)
    const { Credentials } = await sts.send(assumeRole)
    return Credentials
  })

  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  serveUntilStopped({ url }, async () => {
    await app.close()
    await database.end()
    sts.destroy()
  })
}

await main(given<FloorConfig>())
