import { challengeOf, type DecisionDocument, type Proof } from '../audit/proofs/document.js'
import { documentOf, proofProblem } from '../audit/proofs/proof.js'
import { sshSignCount } from '../audit/proofs/ssh.js'
import { WritError } from '../errors.js'
import type { Operator } from '../types.js'
import type { GrantDeps } from './request.js'

/** What a client sends back of a challenge. The document and the key are ours already. */
export interface SignedAnswer {
  readonly requestId: string
  readonly challenge: string
  readonly proof:
    | {
        readonly kind: 'passkey'
        readonly key_id: string
        readonly client_data: string
        readonly authenticator_data: string
        readonly signature: string
      }
    | { readonly kind: 'ssh-sk'; readonly key_id: string; readonly signature: string }
}

export interface SignedDecision {
  readonly document: DecisionDocument
  readonly proof: Proof
  readonly personal: { readonly comment: string; readonly comment_salt: string } | null
  readonly signCount: number
}

/**
 * The decision that an operator signed. The signature is checked twice, by the WebAuthn library and by what
 * verifies the record years later: nothing is recorded that a verifier would refuse. That a challenge is used
 * once, and that it is of this request, is the database's to say.
 *
 * Throws `WritError` challenge_over, key_unknown, signature_invalid, signed_something_else.
 */
export async function signedDecision(
  deps: GrantDeps,
  operator: Operator,
  { requestId, challenge, proof: answer }: SignedAnswer,
): Promise<SignedDecision> {
  const [asked] = await deps.database.query<{ document: string; personal: SignedDecision['personal'] }>(
    `SELECT document, personal FROM writ.challenge
     WHERE id = $1 AND purpose = 'decision' AND operator = $2 AND used_at IS NULL AND clock_timestamp() < expires_at`,
    [challenge, operator.name],
  )
  if (asked === undefined) {
    throw new WritError('challenge_over', 'What you signed was used already, or is older than five minutes.')
  }
  const key = (await deps.keys.of(operator.name)).find(
    ({ id, kind }) => id === answer.key_id && kind === answer.kind,
  )
  if (key === undefined) throw new WritError('key_unknown', 'The key that signed is not one of yours.')
  const proof: Proof = { ...answer, document: asked.document, public_key: key.public_key }
  const counted =
    proof.kind === 'passkey'
      ? (await deps.keys.verifyPasskey(key, proof, challengeOf(asked.document))).signCount
      : undefined
  const problem = proofProblem(proof)
  if (problem !== undefined) throw new WritError('signature_invalid', problem)
  const signCount = proof.kind === 'ssh-sk' ? sshSignCount(proof) : (counted ?? 0)
  const document = documentOf(proof)
  if (document.type !== 'writ.decision.v1' || document.request !== requestId) {
    throw new WritError('signed_something_else', 'What was signed is not a decision on this request.')
  }
  return { document, proof, personal: asked.personal, signCount }
}
