import { asOwner } from '../server/db/owner.js'
import { createEnrolmentCode, enrolmentLink, LONGEST_CODE_SECONDS } from '../server/operators/codes.js'
import { clientEnvironment } from './environment.js'
import { usageError } from './exit.js'
import { type OwnerSide, onDatabase, ownerSide } from './owner-url.js'
import { findTarget } from './target.js'

export interface CodeOptions {
  readonly by: string
  /** Seconds. */
  readonly valid: number
}

export interface CodeAnswer {
  readonly operator: string
  readonly code: string
  /** Null where the address of the console is not known here. */
  readonly link: string | null
  /** ISO 8601 UTC. */
  readonly expires_at: string
}

/** A one-time code, made as the owner of the database. Throws `CliError`, `StartError`. */
export async function enrolmentCode(operator: string, { by, valid }: CodeOptions): Promise<CodeAnswer> {
  if (!/^[A-Za-z0-9][\x21-\x7e]{0,199}$/.test(operator)) {
    throw usageError(
      'That is no name of an operator.',
      'Give it as the record spells it: alice, email:bob@example.com.',
    )
  }
  if (by.trim() === '' || by.length > 200)
    throw usageError('Say who makes the code with --by, in 200 characters.')
  if (valid > LONGEST_CODE_SECONDS) {
    throw usageError(
      'A code is good for a day at most.',
      'Give --valid 24h or less, and make another if need be.',
    )
  }
  const side = await ownerSide()
  const { code, expiresAt } = await onDatabase(() =>
    asOwner(side.url, side.log, (owner) => createEnrolmentCode(owner, { operator, by, seconds: valid })),
  )
  const origin = consoleOrigin(side)
  return {
    operator,
    code,
    link: origin === undefined ? null : enrolmentLink(origin, operator, code),
    expires_at: expiresAt.toISOString(),
  }
}

/** Where browsers find the console: as configured, or as the local broker says. */
function consoleOrigin({ config }: OwnerSide): string | undefined {
  if (config.publicUrl !== undefined) return config.publicUrl
  const { local } = findTarget({ dataDir: config.dataDir }, clientEnvironment())
  return local === undefined ? undefined : new URL(local.consoleUrl).origin
}
