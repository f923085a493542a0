import type { FastifyReply } from 'fastify'
import type { Html } from '../../../web/html.js'
import { layout, type Section } from '../../../web/layout.js'
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
