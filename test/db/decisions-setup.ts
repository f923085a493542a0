import { canonicalText } from '../../server/audit/proofs/document.js'
import { newId } from '../../server/issuance/id.js'
import { requestArgument } from '../support/items.js'
import type { Ledger } from '../support/ledger.js'

export type Fields = Record<string, unknown>
export interface Argument extends Fields {
  proof: { kind: string; document: string; key_id: string; public_key: string }
}

/** What the broker's login can ask of the database, and what it is answered. */
export function desk(ledger: Ledger) {
  const call = async (name: string, argument: object): Promise<Fields> => {
    const rows = await ledger.broker.query<{ answer: Fields }>(`SELECT writ.${name}($1::jsonb) AS answer`, [
      JSON.stringify(argument),
    ])
    return rows[0]?.answer ?? {}
  }
  const put = async (document: string, operator: string) => {
    const id = newId()
    await call('put_challenge', { id, purpose: 'decision', operator, document, seconds: 300 })
    return id
  }
  return {
    open: async (change: Fields = {}) => {
      const asked = requestArgument({ limit_pending: false, destroys: false, ...change })
      await call('open_grant_request', asked)
      return asked
    },
    sign: async (asked: Fields, operator: string, change?: Fields) =>
      (await ledger.sign(asked, operator, change)) as Argument,
    put,
    /** The same with another document, honestly asked for. */
    altered: async (argument: Argument, change: (document: Fields) => Fields) => {
      const document = canonicalText(change(JSON.parse(argument.proof.document)))
      const challenge = await put(document, String(argument.operator))
      return { ...argument, challenge, proof: { ...argument.proof, document } }
    },
    decide: (argument: object) => call('decide_grant_request', argument),
    call,
  }
}
