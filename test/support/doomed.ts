// A broker that kills itself, with SIGKILL, at the point named on the command line; see issuance/crash.test.ts.
import { buildBroker } from '../../server/build.js'
import { readConfig } from '../../server/config.js'
import { loadLocalIssuer } from '../../server/identity/local-issuer.js'
import { createLog } from '../../server/log.js'

const [point, databaseUrl, dataDir] = process.argv.slice(2)
if (point === undefined || databaseUrl === undefined || dataDir === undefined)
  throw new Error('three arguments')

const die = (): never => {
  process.kill(process.pid, 'SIGKILL')
  // Nothing runs between the signal and the end, but the compiler does not know.
  throw new Error('unreachable')
}

const config = readConfig({ WRIT_MODE: 'local', WRIT_PORT: '0', WRIT_DATA_DIR: dataDir })
const broker = await buildBroker(config, createLog('silent'), {
  databaseUrl,
  issue: (deps) => ({
    ...deps,
    record: async (item) => {
      if (item.op === 'intent' && point === 'before-a') die()
      if (item.op === 'outcome' && point === 'before-b') die()
      const verdict = await deps.record(item)
      if (item.op === 'intent' && point === 'after-a') die()
      if (item.op === 'outcome' && point === 'after-b') die()
      return verdict
    },
  }),
})
await broker.app.listen({ host: '127.0.0.1', port: 0 })
const address = broker.app.server.address()
const issuer = await loadLocalIssuer(dataDir)
const token = await issuer.sign({ subject: 'agent:orders-coder', audience: 'https://writ.localhost' })
process.stdout.write(`${JSON.stringify({ port: typeof address === 'object' ? address?.port : 0, token })}\n`)
