import { denialKey } from '../audit/items.js'
import { readSshPublicKey } from '../audit/proofs/ssh.js'
import { WritError } from '../errors.js'
import type { Attempts } from './attempts.js'
import { type RegistrationJson, registrationOptions, verifyRegistration } from './ceremonies.js'
import { putChallenge, randomChallenge, takeChallenge } from './challenges.js'
import { codeHash } from './codes.js'
import { type OperatorDeps, relyingParty } from './deps.js'
import { keysOf } from './keys.js'
import { assertFresh, type Caller, callKeyFunction, type From, refuse } from './store.js'

/** What `navigator.credentials.create` is to be called with, and which challenge that answers. */
export interface RegistrationOptions {
  readonly challenge: string
  readonly expires_at: string
  readonly options: Awaited<ReturnType<typeof registrationOptions>>
}

export interface PasskeyAnswer {
  /** Id of the challenge. */
  readonly challenge: string
  readonly credential: RegistrationJson
  readonly label: string
}

/** Somebody who is not signed in, with a one-time code. */
export interface CodeHolder {
  readonly operator: string
  readonly code: string
  readonly ip: string
  /** Id of the HTTP request. */
  readonly request: string
  readonly said: From
}

/**
 * First step with a code, which is looked at and not used up. Whoever has none learns nothing: neither a challenge nor
 * whether there is such an operator. Throws `WritError` code_unusable, code_attempts; both are recorded or counted.
 */
export async function codeOptions(
  deps: OperatorDeps,
  attempts: Attempts,
  holder: CodeHolder,
): Promise<RegistrationOptions> {
  await assertCode(deps, attempts, holder)
  return options(deps, holder.operator)
}

/**
 * Second step: the key is the operator's, and the code is used up. Throws `WritError` code_unusable, code_attempts,
 * challenge_over, signature_invalid, authenticator_not_allowed, key_taken.
 */
export async function enrolWithCode(
  deps: OperatorDeps,
  attempts: Attempts,
  holder: CodeHolder,
  answer: PasskeyAnswer,
): Promise<{ readonly key_id: string }> {
  const code = await assertCode(deps, attempts, holder)
  const key = await newPasskey(deps, holder.operator, answer)
  const done = await callKeyFunction(deps.database, 'add_key_with_code', {
    operator: holder.operator,
    code_sha256: code,
    key,
    ...holder.said,
  })
  if (done.status === 'refused') throw refuse(done.code)
  return { key_id: key.id }
}

/** First step of proposing a passkey of one's own. Throws `WritError` proof_stale. */
export async function proposalOptions(deps: OperatorDeps, caller: Caller): Promise<RegistrationOptions> {
  assertFresh(caller, deps.now())
  return options(deps, caller.operator.name)
}

export type ProposedKey =
  | ({ readonly kind: 'passkey' } & PasskeyAnswer)
  /** A line of a `.pub` file. */
  | { readonly kind: 'ssh-sk'; readonly public_key: string; readonly label: string }

/**
 * Proposes a key of one's own, which somebody else then vouches for within a day. Throws `WritError` proof_stale,
 * challenge_over, signature_invalid, authenticator_not_allowed, request_invalid, key_taken, keys_pending.
 */
export async function proposeKey(
  deps: OperatorDeps,
  caller: Caller,
  proposed: ProposedKey,
): Promise<{ readonly proposal: string; readonly key_id: string }> {
  assertFresh(caller, deps.now())
  const { name } = caller.operator
  const key = proposed.kind === 'passkey' ? await newPasskey(deps, name, proposed) : newSshKey(deps, proposed)
  const id = deps.newId()
  const answer = await callKeyFunction(deps.database, 'propose_key', {
    id,
    operator: name,
    key,
    ...caller.said,
  })
  if (answer.status === 'refused') throw refuse(answer.code)
  return { proposal: id, key_id: key.id }
}

async function options(deps: OperatorDeps, operator: string): Promise<RegistrationOptions> {
  const challenge = randomChallenge()
  const { id, expiresAt, seconds } = await putChallenge(deps, {
    purpose: 'register',
    operator,
    document: challenge.toString('base64url'),
  })
  const have = (await keysOf(deps, operator)).filter(({ kind }) => kind === 'passkey')
  return {
    challenge: id,
    expires_at: expiresAt.toISOString(),
    options: await registrationOptions(relyingParty(deps), {
      operator,
      challenge,
      seconds,
      have,
      attestation: deps.attestation,
    }),
  }
}

async function newPasskey(deps: OperatorDeps, operator: string, answer: PasskeyAnswer) {
  const challenge = await takeChallenge(deps, answer.challenge, 'register')
  if (challenge.operator !== operator) throw refuse('challenge_over')
  return verifyRegistration(
    relyingParty(deps),
    answer.credential,
    Buffer.from(challenge.document, 'base64url'),
    answer.label,
    deps.attestation,
  )
}

function newSshKey(deps: OperatorDeps, { public_key, label }: { public_key: string; label: string }) {
  // An SSH public key comes without a certificate of the authenticator: a rule about models could not be kept.
  if (deps.attestation !== undefined) {
    throw new WritError(
      'authenticator_not_allowed',
      'An SSH key does not prove the model of its authenticator.',
    )
  }
  const read = readSshPublicKey(public_key)
  if (read === undefined) {
    throw new WritError(
      'request_invalid',
      'This is not the public key of a FIDO2 authenticator; make one with `ssh-keygen -t ed25519-sk -O verify-required`.',
    )
  }
  return { id: read.key_id, kind: read.kind, public_key: read.public_key, label }
}

/** Answers the hash of the code. */
async function assertCode(deps: OperatorDeps, attempts: Attempts, holder: CodeHolder): Promise<string> {
  const takeBack = attempts.begin(holder.ip)
  const hash = codeHash(holder.code)
  const [row] = await deps.database.query<{ usable: boolean }>('SELECT writ.code_usable($1, $2) AS usable', [
    // One that cannot be is looked up too: how long an answer takes tells nothing either.
    hash ?? '',
    holder.operator,
  ])
  if (hash !== undefined && row?.usable === true) {
    takeBack()
    return hash
  }
  await deps.record({
    op: 'denial',
    kind: 'operator.refused',
    key: denialKey('enrolment-code', holder.ip),
    // The name is what a stranger wrote: it stands beside the log, and can be erased.
    fields: { code: 'code_unusable' },
    payload: { request: holder.request },
    personal: { subject: holder.operator, ...holder.said.personal },
    seen: holder.said.seen,
  })
  throw refuse('code_unusable')
}
