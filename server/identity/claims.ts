import { z } from 'zod'
import { WritError } from '../errors.js'
import type { Identity, OnBehalfOf, TrustedIssuer } from '../types.js'

/** How far the clocks of issuer and broker may be apart, in seconds. */
export const CLOCK_TOLERANCE_SECONDS = 30

// Controls, bidirectional overrides, zero-width characters, line separators: an approver must read the same
// name that is compared.
const UNREADABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u
const readable = z
  .string()
  .min(1)
  .max(512)
  .refine((text) => !UNREADABLE.test(text))

/** Seconds since 1970; the upper bound is the year 9999, which also catches milliseconds. */
const numericDate = z.number().min(0).max(253_402_300_799)

const registered = z.object({
  iss: z.string(),
  sub: readable,
  aud: z.union([z.string(), z.array(z.string())]),
  exp: numericDate,
  iat: numericDate,
  nbf: numericDate.optional(),
  auth_time: numericDate.optional(),
})

type Registered = z.infer<typeof registered>

/**
 * What a token says, once its signature is verified (RFC 7519 section 4.1). `claims` is deeply frozen.
 *
 * @throws WritError token_claims, token_audience, token_expired, token_not_yet_valid, token_too_old
 */
export function identityOf(
  claims: Readonly<Record<string, unknown>>,
  trusted: TrustedIssuer,
  now: Date,
): Identity {
  const parsed = registered.safeParse(claims)
  if (!parsed.success) {
    const names = new Set(parsed.error.issues.map((issue) => String(issue.path[0])))
    throw new WritError('token_claims', `Claims missing or of the wrong type: ${[...names].join(', ')}.`)
  }
  const { sub, aud, iat, exp, auth_time } = parsed.data
  checkAudience(aud, trusted.audience)
  checkTimes(parsed.data, trusted, now.getTime() / 1000)
  const onBehalfOf = humanOf(claims, trusted)
  return Object.freeze({
    issuer: trusted.issuer,
    subject: sub,
    audience: trusted.audience,
    claims,
    issuedAt: new Date(iat * 1000),
    expiresAt: new Date(exp * 1000),
    ...(auth_time === undefined ? {} : { authenticatedAt: new Date(auth_time * 1000) }),
    ...(onBehalfOf === undefined ? {} : { onBehalfOf }),
  })
}

/** Ours and no other: whoever else a token is meant for could replay it here. */
function checkAudience(aud: string | readonly string[], expected: string): void {
  const audiences = typeof aud === 'string' ? [aud] : aud
  if (audiences.length === 1 && audiences[0] === expected) return
  const why = audiences.length > 1 ? 'The token has more than one audience' : 'The audience is another'
  throw new WritError('token_audience', `${why}; expected is only ${expected}`)
}

function checkTimes(claims: Registered, trusted: TrustedIssuer, now: number): void {
  const { exp, iat, nbf, auth_time } = claims
  const latest = now + CLOCK_TOLERANCE_SECONDS
  const earliest = now - CLOCK_TOLERANCE_SECONDS
  if (exp <= iat) throw new WritError('token_claims', 'The token expires before it was issued.')
  if (exp - iat > trusted.maxTokenLifeSeconds) {
    throw new WritError(
      'token_claims',
      `The token lives longer than the ${trusted.maxTokenLifeSeconds} seconds its issuer document allows.`,
    )
  }
  if (exp <= earliest) throw new WritError('token_expired', 'The token is past its exp.')
  if (iat > latest) throw new WritError('token_not_yet_valid', 'The token was issued in the future.')
  if (nbf !== undefined && nbf > latest) {
    throw new WritError('token_not_yet_valid', 'The token is before its nbf.')
  }
  if (earliest - iat > trusted.maxTokenAgeSeconds) {
    throw new WritError(
      'token_too_old',
      `The token was issued more than ${trusted.maxTokenAgeSeconds} seconds ago.`,
    )
  }
  // A sign-in later than the token would count as recent for as long as it stays ahead of the clock.
  if (auth_time !== undefined && auth_time > iat + CLOCK_TOLERANCE_SECONDS) {
    throw new WritError('token_claims', 'The auth_time of the token is later than its iat.')
  }
}

/**
 * A human claim that is there but cannot be read as a name refuses the token: taken as "no human", it would
 * let that human approve for themselves.
 */
function humanOf(claims: Readonly<Record<string, unknown>>, trusted: TrustedIssuer): OnBehalfOf | undefined {
  if (trusted.human === undefined) return undefined
  const value = claims[trusted.human.claim]
  if (value === undefined || value === null || value === '') return undefined
  const human = readable.safeParse(value)
  if (!human.success) {
    throw new WritError(
      'token_claims',
      `The claim that names the human is not plain text: ${trusted.human.claim}.`,
    )
  }
  return Object.freeze({ human: human.data, how: trusted.human.how })
}
