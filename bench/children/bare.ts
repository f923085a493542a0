import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serveUntilStopped } from '../child.js'

/** node:http and nothing else: what the load generator itself can reach. */
const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = JSON.stringify(JSON.parse(Buffer.concat(chunks).toString()))
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    response.end(body)
  })
})
server.keepAliveTimeout = 72_000
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  serveUntilStopped({ url: `http://127.0.0.1:${port}` }, async () => {
    server.close()
    server.closeAllConnections()
  })
})
