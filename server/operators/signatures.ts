import { challengeOf, type PasskeyProof, type Proof, type SshProof } from '../audit/proofs/document.js'
import { proofProblem } from '../audit/proofs/proof.js'
import { sshSignCount } from '../audit/proofs/ssh.js'
import { WritError } from '../errors.js'
import { verifyAssertion } from './ceremonies.js'
import { readChallenge, type SignedPurpose } from './challenges.js'
import { type OperatorDeps, relyingParty } from './deps.js'
import { keysOf } from './keys.js'
import { refuse } from './store.js'

/** The parts of a proof that a client makes; what was signed and by which key are the server's own rows. */
export type SubmittedProof =
  | Omit<PasskeyProof, 'document' | 'public_key'>
  | Omit<SshProof, 'document' | 'public_key'>

/**
 * A signature over the document of a challenge, by a key that this operator holds now: checked as at enrolment, and
 * once more as every later verifier will. Uses nothing up: `writ.take_signature` does, with what the signature is for.
 *
 * Throws `WritError` key_unknown, challenge_over, signature_invalid.
 */
export async function checkSigned(
  deps: OperatorDeps,
  operator: string,
  purpose: SignedPurpose,
  { challenge, proof }: { readonly challenge: string; readonly proof: SubmittedProof },
): Promise<{ readonly proof: Proof; readonly signCount: number }> {
  const key = (await keysOf(deps, operator)).find(
    ({ id, kind }) => id === proof.key_id && kind === proof.kind,
  )
  if (key === undefined) throw refuse('key_unknown')
  const document = await readChallenge(deps, challenge, purpose, operator)
  const whole: Proof = { ...proof, document, public_key: key.public_key }
  const { signCount } =
    whole.kind === 'passkey'
      ? await verifyAssertion(key, whole, challengeOf(document), relyingParty(deps))
      : { signCount: sshSignCount(whole) }
  const problem = proofProblem(whole)
  if (problem !== undefined) throw new WritError('signature_invalid', problem)
  return { proof: whole, signCount }
}
