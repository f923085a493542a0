import {
  previewRedaction,
  type Redacted,
  type Redaction,
  type RedactionPreview,
  RedactionRefused,
  redact,
} from '../server/audit/redact.js'
import { asOwner } from '../server/db/owner.js'
import { confirm } from './confirm.js'
import { CliError, EXIT, usageError } from './exit.js'
import { note } from './output.js'
import { onDatabase, ownerSide } from './owner-url.js'

export interface RedactOptions {
  readonly by: string
  readonly why: string
  readonly human?: string
  readonly subject?: string
  readonly entry?: readonly (readonly [number, number])[]
  readonly dryRun?: boolean
  readonly rewrite?: boolean
  readonly yes?: boolean
}

export interface RedactAnswer extends Partial<Redacted> {
  readonly dry_run: boolean
  readonly entries: number
  readonly requests: readonly string[]
  readonly version_1: number
  readonly alive: number
  readonly pending?: readonly string[]
  readonly mentioned: readonly number[]
}

/** Shows what would go, asks, erases. Throws `CliError`, `StartError`. */
export async function redactRecord(options: RedactOptions): Promise<RedactAnswer> {
  const redaction: Redaction = {
    by: options.by,
    why: options.why,
    ...(options.human === undefined ? {} : { human: options.human }),
    ...(options.subject === undefined ? {} : { subject: options.subject }),
    ...(options.entry === undefined ? {} : { indexes: options.entry }),
  }
  const { url, log } = await ownerSide()
  return onDatabase(() =>
    asOwner(url, log, async (owner) => {
      const found = await refusals(() => previewRedaction(owner, redaction))
      if (options.dryRun === true) return { dry_run: true, ...found }
      if (found.pending.length > 0) throw pendingError(found.pending)
      if (options.yes !== true && found.entries + found.requests.length > 0) {
        await confirm(`${sayFound(found)} This cannot be undone. Erase?`)
      }
      if (options.rewrite === true)
        note('Rewriting tables: nothing is recorded, nor issued, until that is done.')
      const done = await refusals(() => redact(owner, redaction, { rewrite: options.rewrite === true }))
      return { dry_run: false, ...done, mentioned: found.mentioned }
    }),
  )
}

export const sayFound = ({ entries, requests }: Pick<RedactionPreview, 'entries' | 'requests'>): string =>
  `Personal data of ${entries} entries and ${requests.length} grant requests.`

const SENTENCES: Readonly<Record<string, string>> = {
  by_and_why: 'Say who asks for it with --by (at most 200 characters) and why with --why (at most 1,000).',
  nobody_named: 'Say whose data with --human or --subject, or which entries with --entry.',
  names_the_person:
    '--by and --why go into the log for ever, and one of them names the person who is to be erased.',
}

async function refusals<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof RedactionRefused)) throw error
    if (error.code === 'requests_pending') throw pendingError(error.requests)
    throw usageError(
      SENTENCES[error.code] ?? error.message,
      'Refer to a ticket or a case number, not to the person.',
    )
  }
}

const pendingError = (requests: readonly string[]): CliError =>
  new CliError(EXIT.request, {
    title: 'Requests are pending',
    code: 'requests_pending',
    detail: `Nothing was erased: a human still has to decide on ${requests.join(', ')}.`,
    next: 'Deny or withdraw them first: `writ grants deny ID`.',
    requests,
  })
