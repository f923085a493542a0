import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { challengeOf } from '../server/audit/proofs/document.js'
import { asOwner, localOwnerUrl } from '../server/db/owner.js'
import { createLog } from '../server/log.js'
import { createEnrolmentCode } from '../server/operators/codes.js'
import type { Decided, GrantRequest } from './api.js'
import type { BrokerClient } from './client.js'
import { type ChallengeAnswer, checkDocument, type DecisionWish } from './decision-document.js'
import { usageError } from './exit.js'
import { note } from './output.js'
import { createSoftwareKey, type SoftwareKey, type StoredKey, storedSoftwareKey } from './software-key.js'

interface Enrolling {
  readonly challenge: string
  readonly options: { readonly challenge: string }
}

/**
 * The software key that signs for an operator of local mode (`--as`), made and enrolled at its first use, with a code
 * of the embedded database's owner. As good as the token that `--as` makes: both are for whoever can read the data
 * folder of this machine.
 */
export async function localKey(
  dataDir: string,
  consoleUrl: string,
  operator: string,
  broker: BrokerClient,
): Promise<SoftwareKey> {
  if (!/^[a-z0-9][a-z0-9-]*$/.test(operator)) throw usageError('That is no name of an operator.', 'See --as.')
  const folder = join(dataDir, 'operator-keys')
  const file = join(folder, `${operator}.json`)
  const kept = read(file)
  // Bound to the console's address: on another port it is another console.
  if (kept?.origin === consoleUrl) return storedSoftwareKey(kept)
  const key = createSoftwareKey({ rpId: new URL(consoleUrl).hostname, origin: consoleUrl })
  const { code } = await asOwner(await localOwnerUrl(dataDir), createLog('silent'), (owner) =>
    createEnrolmentCode(owner, { operator, by: 'local mode', seconds: 60 }),
  )
  const { challenge, options } = await broker.send<Enrolling>('POST', '/v1/operator-keys/enrol/options', {
    operator,
    code,
  })
  await broker.send('POST', '/v1/operator-keys/enrol', {
    operator,
    code,
    challenge,
    credential: key.register(Buffer.from(options.challenge, 'base64url')),
    label: 'software key, local mode',
  })
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(`${file}.new`, JSON.stringify(key.store()), { mode: 0o600 })
  renameSync(`${file}.new`, file)
  note(
    `Made a software key for ${operator}, for local mode only. In production it is a passkey or security key.`,
  )
  return key
}

/** Asks for what is to be signed, holds it against what was shown, and sends the signature. */
export async function signAndSend(
  broker: BrokerClient,
  key: SoftwareKey,
  request: GrantRequest,
  wish: DecisionWish,
): Promise<Decided> {
  const path = `/v1/grant-requests/${encodeURIComponent(request.id)}`
  const asked = await broker.send<ChallengeAnswer>('POST', `${path}/challenge`, wish)
  checkDocument(asked, request, wish)
  return broker.send<Decided>('POST', `${path}/decisions`, {
    challenge: asked.challenge,
    proof: key.sign(challengeOf(asked.document)),
  })
}

function read(file: string): StoredKey | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StoredKey
  } catch {
    return undefined
  }
}
