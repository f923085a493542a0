import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Html, html } from '../../../web/html.js'
import { layout, layoutAround, type Section } from '../../../web/layout.js'
import { asWritError, logRefusal } from '../problems.js'
import type { Frame } from './frame.js'

interface Shown {
  readonly title: string
  readonly section: Section
  readonly body: Html
  readonly modules?: readonly string[]
  readonly width?: 'reading' | 'full'
}

/** Sends a page in its frame. */
export const showPage = (reply: FastifyReply, frame: Frame, shown: Shown): FastifyReply =>
  reply.type('text/html; charset=utf-8').send(layout({ ...frame, ...shown }))

/**
 * Sends what stands around a page at once, and its body when it is there: the browser has its style sheet and shows
 * where one is while the database still looks. The status is out by then, so a body that cannot be made says so.
 */
export function showLater(
  request: FastifyRequest,
  reply: FastifyReply,
  frame: Frame,
  shown: Omit<Shown, 'body'>,
  body: Promise<Html>,
): FastifyReply {
  const [before, after] = layoutAround({ ...frame, ...shown })
  // Seen already when the reader goes away before it is asked for.
  const settled = body.catch((error: unknown) => {
    const known = asWritError(error)
    logRefusal(error, known, request)
    return html`<div class="problem" role="alert"><p><strong>This cannot be shown at the moment.</strong> <code>${known.code}</code></p><p>Load the page again in a moment. If it stays, quote <code>${request.id}</code>.</p></div>`
  })
  const parts = async function* () {
    yield before
    yield (await settled).text
    yield after
  }
  return reply.type('text/html; charset=utf-8').send(Readable.from(parts()))
}
