import { randomBytes } from 'node:crypto'
import { type Change, createSoftwareKey, type SoftwareKey } from '../../../cli/software-key.js'
import { ProofError } from '../../../server/audit/merkle/error.js'
import { leafHash } from '../../../server/audit/merkle/hash.js'
import { commitment } from '../../../server/audit/personal.js'
import {
  canonicalText,
  challengeOf,
  type DecisionDocument,
  type PasskeyProof,
  type SignedDocument,
  type VouchDocument,
} from '../../../server/audit/proofs/document.js'
import { Authority, type AuthorityCounts } from '../../../server/audit/verify/authority.js'
import type { LogEntry } from '../../../server/audit/verify/entry.js'

export interface Written {
  readonly entry: LogEntry
  readonly leaf: Buffer
  readonly personal: string | undefined
  readonly salt: Buffer
}

const SITE = { rpId: 'writ.example.com', origin: 'https://writ.example.com' }
const BEGAN = Date.parse('2026-03-01T10:00:00.000Z')
const MINUTE = 60_000

type Fields = Readonly<Record<string, unknown>>

/** How one decision differs from what it should be. */
export interface Twist {
  /** What is signed instead. */
  readonly document?: Partial<DecisionDocument>
  /** What the entry says instead. */
  readonly entry?: Fields
  readonly key?: SoftwareKey
  readonly assertion?: Change
  readonly comment?: string
  readonly proof?: Partial<PasskeyProof>
}

/** Writes logs as the database would, and as somebody who rewrites it could: with the keys that they have. */
export class Scribe {
  readonly log: Written[] = []
  readonly keys = new Map<string, SoftwareKey>()
  now = BEGAN

  put(kind: string, fields: Fields, personal?: Fields): Written {
    this.now += 1000
    const beside = personal === undefined ? undefined : JSON.stringify(personal)
    const salt = randomBytes(16)
    const entry = {
      v: 2,
      index: this.log.length,
      at: new Date(this.now).toISOString().replace('Z', '456Z'),
      kind,
      ...(beside === undefined ? {} : { personal: commitment(salt, Buffer.from(beside)).toString('hex') }),
      ...fields,
    } satisfies LogEntry
    const written = {
      entry: JSON.parse(JSON.stringify(entry)) as LogEntry,
      leaf: Buffer.from(leafHash(Buffer.from(JSON.stringify(entry)))),
      personal: beside,
      salt,
    }
    this.log.push(written)
    return written
  }

  code(operator: string, seconds = 3600): void {
    const expires_at = new Date(this.now + seconds * 1000).toISOString()
    this.put('operator.code_issued', { operator, by: 'owner', expires_at })
  }

  /** A key by a code. */
  enrol(operator: string, key = createSoftwareKey(SITE), change: Fields = {}): SoftwareKey {
    this.code(operator)
    this.added(operator, key, { operator, by: 'enrolment-code', ...change })
    return key
  }

  added(of: string, key: SoftwareKey, change: Fields): void {
    this.put('operator.key_added', { of, ...described(key), public_key: key.publicKey, ...change })
    this.keys.set(of, key)
  }

  /** A key of `operator`'s that `voucher` signs for. */
  vouch(
    operator: string,
    voucher: string,
    twist: {
      readonly document?: Partial<VouchDocument>
      readonly entry?: Fields
      readonly key?: SoftwareKey
      readonly proposal?: Fields
    } = {},
  ): SoftwareKey {
    const key = createSoftwareKey(SITE)
    const proposal = `proposal${String(this.log.length).padStart(4, '0')}`
    this.put('operator.key_proposed', { operator, proposal, ...described(key), ...twist.proposal })
    const document: VouchDocument = {
      type: 'writ.vouch.v1',
      ...this.#signing(),
      voucher,
      operator,
      proposal,
      ...described(key),
      public_key: key.publicKey,
      ...twist.document,
    }
    const proof = signed(twist.key ?? this.key(voucher), document)
    const by = { operator: voucher, by: 'vouch', proposal, proof_kind: proof.kind, proof }
    this.added(operator, key, { ...by, ...twist.entry })
    return key
  }

  ask(change: Fields = {}, personal: Fields = { reason: 'a test' }): Written {
    return this.put(
      'grant_request.opened',
      {
        ...ASKED,
        request_id: `request${String(this.log.length).padStart(5, '0')}`,
        expires_at: new Date(this.now + 60 * MINUTE).toISOString(),
        signature_required: true,
        destroys: false,
        ...change,
      },
      personal,
    )
  }

