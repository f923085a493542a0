import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { ERRORS, type ErrorCode, WritError } from '../errors.js'

/** RFC 9457 problem details. `Code` and `Message` are for AWS SDKs, which show nothing else. */
export function problemOf(error: WritError, requestId: string) {
  const { status, title, next } = ERRORS[error.code]
  return {
    type: `urn:writ:problem:${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    next,
    request: requestId,
    Code: error.code,
    Message: `${error.message} ${next}`,
    message: `${error.message} ${next}`,
    ...error.extra,
  }
}

/** The one place where a thrown thing becomes an answer. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = asWritError(error)
  const { status } = ERRORS[known.code]
  logRefusal(error, known, request)
  if (status === 401) reply.header('www-authenticate', 'Bearer')
  const { retryAfterSeconds = status === 503 ? 5 : undefined } = known.extra
  if (typeof retryAfterSeconds === 'number') reply.header('retry-after', String(retryAfterSeconds))
  return (
    reply
      .code(status)
      .header('cache-control', 'no-store')
      .type('application/problem+json')
      // A string: the route's own schema describes its success and must not shape this.
      .serializer((body: unknown) => JSON.stringify(body))
      .send(problemOf(known, request.id))
  )
}

/** Tells our log what was refused, or went wrong. */
export function logRefusal(error: unknown, known: WritError, request: FastifyRequest): void {
  const { status } = ERRORS[known.code]
  const cause = safeCause(known, error, status)
  if (status >= 500) request.log.error({ code: known.code, cause }, known.message)
  else if (cause !== undefined) request.log.warn({ code: known.code, cause }, known.message)
  else request.log.info({ code: known.code }, 'refused')
}

const FASTIFY_CODES: Readonly<Record<string, { readonly code: ErrorCode; readonly detail: string }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'body_too_large', detail: 'The body is larger than 64 KiB.' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { code: 'media_type', detail: 'The body is not declared as JSON.' },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'request_invalid', detail: 'The body is empty.' },
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'request_invalid', detail: 'The body is not valid JSON.' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'request_invalid',
    detail: 'The body is not as long as it says.',
  },
}

/** Whatever was thrown as a refusal with a code. */
export function asWritError(error: unknown): WritError {
  if (error instanceof WritError) return error
  if (hasZodFastifySchemaValidationErrors(error)) {
    const errors = error.validation.map(readable)
    return new WritError('request_invalid', 'The request does not have the shape this call takes.', {
      errors,
    })
  }
  const fastify = error as FastifyError
  const mapped = FASTIFY_CODES[fastify.code]
  if (mapped !== undefined) return new WritError(mapped.code, mapped.detail)
  if (fastify.statusCode !== undefined && fastify.statusCode >= 400 && fastify.statusCode < 500) {
    return new WritError('request_invalid', 'The request cannot be read.')
  }
  if ('unavailable' in fastify && fastify.unavailable === true) {
    return new WritError('record_unavailable', 'The database does not answer.', { retryAfterSeconds: 2 })
  }
  return new WritError('internal', 'Something went wrong on our side.')
}

/** What is wrong where. A field's name is the caller's own text, and somebody will paste a token there. */
function readable(issue: { instancePath: string; keyword: string; message?: string; params: object }) {
  const keys = 'keys' in issue.params && Array.isArray(issue.params.keys) ? issue.params.keys.map(String) : []
  const named = keys.map((key) => (/^[A-Za-z_]{1,30}$/.test(key) ? key : '(unreadable)'))
  const problem = issue.keyword === 'unrecognized_keys' ? `unknown: ${named.join(', ')}` : issue.message
  return { field: issue.instancePath, problem: problem ?? '' }
}

/** Name, message and place of what happened, for our own log. Errors of ours and of pg never carry values. */
function safeCause(known: WritError, error: unknown, status: number): object | undefined {
  // What fastify and zod say of a bad request quotes the request.
  const cause = known === error ? known.cause : status >= 500 ? error : undefined
  if (!(cause instanceof Error)) return undefined
  return { name: cause.name, message: cause.message.slice(0, 500), stack: cause.stack?.slice(0, 2000) }
}
