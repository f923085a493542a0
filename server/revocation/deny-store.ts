import type { Database } from '../db/pool.js'
import { type Kill, secondAfter } from './deny-statements.js'

/** A role that this worker writes for the time being. */
export interface Claim {
  readonly roleArn: string
  readonly fence: number
  /** Failed ones in a row before this one. */
  readonly attempts: number
  /** Of our statements as they were written last; undefined where there are to be none. */
  readonly statementsSha256: string | undefined
  readonly kills: readonly ClaimedKill[]
}

export interface ClaimedKill extends Kill {
  /** As the database has it: only a kill that still says so is marked. */
  readonly cutoff: string
  readonly written: boolean
  /** Every session of it has ended by itself. */
  readonly over: boolean
}

export interface Written {
  readonly widened: ReadonlySet<number>
  /** Of the whole document; undefined where the policy was removed. */
  readonly documentSha256: string | undefined
  readonly statementsSha256: string | undefined
}

/** What writing denies needs of the database. Everything throws `DatabaseError`. False: somebody else claimed it since. */
export interface DenyStore {
  readonly claim: (
    holder: string,
    seconds: number,
    most: number,
    busy: readonly string[],
  ) => Promise<readonly Claim[]>
  readonly written: (claim: Claim, what: Written) => Promise<boolean>
  readonly checked: (claim: Claim) => Promise<boolean>
  readonly drifted: (claim: Claim) => Promise<boolean>
  readonly failed: (claim: Claim, code: string, delayMs: number) => Promise<boolean>
  readonly recheck: (roleArn: string) => Promise<void>
  /** How many roles the log was told of. */
  readonly tell: () => Promise<number>
}

interface ClaimRow {
  readonly role_arn: string
  readonly fence: number
  readonly attempts: number
  readonly statements_sha256: string | null
  readonly kills: readonly Omit<ClaimedKill, 'before'>[]
}

export function denyStore(database: Database): DenyStore {
  const says = async (text: string, values: readonly unknown[]): Promise<boolean> => {
    const [row] = await database.query<{ ok: boolean }>(`SELECT ${text} AS ok`, values)
    return row?.ok === true
  }
  return {
    async claim(holder, seconds, most, busy) {
      const rows = await database.query<{ claim: ClaimRow }>(
        'SELECT claim FROM writ.claim_denies($1, $2, $3, $4) AS claim',
        [holder, seconds, most, busy],
        { name: 'writ.claim_denies' },
      )
      return rows.map(({ claim }) => ({
        roleArn: claim.role_arn,
        fence: claim.fence,
        attempts: claim.attempts,
        statementsSha256: claim.statements_sha256 ?? undefined,
        kills: claim.kills.map((kill) => ({ ...kill, before: secondAfter(kill.cutoff) })),
      }))
    },
    written: ({ roleArn, fence, kills }, { widened, documentSha256, statementsSha256 }) =>
      says('writ.deny_written($1::jsonb)', [
        JSON.stringify({
          role_arn: roleArn,
          fence,
          kills: kills
            .filter(({ over }) => !over)
            .map(({ id, cutoff }) => ({ id, cutoff, widened: widened.has(id) })),
          over: kills.filter(({ over }) => over).map(({ id }) => id),
          document_sha256: documentSha256,
          statements_sha256: statementsSha256,
        }),
      ]),
    checked: ({ roleArn, fence }) => says('writ.deny_checked($1, $2)', [roleArn, fence]),
    drifted: ({ roleArn, fence }) => says('writ.deny_drifted($1, $2)', [roleArn, fence]),
    failed: ({ roleArn, fence }, code, delayMs) =>
      says('writ.deny_failed($1, $2, $3, $4)', [roleArn, fence, code, delayMs]),
    async recheck(roleArn) {
      await database.query('SELECT writ.recheck_deny($1)', [roleArn])
    },
    async tell() {
      const [row] = await database.query<{ n: number }>('SELECT writ.tell_denies() AS n', [], {
        name: 'writ.tell_denies',
      })
      return row?.n ?? 0
    },
  }
}
