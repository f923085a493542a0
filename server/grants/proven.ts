import { LRUCache } from 'lru-cache'
import type { SignedDocument } from '../audit/proofs/document.js'
import { documentOf, proofProblem, readProof } from '../audit/proofs/proof.js'
import type { Database } from '../db/pool.js'
import type { GrantFact, ProvenApprovals } from '../types.js'
import { loadGrants, type StoredGrant } from './store.js'

/** Nothing about a grant's approvals changes once it is made; more than are live at a time anywhere. */
const REMEMBERED = 10_000

const NONE: ProvenApprovals = { signed: 0, byToken: 0, breakGlass: false }

/**
 * The grants of an agent in an environment, each with the approvals that hold. Every signature behind a live one is
 * checked once a replica before anything is issued on it, down to the keys: the database cannot check them, and a
 * thief of its login can write rows but sign nothing.
 */
export function createProvenGrants(
  database: Database,
): (agent: string, environment: string) => Promise<readonly GrantFact[]> {
  const known = new LRUCache<string, ProvenApprovals>({ max: REMEMBERED })
  const approvalsOf = async (grant: StoredGrant): Promise<ProvenApprovals> => {
    // Refused whatever stands behind it: not worth a query.
    if (grant.revokedAt !== undefined || grant.expiresAt.getTime() <= Date.now()) return NONE
    const before = known.get(grant.id)
    if (before !== undefined) return before
    const found = await proven(database, grant)
    known.set(grant.id, found)
    return found
  }
  return async (agent, environment) => {
    const grants = await loadGrants(database, agent, environment)
    return Promise.all(grants.map(async (grant) => ({ ...grant, approvals: await approvalsOf(grant) })))
  }
}

interface Behind {
  readonly request_id: string
  readonly role_arn: string
  readonly approvals: readonly {
    operator: string
    proof_kind: string
    proof: unknown
    break_glass: boolean
  }[]
  readonly keys: readonly KeyRow[]
}

interface KeyRow {
  readonly id: string
  readonly operator: string
  readonly kind: string
  readonly public_key: string
  /** Milliseconds since 1970. */
  readonly added_at: number
  readonly vouched_by: string | null
  readonly proof: unknown
}

async function proven(database: Database, grant: StoredGrant): Promise<ProvenApprovals> {
  // All keys: there are a few an operator, removed ones too, and each may rest on another's.
  const [row] = await database.query<{ behind: Behind }>(
    `SELECT jsonb_build_object('request_id', g.request_id, 'role_arn', g.role_arn,
       'approvals', coalesce((SELECT jsonb_agg(to_jsonb(d)) FROM writ.grant_decision d
         WHERE d.request_id = g.request_id AND d.decision = 'approve'), '[]'),
       'keys', coalesce((SELECT jsonb_agg(jsonb_build_object('id', k.id, 'operator', k.operator, 'kind', k.kind,
         'public_key', k.public_key, 'added_at', extract(epoch FROM k.added_at) * 1000, 'vouched_by', k.vouched_by,
         'proof', k.proof)) FROM writ.operator_key k), '[]')) AS behind
     FROM writ.grants g WHERE g.id = $1`,
    [grant.id],
  )
  if (row === undefined) return NONE
  const { behind } = row
  const signers = new Set<string>()
  const tokens = new Set<string>()
  let breakGlass = false
  for (const { operator, proof_kind, proof, break_glass } of behind.approvals) {
    if (proof_kind === 'fresh-token') tokens.add(operator)
    else if (approves(signedBy(proof, operator, behind.keys), operator, grant, behind, break_glass)) {
      signers.add(operator)
      breakGlass ||= break_glass
    }
  }
  return { signed: signers.size, byToken: tokens.size, breakGlass }
}

/** The document that this operator signed with a key of their own; undefined when there is no such thing. */
function signedBy(proof: unknown, operator: string, keys: readonly KeyRow[]): SignedDocument | undefined {
  const read = readProof(proof)
  const key = keys.find(({ id }) => id === read?.key_id)
  if (read === undefined || key?.operator !== operator) return undefined
  if (key.public_key !== read.public_key || key.kind !== read.kind || proofProblem(read) !== undefined)
    return undefined
  return isTheirs(key, keys) ? documentOf(read) : undefined
}

/** A key came with a code of the database's owner, or somebody else signed for it whose key was there before. */
function isTheirs(key: KeyRow, keys: readonly KeyRow[]): boolean {
  if (key.vouched_by === null) return true
  const earlier = keys.filter(({ added_at }) => added_at < key.added_at)
  const document = signedBy(key.proof, key.vouched_by, earlier)
  return (
    document?.type === 'writ.vouch.v1' &&
    document.voucher === key.vouched_by &&
    document.operator === key.operator &&
    document.key_id === key.id &&
    document.public_key === key.public_key
  )
}

function approves(
  document: SignedDocument | undefined,
  operator: string,
  grant: StoredGrant,
  { request_id, role_arn }: Behind,
  breakGlass: boolean,
): boolean {
  if (document?.type !== 'writ.decision.v1') return false
  const life = grant.expiresAt.getTime() - grant.notBefore.getTime()
  return (
    document.decision === 'approve' &&
    document.approver === operator &&
    document.request === request_id &&
    document.break_glass === breakGlass &&
    document.agent === grant.agent &&
    document.environment === grant.environment &&
    document.role_arn === role_arn &&
    document.scopes.join(' ') === grant.scopes.join(' ') &&
    document.policy_digest === grant.policyDigest &&
    document.permissions_sha256 === grant.permissionsSha256 &&
    document.max_uses === grant.maxUses &&
    document.max_session_seconds === grant.maxSessionSeconds &&
    life <= document.valid_seconds * 1000
  )
}
