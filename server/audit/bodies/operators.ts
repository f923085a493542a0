import { z } from 'zod'
import { passkeyProof, sshProof } from '../proofs/schema.js'
import {
  agent,
  type BodyKind,
  body,
  environment,
  instant,
  issuer,
  operator,
  recordId,
  requestKey,
  text,
} from './common.js'

const keyKind = z.enum(['passkey', 'ssh-sk'])
const of = text.describe('name of the operator whose key it is')
const key = {
  key_id: text.describe('credential id in base64url, or SSH fingerprint'),
  key_kind: keyKind,
  label: text.describe("the operator's own word for it"),
}
const proposal = recordId.describe('the key proposed')
const from = z.strictObject({ subject: text.optional(), source_ip: text.optional() })

/** What operators do for themselves: signing in, and the keys they sign with. */
export const OPERATOR_BODIES: Readonly<Record<string, BodyKind>> = {
  'operator.signed_in': {
    describe: 'Somebody signs in; of a token, that it is used for the first time, as seen by one replica',
    body: body('operator.signed_in', {
      operator,
      method: z.enum(['oidc', 'passkey']).optional().describe('at the console; absent for a token'),
      session: recordId.optional(),
      request: requestKey,
      issuer: issuer.optional(),
      issued_at: instant.optional(),
      expires_at: instant.optional(),
      authenticated_at: instant.optional(),
      key_id: key.key_id.optional(),
    }).refine(
      ({ method, issuer, issued_at, expires_at }) =>
        method === 'passkey' || (issuer && issued_at && expires_at),
    ),
    personal: from,
  },
  'operator.session_ended': {
    describe: 'A session at the console is over',
    body: body('operator.session_ended', {
      operator,
      session: recordId,
      why: text,
      by: text.optional().describe('who ended it, where that is somebody else'),
    }),
  },
  'operator.refused': {
    describe: 'An operator, or who would be one, tried what they may not',
    body: body('operator.refused', {
      operator: operator.optional(),
      agent: agent.optional(),
      environment: environment.optional(),
      request_id: recordId.optional(),
      code: text,
      issuer: issuer.optional(),
      request: requestKey.optional(),
      path: z.string().optional(),
      decision: z.enum(['approve', 'deny']).optional(),
      detail: text.optional(),
    }),
    personal: from,
  },
  'operator.code_issued': {
    describe: "The database's owner made a one-time code for enrolling a key",
    body: body('operator.code_issued', { operator, by: text, expires_at: instant }),
  },
  'operator.key_proposed': {
    describe: 'An operator wants a key that somebody else is to vouch for',
    body: body('operator.key_proposed', { operator, proposal, ...key }),
    personal: from,
  },
  'operator.key_added': {
    describe: "A key becomes somebody's, by a one-time code or on somebody else's signature",
    body: body('operator.key_added', {
      operator: operator.describe('who vouched; with a code, whose key it is'),
      of,
      ...key,
      public_key: text.describe('COSE in base64url, or `sk-ssh-… BASE64`'),
      aaguid: text.optional().describe('model of the authenticator, as it says itself'),
      by: z.enum(['enrolment-code', 'vouch']),
      proposal: proposal.optional(),
      proof_kind: keyKind.optional(),
      proof: z.discriminatedUnion('kind', [passkeyProof, sshProof]).optional(),
    }).refine(({ by, proposal, proof_kind, proof }) =>
      [proposal, proof_kind, proof].every((one) => (one === undefined) === (by === 'enrolment-code')),
    ),
    personal: from,
  },
  'operator.key_removed': {
    describe: 'Nothing signed with this key counts from here on',
    body: body('operator.key_removed', {
      operator: operator.describe('who removed it'),
      of,
      key_id: key.key_id,
    }),
    personal: from,
  },
}
