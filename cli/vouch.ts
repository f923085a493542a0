import { canonicalText, type SshProof, type VouchDocument } from '../server/audit/proofs/document.js'
import { keyCode } from '../server/audit/proofs/key-code.js'
import { signedDocument } from '../server/audit/proofs/schema.js'
import { sshProblem } from '../server/audit/proofs/ssh.js'
import type { BrokerClient } from './client.js'
import { confirm } from './confirm.js'
import { CliError, EXIT } from './exit.js'
import { type BrokerOptions, connect } from './options.js'
import { answer, fields, note } from './output.js'
import { findKeyFile, readKeyFile, type SshKeyFile, sshSign } from './ssh-sign.js'

export interface Proposal {
  readonly id: string
  readonly operator: string
  readonly key_id: string
  readonly kind: 'passkey' | 'ssh-sk'
  readonly public_key: string
  readonly label: string
  readonly expires_at: string
  readonly may_vouch: boolean
}

interface Asked {
  readonly challenge: string
  readonly document: string
  readonly keys: readonly { readonly id: string; readonly kind: string }[]
}

export const listProposals = (broker: BrokerClient) =>
  broker.get<{ readonly items: readonly Proposal[] }>('/v1/operator-keys/proposals')

/**
 * Shows whose key it is said to be, asks, and has a key of this desk sign that. There is no `--yes`: what could give
 * it could vouch without its human. Throws `CliError`.
 */
export async function vouchWithKey(id: string, options: BrokerOptions & { key?: string }): Promise<void> {
  const { broker } = connect('operator', options)
  const proposal = (await listProposals(broker)).items.find((one) => one.id === id)
  if (proposal === undefined) throw problem(EXIT.request, 'not_found', `No key waits as ${id}.`)
  const path = `/v1/operator-keys/proposals/${encodeURIComponent(id)}`
  const asked = await broker.send<Asked>('POST', `${path}/challenge`, {})
  const document = checkedDocument(asked.document, proposal)
  const mine = new Set(asked.keys.filter(({ kind }) => kind === 'ssh-sk').map((key) => key.id))
  const key = options.key === undefined ? await findKeyFile(mine) : await readKeyFile(options.key)
  if (key === undefined || !mine.has(key.key_id)) {
    throw problem(
      EXIT.refused,
      'key_unknown',
      'No FIDO2 SSH key of yours is here.',
      'Vouch at the console, under Your keys, or give --key.',
    )
  }
  note(shown(document))
  await confirm(`Did ${document.operator} tell you themselves that this key is theirs?`)
  const signature = await signed(key, asked.document, document)
  const proof = { kind: 'ssh-sk', key_id: key.key_id, signature }
  const done = await broker.send<object>('POST', `${path}/vouch`, { challenge: asked.challenge, proof })
  answer(options, done, () => `The key ${document.key_id} is ${document.operator}'s now.`)
}

const shown = (document: VouchDocument): string =>
  fields([
    ['Operator', document.operator],
    ['Key', document.key_id],
    ['Kind', document.key_kind],
    ['Code', `${keyCode(document.public_key)} (their console shows the same)`],
    ['They call it', document.label],
    ['Signed for', document.origin],
    ['As', document.voucher],
  ])

/** A broker that shows one key and has another signed ends here. */
function checkedDocument(text: string, proposal: Proposal): VouchDocument {
  const value: unknown = JSON.parse(text)
  const parsed = signedDocument.safeParse(value)
  if (!parsed.success || parsed.data.type !== 'writ.vouch.v1' || canonicalText(value) !== text) {
    throw problem(
      EXIT.unexpected,
      'document_not_understood',
      'What the broker wants signed cannot be shown whole.',
    )
  }
  const document = value as VouchDocument
  const same =
    document.proposal === proposal.id &&
    document.operator === proposal.operator &&
    document.key_id === proposal.key_id &&
    document.key_kind === proposal.kind &&
    document.public_key === proposal.public_key &&
    document.label === proposal.label
  if (same) return document
  throw problem(
    EXIT.request,
    'signed_something_else',
    'What the broker wants signed is not the key it showed.',
    'Do not sign; tell whoever runs the broker.',
  )
}

/** Checked here as the broker will: somebody at the key learns at once what was wrong. */
async function signed(key: SshKeyFile, text: string, document: VouchDocument): Promise<string> {
  const { key_id, public_key } = key
  const within = Date.parse(document.expires_at) - Date.parse(document.issued_at)
  const signature = await sshSign(key, text, within)
  const proof: SshProof = { kind: 'ssh-sk', document: text, key_id, public_key, signature }
  const wrong = sshProblem(proof)
  if (wrong === undefined) return signature
  throw problem(EXIT.refused, 'signature_invalid', `${wrong} Nothing was signed for.`)
}

const problem = (
  exit: ConstructorParameters<typeof CliError>[0],
  code: string,
  detail: string,
  next = 'List them: writ keys proposals',
): CliError => new CliError(exit, { title: 'Not vouched', code, detail, next })
