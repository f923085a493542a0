import { canonicalText, type Proof, type SignedDocument } from './document.js'
import { passkeyProblem } from './passkey.js'
import { anyProof, signedDocument } from './schema.js'
import { sshProblem } from './ssh.js'

/** A proof of a key of somebody's own, by its shape alone; undefined for anything else. */
export function readProof(value: unknown): Proof | undefined {
  const parsed = anyProof.safeParse(value)
  return parsed.success ? parsed.data : undefined
}

/**
 * What is wrong with a signature, in one sentence; undefined when nothing is. Asks for nothing but the proof: whose key it is, whether the document is true and whether it came in time, others have to
 * check. Never throws.
 */
export function proofProblem(value: unknown): string | undefined {
  const proof = readProof(value)
  if (proof === undefined) return 'The proof is not in its one valid form.'
  const document = readDocument(proof.document)
  if (document === undefined) return 'What was signed is no document in its one valid form.'
  return proof.kind === 'passkey' ? passkeyProblem(proof, document) : sshProblem(proof)
}

/** What was signed. Throws on a text that `proofProblem` refuses. */
export function documentOf(proof: Proof): SignedDocument {
  const document = readDocument(proof.document)
  if (document === undefined) throw new Error('not a signed document')
  return document
}

/**
 * The text has to be the canonical one of what it says. With a field twice, or a number in another spelling, two
 * readers could see two documents under one signature.
 */
function readDocument(text: string): SignedDocument | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!signedDocument.safeParse(value).success || canonicalText(value) !== text) return undefined
    return value as SignedDocument
  } catch {
    return undefined
  }
}
