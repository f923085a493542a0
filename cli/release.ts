import {
  canonicalText,
  challengeOf,
  type ReleaseDocument,
  type SshProof,
} from '../server/audit/proofs/document.js'
import { signedDocument } from '../server/audit/proofs/schema.js'
import { sshProblem } from '../server/audit/proofs/ssh.js'
import type { BrokerClient } from './client.js'
import { confirm } from './confirm.js'
import { CliError, EXIT } from './exit.js'
import { localKey } from './local-key.js'
import { type BrokerOptions, connect } from './options.js'
import { answer, fields, note } from './output.js'
import { type Stop, sayTarget, showStop } from './show-stop.js'
import { findKeyFile, readKeyFile, sshSign } from './ssh-sign.js'

export interface ReleaseOptions extends BrokerOptions {
  readonly key?: string
  readonly yes?: boolean
}

interface Asked {
  readonly challenge: string
  readonly document: string
  readonly keys: readonly { readonly id: string; readonly kind: string }[]
}

interface Released {
  readonly released: boolean
  readonly signed: number
  readonly needed: number
}

/**
 * Shows what is stopped and what is to be signed, asks, and signs it with a FIDO2 key of this desk, or the software key
 * of local mode. Throws `CliError`.
 */
export async function releaseWithKey(
  kind: Stop['kind'],
  name: string | undefined,
  options: ReleaseOptions,
): Promise<void> {
  const { broker, target } = connect('operator', options)
  const stop = await engaged(broker, kind, name)
  const path = `/v1/stops/${encodeURIComponent(stop.id)}`
  const { local } = target
  // Before anything is asked for: at its first use the key of local mode is made here.
  const software =
    options.as !== undefined && local !== undefined
      ? await localKey(local.dataDir, local.consoleUrl, options.as, broker)
      : undefined
  const asked = await broker.send<Asked>('POST', `${path}/challenge`)
  const document = checkedDocument(asked.document, stop)
  note(`${showStop(stop)}\n\nTo be signed, that this stop may end:\n${shown(document)}`)
  // No --yes for another key: whatever could give it could release without its human.
  if (software === undefined || options.yes !== true) await confirm('Release it?')
  const proof =
    software === undefined
      ? await signedBySsh(asked, document, options.key)
      : software.sign(challengeOf(asked.document))
  const done = await broker.send<Released>('POST', `${path}/release`, { challenge: asked.challenge, proof })
  answer(options, done, () =>
    done.released
      ? `Released: ${sayTarget(stop)} goes on. Sessions from before stay denied.`
      : `Signed: ${done.signed} of ${done.needed}. It stays stopped until somebody else signs too: ${again(stop)}`,
  )
}

const again = ({ kind, name }: Stop): string => `writ release ${kind}${name === null ? '' : ` ${name}`}`

/** A human's comes before one of the broker's own. */
async function engaged(broker: BrokerClient, kind: Stop['kind'], name: string | undefined): Promise<Stop> {
  const query = { state: 'engaged', limit: 500 }
  const { items } = await broker.get<{ readonly items: readonly Stop[] }>('/v1/stops', query)
  const here = items.filter(
    (one) => one.kind === kind && (one.name ?? '').toLowerCase() === (name ?? '').toLowerCase(),
  )
  const stop = here.find((one) => !one.automatic) ?? here[0]
  if (stop !== undefined) return stop
  throw problem(EXIT.request, 'not_stopped', `There is no stop on ${sayTarget({ kind, name: name ?? '' })}.`)
}

const shown = (document: ReleaseDocument): string =>
  fields([
    ['Stop', document.stop],
    ['On', document.stops === 'human' ? 'a human, named in the entry' : `${document.stops} ${document.name}`],
    ['Entry', document.stop_leaf],
    ['Signatures', `${document.approvals_needed} needed`],
    ['Signed for', document.origin],
    ['As', document.operator],
  ])

/** A broker that shows one stop and has the release of another signed ends here. */
function checkedDocument(text: string, stop: Stop): ReleaseDocument {
  const value: unknown = JSON.parse(text)
  const parsed = signedDocument.safeParse(value)
  if (!parsed.success || parsed.data.type !== 'writ.release.v1' || canonicalText(value) !== text) {
    const detail = 'What the broker wants signed cannot be shown whole.'
    throw problem(EXIT.unexpected, 'document_not_understood', detail)
  }
  const document = value as ReleaseDocument
  const same =
    document.stop === stop.id &&
    document.stops === stop.kind &&
    document.name === (stop.kind === 'human' ? null : (stop.name ?? '')) &&
    document.approvals_needed === stop.approvals_needed
  if (same) return document
  throw problem(
    EXIT.request,
    'signed_something_else',
    'What the broker wants signed is not the release of the stop it showed.',
    'Do not sign; tell whoever runs the broker.',
  )
}

async function signedBySsh(asked: Asked, document: ReleaseDocument, file: string | undefined) {
  const mine = new Set(asked.keys.filter(({ kind }) => kind === 'ssh-sk').map((key) => key.id))
  const key = file === undefined ? await findKeyFile(mine) : await readKeyFile(file)
  if (key === undefined || !mine.has(key.key_id)) {
    throw problem(
      EXIT.refused,
      'key_unknown',
      'No FIDO2 SSH key of yours is here.',
      'Release it at the console, under Stops, or give --key.',
    )
  }
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
  next = 'See what is stopped: writ stops',
): CliError => new CliError(exit, { title: 'Not released', code, detail, next })