  decide(asked: Written, operator: string, kind: 'approved' | 'denied', twist: Twist = {}): Written {
    const { comment } = twist
    const salt = randomBytes(16)
    const document = { ...this.#decision(asked, operator, kind), ...twist.document }
    if (comment !== undefined && twist.document?.comment === undefined)
      Object.assign(document, { comment: commitment(salt, Buffer.from(comment)).toString('hex') })
    const proof = { ...signed(twist.key ?? this.key(operator), document, twist.assertion), ...twist.proof }
    return this.put(
      `grant_request.${kind}`,
      { ...about(asked), operator, proof_kind: proof.kind, proof, ...twist.entry },
      comment === undefined ? undefined : { comment, comment_salt: salt.toString('hex') },
    )
  }

  approve(asked: Written, operator: string, twist?: Twist): Written {
    return this.decide(asked, operator, 'approved', twist)
  }

  /** As it was before there were signatures, and still is outside production. */
  approveByToken(asked: Written, operator: string): Written {
    const proof = { kind: 'fresh-token', issuer: 'https://issuer.example', subject: operator }
    return this.put('grant_request.approved', {
      ...about(asked),
      operator,
      proof_kind: 'fresh-token',
      proof,
    })
  }

  grant(asked: Written, approved_by: readonly string[], change: Fields = {}): Written {
    const { scopes, role_arn, max_uses, max_session_seconds, valid_seconds } = asked.entry
    const from = this.now + 1000
    return this.put('grant.created', {
      ...about(asked),
      grant_id: `grant${String(this.log.length).padStart(7, '0')}`,
      role_arn,
      scopes,
      max_uses,
      max_session_seconds,
      approved_by,
      not_before: new Date(from).toISOString(),
      expires_at: new Date(from + Number(valid_seconds) * 1000).toISOString(),
      ...change,
    })
  }

  use(grant: Written, change: Fields = {}): Written {
    const { agent, environment, role_arn, scopes, policy_digest, permissions_sha256, grant_id } = grant.entry
    return this.put('issuance.intended', {
      agent,
      environment,
      role_arn,
      scopes,
      policy_digest,
      permissions_sha256,
      grant_id,
      grant_use: 1,
      sensitivity: 'production-write',
      issuance_id: `issuance${String(this.log.length).padStart(4, '0')}`,
      not_after: new Date(this.now + MINUTE).toISOString(),
      ...change,
    })
  }

  key(operator: string): SoftwareKey {
    const key = this.keys.get(operator)
    if (key === undefined) throw new Error(`enrol ${operator} first`)
    return key
  }

  #decision(asked: Written, approver: string, kind: string): DecisionDocument {
    const { entry, leaf } = asked
    const shown = Object.fromEntries(SHOWN.map((field) => [field, entry[field]]))
    return {
      type: 'writ.decision.v1',
      ...this.#signing(),
      decision: kind === 'approved' ? 'approve' : 'deny',
      approver,
      request: entry.request_id,
      request_leaf: leaf.toString('hex'),
      personal: entry.personal ?? null,
      not_before: entry.not_before ?? null,
      network: null,
      break_glass: false,
      comment: null,
      ...shown,
    } as unknown as DecisionDocument
  }

  #signing() {
    return {
      origin: SITE.origin,
      rp_id: SITE.rpId,
      nonce: randomBytes(32).toString('base64url'),
      issued_at: new Date(this.now).toISOString(),
      expires_at: new Date(this.now + 5 * MINUTE).toISOString(),
    }
  }
}

const described = (key: SoftwareKey) =>
  ({ key_id: key.id, key_kind: 'passkey', label: 'a key' }) satisfies Partial<VouchDocument>

function signed(key: SoftwareKey, document: SignedDocument, change?: Change): PasskeyProof {
  const text = canonicalText(document)
  return { document: text, public_key: key.publicKey, ...key.sign(challengeOf(text), change) }
}

const ASKED = {
  agent: 'orders-coder',
  environment: 'production',
  tier: 'production',
  account: '111122223333',
  role_arn: 'arn:aws:iam::111122223333:role/writ/orders-coder-write',
  scopes: ['orders:write'],
  // In the order in which the database writes fields.
  permissions: [{ Action: ['s3:PutObject'], Effect: 'Allow', Resource: 'arn:aws:s3:::orders/*' }],
  permissions_sha256: 'permissions',
  policy_digest: 'sha256:policy',
  max_uses: 1,
  valid_seconds: 7200,
  max_session_seconds: 900,
  approvals_needed: 1,
  requested_by: 'agent:orders-coder',
  barred_teams: [],
}

/** Fields of what was asked for that are signed as they are. */
export const SHOWN = [
  'agent',
  'environment',
  'tier',
  'account',
  'role_arn',
  'scopes',
  'permissions',
  'permissions_sha256',
  'policy_digest',
  'max_uses',
  'valid_seconds',
  'max_session_seconds',
  'approvals_needed',
] as const

function about({ entry }: Written) {
  const { agent, environment, request_id, policy_digest, permissions_sha256 } = entry
  return { agent, environment, request_id, policy_digest, permissions_sha256 }
}

/** What a verifier says: the first entry that is wrong, or nothing. */
export function verdict(log: readonly Written[], withPersonal = true): string | undefined {
  const authority = new Authority()
  for (const { entry, leaf, personal } of log) {
    try {
      authority.onEntry(entry, leaf, withPersonal ? personal : undefined)
    } catch (error) {
      if (!(error instanceof ProofError) || error.code !== 'authority_missing') throw error
      if (error.index !== entry.index) throw new Error('names another entry')
      return error.message
    }
  }
  return undefined
}

export function countsOf(log: readonly Written[]): AuthorityCounts {
  const authority = new Authority()
  for (const { entry, leaf, personal } of log) authority.onEntry(entry, leaf, personal)
  return authority.counts()
}

/** A log of bob's key, and one request; `more` goes on. */
export function wrote(more: (scribe: Scribe, asked: Written) => unknown, asked?: Fields): readonly Written[] {
  const scribe = new Scribe()
  scribe.enrol('bob')
  more(scribe, scribe.ask(asked))
  return scribe.log
}
