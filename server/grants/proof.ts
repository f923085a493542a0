import { WritError } from '../errors.js'
import type { Identity } from '../types.js'
import type { DecisionProof } from './types.js'

/** A token left on a laptop overnight must not approve anything in the morning. */
const FRESH_SECONDS = 300

/** The proof in an operator's token: `auth_time` at most five minutes old (OpenID Connect Core, section 2). */
export function freshTokenProof(identity: Identity, now: Date): DecisionProof {
  const { authenticatedAt } = identity
  if (authenticatedAt === undefined) {
    throw new WritError('proof_stale', 'The token does not say when its human signed in (auth_time).')
  }
  const age = (now.getTime() - authenticatedAt.getTime()) / 1000
  if (age > FRESH_SECONDS) {
    throw new WritError('proof_stale', `The human behind the token signed in ${Math.floor(age)} seconds ago.`)
  }
  return {
    kind: 'fresh-token',
    issuer: identity.issuer,
    subject: identity.subject,
    authenticated_at: authenticatedAt.toISOString(),
    issued_at: identity.issuedAt.toISOString(),
  }
}
