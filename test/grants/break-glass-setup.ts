import { createHash, randomBytes } from 'node:crypto'
import { canonicalText } from '../../server/audit/proofs/document.js'
import { newId } from '../../server/issuance/id.js'
import { requestArgument } from '../support/items.js'
import type { Ledger } from '../support/ledger.js'

export type Fields = Record<string, unknown>
interface Argument extends Fields {
  proof: { document: string }
}

export const WHY = 'The shop is down and nobody else answers'

export function desk(ledger: Ledger) {
  const call = async (name: string, argument: object): Promise<Fields> => {
    const rows = await ledger.broker.query<{ answer: Fields }>(`SELECT writ.${name}($1::jsonb) AS answer`, [
      JSON.stringify(argument),
    ])
    return rows[0]?.answer ?? {}
  }
  const decide = (argument: object) => call('decide_grant_request', argument)
  const open = async (change: Fields = {}) => {
    const asked = requestArgument({ limit_pending: false, destroys: false, approvals_needed: 2, ...change })
    await call('open_grant_request', asked)
    return asked
  }
  /** Signed, with the comment's hash in the document. */
  const glass = async (asked: Fields, operator: string, change: Fields = {}, document: Fields = {}) => {
    const comment = change.comment === undefined ? WHY : String(change.comment)
    const salt = randomBytes(16)
    const hash = createHash('sha256').update(Uint8Array.of(3)).update(salt).update(comment).digest('hex')
    const signed = (await ledger.sign(asked, operator)) as Argument
    const text = canonicalText({
      ...JSON.parse(signed.proof.document),
      break_glass: true,
      comment: hash,
      ...document,
    })
    const challenge = newId()
    await call('put_challenge', {
      id: challenge,
      purpose: 'decision',
      operator,
      document: text,
      seconds: 300,
    })
    const proof = { ...signed.proof, document: text }
    const said = { comment, comment_salt: salt.toString('hex'), break_glass: true }
    return { ...signed, proof, challenge, ...said, ...change }
  }
  return {
    call,
    decide,
    open,
    glass,
    broken: async (change: Fields = {}, operator = 'bob') => {
      const asked = await open(change)
      return decide(await glass(asked, operator))
    },
    /** As if a day had passed. */
    overdue: async (grant: unknown) => {
      await ledger.owner.query('ALTER TABLE writ.break_glass DISABLE TRIGGER guard')
      await ledger.owner.query(
        "UPDATE writ.break_glass SET at = at - interval '24 hours', review_due = review_due - interval '24 hours' WHERE grant_id = $1",
        [grant],
      )
      await ledger.owner.query('ALTER TABLE writ.break_glass ENABLE TRIGGER guard')
    },
  }
}
