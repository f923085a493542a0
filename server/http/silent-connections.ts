import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/**
 * Ends connections that never sent a request when the server closes. Node ends kept ones by itself, and takes one
 * that was opened and is silent for busy: a shutdown waited 71 seconds for it.
 */
export function endSilentConnections(app: FastifyInstance): void {
  const silent = new Set<Socket>()
  const server: Server = app.server
  // Over TLS a request's socket is the one of this event; the one below it is bounded by the handshake's timeout.
  const opened = 'setSecureContext' in server ? 'secureConnection' : 'connection'
  server.on(opened, (socket: Socket) => {
    silent.add(socket)
    socket.once('close', () => silent.delete(socket))
  })
  app.addHook('onRequest', async ({ raw }) => {
    silent.delete(raw.socket)
  })
  app.addHook('preClose', async () => {
    for (const socket of silent) socket.destroy()
  })
}
