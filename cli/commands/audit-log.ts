import { readFile, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { ProofError } from '../../server/audit/merkle/error.js'
import { verifierKeys } from '../audit-keys.js'
import { CliError, EXIT, usageError } from '../exit.js'
import { type BrokerOptions, connect, onBroker, withJson } from '../options.js'
import { answer, clean, fields } from '../output.js'
import type { VerifyOptions } from '../verify.js'

interface KeyOptions {
  readonly json?: boolean
  readonly key: readonly string[]
  readonly origin?: string
}

/** Proving the record: by files and public keys alone, or by asking the broker for a proof. */
export function logCommands(audit: Command): void {
  withJson(audit.command('verify'))
    .summary('check a published log, archives, an export or a proof, offline')
    .description(
      'Check what a broker published, with nothing but its files and the public key: a folder of tiles (every entry is hashed again), an NDJSON export together with a checkpoint, one proof file, or archives, one or several that follow each other, and an export of what came after. Names the first entry that is wrong and exits with 9.',
    )
    .argument(
      '<paths...>',
      'folder of tiles or of archives, archives (.json), export (.ndjson) or proof file',
    )
    .requiredOption('--key <key>', 'verifier key, or a file with one a line; repeatable', repeat)
    .option('--origin <name>', 'the log it must be of')
    .option(
      '--checkpoint <file>',
      'signed checkpoint: the one an export goes up to, or an older one that a folder must continue',
    )
    .option('--tiles <folder>', 'published tiles, to name a changed entry of an archive or an export')
    .action(async (paths: readonly string[], options: KeyOptions & VerifyOptions) => {
      const { verifyPaths } = await import('../verify.js')
      const found = await judged(async () => verifyPaths(paths, await verifierKeys(options.key), options))
      answer(options, found, () =>
        fields(Object.entries(found).map(([name, value]) => [name, String(value)])),
      )
    })

  onBroker(audit.command('prove'), 'operator')
    .summary('one self-contained proof that an issuance, or an entry, is in the log')
    .description(
      'Write a file that proves one entry of the log to anybody who has the public key: the entry itself, its path in the tree, and a signed checkpoint. Of an issuance it is the entry of its outcome.',
    )
    .argument('<issuance|index>', 'id of an issuance, or index of an entry')
    .option('--out <file>', 'where to write it; default: standard output')
    .action(async (what: string, options: BrokerOptions & { out?: string }) => {
      const { broker } = connect('operator', options)
      const index = /^\d+$/.test(what) ? Number(what) : await entryOf(broker, what)
      const found = await broker.get<{ origin: string; size: number; proof: string }>(
        `/v1/log/proof/entry/${index}`,
      )
      if (options.out === undefined) {
        answer(options, { index, ...found }, () => found.proof)
        return
      }
      await writeFile(options.out, found.proof, { flag: 'wx' })
      const { proof: _proof, ...told } = found
      answer(
        options,
        { index, ...told, file: options.out },
        () => `Entry ${index} is proven in ${options.out}.`,
      )
    })

  onBroker(audit.command('export'), 'operator')
    .summary('the log as NDJSON, with the checkpoint that covers it')
    .description(
      'Write every entry of the log to FILE, one JSON object a line, and the newest signed checkpoint to FILE.checkpoint. `writ audit verify FILE --checkpoint FILE.checkpoint` checks it offline. The export itself is recorded.',
    )
    .requiredOption('--out <file>', 'where to write it; must not exist')
    .action(async (options: BrokerOptions & { out: string }) => {
      const { broker } = connect('operator', options)
      // First the checkpoint: the entries that follow are at least as many.
      const { size, origin, note } = await broker.get<{ size: number; origin: string; note: string }>(
        '/v1/log/checkpoint',
      )
      const checkpoint = `${options.out}.checkpoint`
      const bytes = await broker.download('/v1/log/entries', options.out)
      await writeFile(checkpoint, note, { flag: 'wx' })
      const { firstIndex } = await import('../verify.js')
      const from = await firstIndex(options.out)
      const told = { file: options.out, bytes, checkpoint, origin, from, covered: size }
      const earlier = from === 0 ? '' : ` Those before ${from} are archived.`
      answer(options, told, () => `${options.out}; ${checkpoint} covers the first ${size} entries.${earlier}`)
    })

  onBroker(audit.command('key'), 'operator')
    .summary('the public key of the log')
    .description(
      'Origin and verifier key of the log. Get it once, by a way you trust, and keep it elsewhere.',
    )
    .action(async (options: BrokerOptions) => {
      const { broker } = connect('operator', options)
      const found = await broker.get<{ origin: string; verifier_key: string }>('/v1/log/key')
      answer(options, found, () => found.verifier_key)
    })

  withJson(audit.command('keygen'))
    .summary('make a key that signs checkpoints')
    .description(
      'Make a signer key for WRIT_LOG_KEY_FILE. Its name is the origin of the log, such as writ.example.com/log.',
    )
    .argument('<origin>', 'name of the log')
    .requiredOption('--out <file>', 'file to write the signer key to, readable by you alone')
    .action(async (origin: string, options: { json?: boolean; out: string }) => {
      const { generateSignerKey, parseSignerKey } = await import('../../server/audit/merkle/keys.js')
      const key = await judged(async () => generateSignerKey(origin))
      await writeFile(options.out, `${key}\n`, { mode: 0o600, flag: 'wx' })
      const { verifierKey } = parseSignerKey(key)
      answer(options, { origin, file: options.out, verifier_key: verifierKey }, () => verifierKey)
    })

  withJson(audit.command('new-origin'))
    .summary('give the log up and begin another, after a restore')
    .description(
      'When the database is not what was published, the broker serves nothing. After you have found out why: move the old log and its key aside, make a key of another name, and write down why. The next start of the broker records it.',
    )
    .argument('<origin>', 'name of the new log')
    .requiredOption('--reason <text>', 'why the old one is given up')
    .option('--checkpoint <file>', 'last checkpoint of the old log, where only a bucket has it')
    .action(async (origin: string, options: { json?: boolean; reason: string; checkpoint?: string }) => {
      const { newOrigin } = await import('../new-origin.js')
      const last = options.checkpoint === undefined ? '' : await readFile(options.checkpoint, 'utf8')
      const made = await judged(() => newOrigin(origin, options.reason, new Date(), last))
      answer(options, made, () =>
        fields([
          ['New origin', made.origin],
          ['Verifier key', made.verifier_key],
          ['Given up', made.previous_origin],
          ['Kept', made.kept.join('\n')],
        ]),
      )
    })
}

/** What is wrong with a log or a key ends the command with a code of its own; never as a pass. */
export async function judged<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ProofError)) throw error
    const { code, message, index, path } = error
    throw new CliError(EXIT.unproven, {
      title: 'Not proven',
      code,
      detail: clean(message),
      ...(index === undefined ? {} : { index }),
      ...(path === undefined ? {} : { path }),
      next: 'Keep the files as they are, and compare them with another copy of the log.',
    })
  }
}

async function entryOf(broker: ReturnType<typeof connect>['broker'], issuance: string): Promise<number> {
  const { events } = await broker.get<{ events: { index: number; body: { kind: string } }[] }>(
    `/v1/issuances/${encodeURIComponent(issuance)}`,
  )
  const outcome =
    events.find(({ body }) => /^issuance\.(issued|failed|abandoned)$/.test(body.kind)) ?? events.at(-1)
  if (outcome === undefined) throw usageError(`The log says nothing of ${issuance}.`)
  return outcome.index
}

const repeat = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]
