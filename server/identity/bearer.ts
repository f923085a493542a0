import { WritError } from '../errors.js'

/** Longest token taken, in bytes: real ones have 1 to 3 KiB, and everything after this costs work. */
export const MAX_TOKEN_BYTES = 8192

/** `bearer-or-bare` is for AWS SDKs: the container provider sends its token verbatim, without a scheme. */
export type TokenForm = 'bearer' | 'bearer-or-bare'

const BEARER = /^bearer(?: (.*))?$/is

/**
 * The token in an Authorization header (RFC 6750 section 2.1). Its shape is checked by `compact.ts`.
 *
 * @throws WritError token_missing, token_malformed, token_too_large
 */
export function bearerToken(authorization: string | undefined, form: TokenForm): string {
  if (authorization === undefined || authorization === '') {
    throw new WritError('token_missing', 'The request has no Authorization header.')
  }
  const bearer = BEARER.exec(authorization)
  if (bearer === null && form === 'bearer') {
    throw new WritError('token_malformed', 'The Authorization header is not `Bearer` and a token.')
  }
  const token = bearer === null ? authorization : (bearer[1] ?? '')
  if (token === '') throw new WritError('token_missing', 'The Authorization header holds no token.')
  if (token.length > MAX_TOKEN_BYTES) {
    throw new WritError('token_too_large', `The token has more than ${MAX_TOKEN_BYTES} bytes.`)
  }
  return token
}
