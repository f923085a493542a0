import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { WritError } from '../errors.js'
import type { Iam } from '../types-aws.js'
import { countedSize, DENY_POLICY, oursIn, type Rendered, renderDeny } from './deny-document.js'
import type { Claim, DenyStore } from './deny-store.js'

/** Why nothing is written, beside the codes of `WritError`: what the log and the state of a stop say. */
export type DenyProblem = 'role_missing' | 'deny_no_room' | 'deny_unconfirmed' | 'deny_unreadable'

export class DenyError extends Error {
  override readonly name = 'DenyError'
  readonly code: DenyProblem

  constructor(code: DenyProblem) {
    super(code)
    this.code = code
  }
}

/** IAM is eventually consistent: what was just written may be read in its old form for a moment. Milliseconds. */
const READ_AGAIN_MS = [100, 300, 1_000]

/** What was done to a role; `overtaken` when somebody else has claimed it since. */
export type Done = 'written' | 'checked' | 'overtaken'

/**
 * Has one role say what it has to: looks, writes where it does not, reads back, and only then calls it written. Throws
 * `DenyError`, `WritError` of IAM, `DatabaseError`.
 *
 * Durable at each point: before the put, that it is asked for; after it the Deny in IAM, which nobody claims to be there
 * yet (whoever claims the role next finds it as it should be); after the mark both.
 */
export async function writeRole(iam: Iam, store: DenyStore, claim: Claim): Promise<Done> {
  const { roleArn } = claim
  const before = await read(iam, roleArn)
  const settled = claim.kills.every(({ written, over }) => written && !over)
  if (settled) {
    const expected = (document: string | undefined): boolean =>
      hash(oursIn(document)) === claim.statementsSha256
    if (expected(before) || (await readsAs(iam, roleArn, expected)))
      return (await store.checked(claim)) ? 'checked' : 'overtaken'
    if (!(await store.drifted(claim))) return 'overtaken'
  }
  const rendered = await put(iam, claim, before)
  const wanted = oursIn(rendered.document)
  if (oursIn(before) !== wanted && !(await readsAs(iam, roleArn, (document) => oursIn(document) === wanted)))
    throw new DenyError('deny_unconfirmed')
  const marked = await store.written(claim, {
    widened: rendered.widened,
    documentSha256: hash(rendered.document),
    statementsSha256: hash(wanted),
  })
  if (marked) return 'written'
  // We were paused, and somebody else wrote: ours may lie over theirs now.
  await store.recheck(roleArn)
  return 'overtaken'
}

/** Writes what is not there yet. How large the other policies are is asked only when IAM finds all too large. */
async function put(iam: Iam, { roleArn, kills }: Claim, before: string | undefined): Promise<Rendered> {
  const alive = kills.filter(({ over }) => !over)
  const rendered = renderDeny(alive, before, 0)
  if (oursIn(before) === oursIn(rendered.document)) return rendered
  try {
    await change(iam, roleArn, rendered)
    return rendered
  } catch (error) {
    if (!(error instanceof WritError) || error.extra.limit !== true) throw error
  }
  const smaller = renderDeny(alive, before, await sizeOfOthers(iam, roleArn))
  if (!smaller.fits) throw new DenyError('deny_no_room')
  if (oursIn(before) !== oursIn(smaller.document)) await change(iam, roleArn, smaller)
  return smaller
}

async function change(iam: Iam, roleArn: string, { document }: Rendered): Promise<void> {
  if (document === undefined) return await iam.deleteInlinePolicy(roleArn, DENY_POLICY)
  try {
    await iam.putInlinePolicy(roleArn, DENY_POLICY, document)
  } catch (error) {
    // Its sessions are not known to be dead: nothing of it may count as written.
    if (error instanceof WritError && error.extra.missing === true) throw new DenyError('role_missing')
    throw error
  }
}

async function sizeOfOthers(iam: Iam, roleArn: string): Promise<number> {
  const names = (await iam.inlinePolicies(roleArn)).filter((name) => name !== DENY_POLICY)
  const documents = await Promise.all(names.map((name) => iam.inlinePolicy(roleArn, name)))
  return documents.reduce((sum, document) => sum + (document === undefined ? 0 : countedSize(document)), 0)
}

async function read(iam: Iam, roleArn: string): Promise<string | undefined> {
  const document = await iam.inlinePolicy(roleArn, DENY_POLICY)
  try {
    oursIn(document)
  } catch {
    throw new DenyError('deny_unreadable')
  }
  return document
}

async function readsAs(
  iam: Iam,
  roleArn: string,
  expected: (document: string | undefined) => boolean,
): Promise<boolean> {
  for (const wait of [0, ...READ_AGAIN_MS]) {
    if (wait > 0) await delay(wait)
    if (expected(await read(iam, roleArn))) return true
  }
  return false
}

const hash = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : createHash('sha256').update(text).digest('hex')
