import {
  type CloseDocument,
  canonicalText,
  challengeOf,
  type SshProof,
} from '../server/audit/proofs/document.js'
import { signedDocument } from '../server/audit/proofs/schema.js'
import { sshProblem } from '../server/audit/proofs/ssh.js'
import { confirm } from './confirm.js'
import type { IncidentAnswer } from './evidence/types.js'
import { readBundle } from './evidence/verify.js'
import { CliError, EXIT } from './exit.js'
import { localKey } from './local-key.js'
import { type BrokerOptions, connect } from './options.js'
import { answer, fields, note, sayInstant } from './output.js'
import type { SoftwareKey } from './software-key.js'
import { findKeyFile, readKeyFile, sshSign } from './ssh-sign.js'

interface Asked {
  readonly challenge: string
  readonly document: string
  readonly keys: readonly { readonly id: string; readonly kind: string }[]
}

export interface CloseOptions extends BrokerOptions {
  /** Folder. */
  readonly evidence: string
  readonly key?: string
  readonly yes?: boolean
}

/**
 * Signs that an incident is over, after reading the evidence in a folder: what is signed has the hash of just that. With a
 * FIDO2 key of this desk, or the software key of local mode. Throws `CliError`.
 */
export async function closeWithKey(id: string, options: CloseOptions): Promise<void> {
  const { broker, target } = connect('operator', options)
  const { hash } = await readBundle(options.evidence)
  const path = `/v1/incidents/${encodeURIComponent(id)}`
  const incident = await broker.get<IncidentAnswer>(path)
  const { local } = target
  // Made and enrolled at its first use: without a key there is nothing that could be asked for.
  const software =
    options.as !== undefined && local !== undefined
      ? await localKey(local.dataDir, local.consoleUrl, options.as, broker)
      : undefined
  const asked = await broker.send<Asked>('POST', `${path}/challenge`, { evidence: hash })
  const document = checkedDocument(asked.document, incident, hash)
  note(shown(incident, document))
  const proof =
    software === undefined
      ? await signedBySsh(asked, document, options.key)
      : await signedLocally(software, asked, options.yes === true)
  const done = await broker.send<{ closed: boolean; signed: number; needed: number }>(
    'POST',
    `${path}/close`,
    {
      challenge: asked.challenge,
      proof,
    },
  )
  answer(options, done, () =>
    done.closed
      ? `Incident ${id} is closed.`
      : `Signed, ${done.signed} of ${done.needed}. Somebody else has to sign over the same evidence: writ incident close ${id} --evidence FOLDER`,
  )
}

function shown(incident: IncidentAnswer, document: CloseDocument): string {
  const missing = incident.stages.filter(({ stage, steps }) => stage !== 'stop' && steps.length === 0)
  return fields([
    ['Incident', incident.id],
    ['Agent', incident.agent],
    ['Opened', `${sayInstant(incident.opened_at)} by ${incident.opened_by}`],
    ['Because', incident.reason ?? '(erased)'],
    ['Stop', incident.stop.state],
    ['Nothing recorded at', missing.length === 0 ? null : missing.map(({ stage }) => stage).join(', ')],
    ['Evidence', document.evidence],
    ['Signed already', incident.closing.signed.map(({ operator }) => operator).join(', ') || null],
    ['Signed for', document.origin],
    ['As', document.operator],
  ])
}

/** A broker that shows one incident and has another signed ends here. */
function checkedDocument(text: string, incident: IncidentAnswer, evidence: string): CloseDocument {
  const value: unknown = JSON.parse(text)
  const parsed = signedDocument.safeParse(value)
  if (!parsed.success || parsed.data.type !== 'writ.close.v1' || canonicalText(value) !== text)
    throw problem(
      EXIT.unexpected,
      'document_not_understood',
      'What the broker wants signed cannot be shown whole.',
    )
  const { data: document } = parsed
  if (
    document.incident === incident.id &&
    document.agent === incident.agent &&
    document.evidence === evidence
  )
    return document
  throw problem(
    EXIT.request,
    'signed_something_else',
    'What the broker wants signed is not this incident with this evidence.',
    'Do not sign; tell whoever runs the broker.',
  )
}

const QUESTION = 'Have you read the evidence, and is this incident over?'

async function signedLocally(key: SoftwareKey, asked: Asked, yes: boolean) {
  if (!yes) await confirm(QUESTION)
  return key.sign(challengeOf(asked.document))
}

/** Checked here as the broker will: somebody at the key learns at once what was wrong. */
async function signedBySsh(asked: Asked, document: CloseDocument, file: string | undefined) {
  const mine = new Set(asked.keys.filter(({ kind }) => kind === 'ssh-sk').map((key) => key.id))
  const key = file === undefined ? await findKeyFile(mine) : await readKeyFile(file)
  if (key === undefined || !mine.has(key.key_id)) {
    const next = 'Give --key, or propose one: writ keys add'
    throw problem(EXIT.refused, 'key_unknown', 'No FIDO2 SSH key of yours is here.', next)
  }
  // No --yes for a key: whatever could give it could close an incident without its human.
  await confirm(QUESTION)
  const { key_id, public_key } = key
  const within = Date.parse(document.expires_at) - Date.parse(document.issued_at)
  const signature = await sshSign(key, asked.document, within)
  const proof: SshProof = { kind: 'ssh-sk', document: asked.document, key_id, public_key, signature }
  const wrong = sshProblem(proof)
  if (wrong !== undefined)
    throw problem(EXIT.refused, 'signature_invalid', `${wrong} Nothing was signed for.`)
  return { kind: 'ssh-sk' as const, key_id, signature }
}

const problem = (
  exit: ConstructorParameters<typeof CliError>[0],
  code: string,
  detail: string,
  next = 'See it: writ incident show ID',
): CliError => new CliError(exit, { title: 'Not closed', code, detail, next })
