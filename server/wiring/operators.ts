import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../config.js'
import { StartError } from '../errors.js'
import type { SigningKeys } from '../grants/request.js'
import { attestationRule } from '../operators/attestation.js'
import { verifyAssertion } from '../operators/ceremonies.js'
import { type OperatorDeps, relyingParty } from '../operators/deps.js'
import { keysOf } from '../operators/keys.js'

/**
 * Where browsers reach the console. In local mode a free port is known only once the broker listens; nobody asks
 * before.
 */
export function originOf(config: Config, app: () => FastifyInstance | undefined): () => string {
  return () => {
    if (config.publicUrl !== undefined) return config.publicUrl
    const address = app()?.server.address() as AddressInfo | string | null | undefined
    const port = typeof address === 'object' && address !== null ? address.port : config.port
    return `http://localhost:${port}`
  }
}

/** Which authenticators may enrol, where it matters. Throws `StartError`. */
export function attestationOf({ passkeyModels: models }: Config): Pick<OperatorDeps, 'attestation'> {
  if (models === undefined) return {}
  return { attestation: attestationRule(models.aaguids, read(models.rootsFile)) }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw new StartError(`WRIT_PASSKEY_ROOTS_FILE names a file that cannot be read: ${file}.`)
  }
}

/** The keys of operators, as deciding needs them. */
export function signingKeys(operators: OperatorDeps): SigningKeys {
  return {
    of: (operator) => keysOf(operators, operator),
    verifyPasskey: (key, proof, challenge) => verifyAssertion(key, proof, challenge, relyingParty(operators)),
  }
}
