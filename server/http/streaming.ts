import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'

/**
 * Makes lines into a body that is sent as fast as its reader reads, a few lines ahead. A reader who stalls would
 * hold a shutdown up for ever: cut off, it sees that its copy is not whole.
 */
export function lineStreams(
  app: Pick<FastifyInstance, 'addHook'>,
): (lines: AsyncIterable<string>) => Readable {
  const running = new Set<Readable>()
  app.addHook('preClose', async () => {
    for (const stream of running) stream.destroy()
  })
  return (lines) => {
    const stream = Readable.from(lines, { objectMode: true, highWaterMark: 16 })
    running.add(stream)
    stream.once('close', () => running.delete(stream))
    return stream
  }
}
