import type { FastifyReply, FastifyRequest } from 'fastify'

type Cookie = 'session' | 'sign-in'

const isHttps = (origin: string) => origin.startsWith('https:')

/** `__Host-`: only this very host can have set it, over https, so nobody who has a neighbouring name can plant one. */
const named = (origin: string, cookie: Cookie) =>
  isHttps(origin)
    ? { session: '__Host-writ', 'sign-in': '__Host-writ-sign-in' }[cookie]
    : { session: 'writ-session', 'sign-in': 'writ-sign-in' }[cookie]

/** The name of the session's cookie at this origin. */
export const sessionCookie = (origin: string): string => named(origin, 'session')

/**
 * The value of a cookie of ours, which is base64url and dots (RFC 6265 section 4.2). One that is there twice counts
 * as missing: on http, programs behind other ports of this machine can plant a second.
 */
export function readCookie(request: FastifyRequest, origin: string, cookie: Cookie): string | undefined {
  const prefix = `${named(origin, cookie)}=`
  const [found, ...more] = (request.headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(prefix))
  return found === undefined || more.length > 0 ? undefined : found.slice(prefix.length)
}

/** Sets a cookie, or clears it with an empty value. Never for scripts to read, and for the whole host. */
export function writeCookie(reply: FastifyReply, origin: string, cookie: Cookie, value: string): void {
  const attributes = [
    ...(value === '' ? ['Max-Age=0'] : cookie === 'sign-in' ? ['Max-Age=600'] : []),
    'Path=/',
    'HttpOnly',
    ...(isHttps(origin) ? ['Secure'] : []),
    // A sign-in comes back from the issuer's site, so its cookie has to come along from there; a session's never.
    cookie === 'session' ? 'SameSite=Strict' : 'SameSite=Lax',
  ]
  reply.header('set-cookie', [`${named(origin, cookie)}=${value}`, ...attributes].join('; '))
}
