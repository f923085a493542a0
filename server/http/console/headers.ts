import type { FastifyReply } from 'fastify'
import { styleHash } from './assets.js'

/**
 * No inline script, no style but our own sheet by its hash, nothing from elsewhere, no frame around a page that approves things. Trusted Types:
 * text that an agent wrote cannot become markup through a slip in one of our modules either.
 */
const contentSecurityPolicy = (): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    `style-src ${styleHash()}`,
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ')

let policy: string | undefined

/** The headers of everything under /console, in place of the stricter ones of an API. */
export function consoleHeaders(reply: FastifyReply): void {
  policy ??= contentSecurityPolicy()
  reply.headers({
    'content-security-policy': policy,
    'x-frame-options': 'DENY',
    // With `no-referrer` a browser would send `Origin: null` with our own form, and it would be refused.
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'publickey-credentials-get=(self), publickey-credentials-create=(self)',
    'cache-control': 'no-store',
    // An answer to a cookie is not one to anybody else.
    vary: 'Cookie',
  })
}
