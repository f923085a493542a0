import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Viewer } from '../../../web/layout.js'
import { errorPage } from '../../../web/pages/error.js'
import type { WritError } from '../../errors.js'
import { asWritError, logRefusal, problemOf, sendProblem } from '../problems.js'
import { pageAssets } from './assets.js'
import { showsAnswer } from './origin.js'

/** Makes the page of a refusal and sends it. */
export type SendPage = (error: WritError, request: FastifyRequest, reply: FastifyReply) => FastifyReply

/** Refusals of a console plugin: a readable page where a browser shows it, else a problem like everywhere. */
export function consoleErrors(app: FastifyInstance, sendPage: SendPage = sendErrorPage): void {
  app.setErrorHandler((error, request, reply) => {
    if (!showsAnswer(request)) return sendProblem(error, request, reply)
    const known = asWritError(error)
    logRefusal(error, known, request)
    return sendPage(known, request, reply)
  })
}

/** One refusal as a page: what it is, what to do next, and what to quote when asking for help. */
export function sendErrorPage(
  error: WritError,
  request: FastifyRequest,
  reply: FastifyReply,
  viewer?: Viewer,
): FastifyReply {
  const { title, status, detail, next, code, request: id } = problemOf(error, request.id)
  const page = errorPage({
    code,
    title,
    detail,
    next,
    request: id,
    assets: pageAssets(),
    ...(viewer === undefined ? {} : { viewer }),
  })
  if (status === 503) reply.header('retry-after', '5')
  return reply.code(status).type('text/html; charset=utf-8').send(page)
}
