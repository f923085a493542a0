import type { FastifyReply, FastifyRequest } from 'fastify'
import { WritError } from '../../errors.js'

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/**
 * Holds a request to the console's own host name, before anything else is looked at: a name that somebody else
 * lets point at this machine (DNS rebinding) reaches nothing, and passkeys are bound to one name. Whoever opened
 * `http://127.0.0.1:PORT` is sent on; the name that was asked for is never repeated.
 *
 * @returns whether an answer was sent
 * @throws WritError wrong_host
 */
export function atOwnHost(request: FastifyRequest, reply: FastifyReply, origin: string): boolean {
  const own = new URL(origin)
  if (request.host.toLowerCase() === own.host) return false
  // Only between names of this machine: a proxy that rewrites the name would else be sent in circles.
  if (isReading(request) && LOOPBACK.test(own.hostname) && LOOPBACK.test(hostnameOf(request.host))) {
    reply.redirect(`${origin}${request.url}`, 307)
    return true
  }
  throw new WritError('wrong_host', `This console is at ${origin} and answers under no other name.`)
}

const hostnameOf = (host: string) => host.toLowerCase().replace(/:\d+$/, '')

export const isReading = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD'

/** Whether what is answered will be shown to a human, and not read by a script. */
export const showsAnswer = ({ headers }: FastifyRequest): boolean =>
  (headers.accept ?? '').includes('text/html')

/** Whether a browser asks for a document to show. */
export const wantsPage = (request: FastifyRequest): boolean => isReading(request) && showsAnswer(request)

/**
 * A path of the console to go on to, or `/console` for anything else: what stands in `to` came from outside, and
 * `//evil`, `/\evil` or `https:` would lead there.
 */
export function localPath(to: unknown): string {
  const fallback = '/console'
  if (typeof to !== 'string' || to.length > 2000 || !/^\/console(?:$|[/?])[\x21-\x5b\x5d-\x7e]*$/.test(to)) {
    return fallback
  }
  // As a browser will read it: dots resolved.
  const base = 'http://console.invalid'
  const url = URL.canParse(to, base) ? new URL(to, base) : undefined
  if (url?.origin !== base || !/^\/console(?:$|\/)/.test(url.pathname)) return fallback
  // Signing in to see the sign-in page would go round for ever.
  if (/^\/console\/sign-(?:in|out)(?:$|\/)/.test(url.pathname)) return fallback
  return `${url.pathname}${url.search}`
}

/**
 * What a browser tells of where a changing request comes from (Fetch Metadata; RFC 6454 section 7): undefined when
 * it is a page of the console, else what is wrong.
 */
export function foreignOrigin(request: FastifyRequest, origin: string): string | undefined {
  const { origin: from, 'sec-fetch-site': site } = request.headers
  // Missing is refused too: every browser sends it with a request that changes something.
  if (from !== origin) return 'The request does not come from a page of this console.'
  if (site !== undefined && site !== 'same-origin') return 'The request comes from another site.'
  return undefined
}
