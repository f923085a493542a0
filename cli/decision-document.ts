import { createHash } from 'node:crypto'
import { canonicalText, type DecisionDocument, type KeyKind } from '../server/audit/proofs/document.js'
import { signedDocument } from '../server/audit/proofs/schema.js'
import type { GrantRequest } from './api.js'
import { CliError, EXIT } from './exit.js'

/** What `POST /v1/grant-requests/{id}/challenge` answers, as far as a terminal reads it. */
export interface ChallengeAnswer {
  readonly challenge: string
  readonly document: string
  readonly expires_at: string
  readonly personal: { readonly text: string; readonly salt: string } | null
  readonly comment_salt: string | null
  readonly keys: readonly { readonly id: string; readonly kind: KeyKind }[]
}

export interface DecisionWish {
  readonly decision: 'approve' | 'deny'
  readonly comment?: string
  readonly breakGlass?: boolean
}

/** What lies beside the document, under its hash. */
export interface PersonalPart {
  readonly human?: string
  readonly human_how?: string
  readonly reason?: string
  readonly ticket?: string
}

export interface CheckedDecision {
  readonly document: DecisionDocument
  /** Null once erased, or where there is none. */
  readonly personal: PersonalPart | null
}

/**
 * Reads what is to be signed, and checks that it is what was wished for, and the same request as was answered
 * separately. A broker, or something before it, that answered one thing for showing and another for signing ends here.
 * Throws `CliError` document_not_understood, or signed_something_else naming the field.
 */
export function checkDocument(
  answer: ChallengeAnswer,
  request: GrantRequest,
  wish: DecisionWish,
): CheckedDecision {
  const document = readDocument(answer.document)
  const { comment } = wish
  const commentHash = comment === undefined ? null : commitment(answer.comment_salt ?? '', comment)
  const same = (field: string, signed: unknown, wanted: unknown): void => {
    if (canonicalText(signed) !== canonicalText(wanted)) throw differs(field)
  }
  same('decision', document.decision, wish.decision)
  same('request', document.request, request.id)
  same('break_glass', document.break_glass, wish.breakGlass === true)
  same('comment', document.comment, commentHash)
  for (const field of COMPARED) same(field, document[field], request[field])
  // Breaking glass may shorten what was asked for, to the hour or less that the environment has for it.
  const shorter = wish.breakGlass === true && document.valid_seconds < request.valid_seconds
  if (!shorter) same('valid_seconds', document.valid_seconds, request.valid_seconds)
  if ('role_arn' in request) same('role_arn', document.role_arn, request.role_arn)
  const personal = readPersonal(answer.personal, document.personal)
  // Erased in one place only, a reason could be shown that nobody signs for.
  same('reason', personal?.reason ?? null, request.reason)
  same('ticket', personal?.ticket ?? null, request.ticket)
  const { human, human_how: how } = personal ?? {}
  same('on_behalf_of', human === undefined ? null : { human, how }, request.on_behalf_of)
  return { document, personal }
}

const COMPARED = [
  'agent',
  'environment',
  'account',
  'scopes',
  'permissions',
  'permissions_sha256',
  'policy_digest',
  'max_uses',
  'max_session_seconds',
  'not_before',
  'approvals_needed',
] as const satisfies readonly (keyof DecisionDocument & keyof GrantRequest)[]

/** Strict: a field that this version does not know would be signed without having been shown. */
function readDocument(text: string): DecisionDocument {
  try {
    const value: unknown = JSON.parse(text)
    const parsed = signedDocument.safeParse(value)
    if (parsed.success && value !== null && canonicalText(value) === text) {
      if (parsed.data.type === 'writ.decision.v1') return value as DecisionDocument
    }
  } catch {
    // Said below.
  }
  throw new CliError(EXIT.unexpected, {
    title: 'Document not understood',
    code: 'document_not_understood',
    detail: 'What the broker wants signed is not a decision that this version of writ can show whole.',
    next: 'Update writ, or decide in the console.',
  })
}

function readPersonal(personal: ChallengeAnswer['personal'], hash: string | null): PersonalPart | null {
  if (personal === null) return null
  if (commitment(personal.salt, personal.text) !== hash) throw differs('personal')
  return JSON.parse(personal.text) as PersonalPart
}

/** SHA-256(0x03 ‖ salt ‖ text); the salt in hex. As docs/log-format.md has it. */
const commitment = (salt: string, text: string): string =>
  createHash('sha256').update(Uint8Array.of(3)).update(Buffer.from(salt, 'hex')).update(text).digest('hex')

const differs = (field: string): CliError =>
  new CliError(EXIT.request, {
    title: 'Not the same request',
    code: 'signed_something_else',
    detail: `What the broker wants signed is not the request it showed: they differ in ${field}.`,
    next: 'Look at the request again. If it happens twice, do not sign, and tell whoever runs the broker.',
  })
