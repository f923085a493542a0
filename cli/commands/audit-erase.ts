import { type Command, InvalidArgumentError } from 'commander'
import { withJson } from '../options.js'
import { answer, fields } from '../output.js'
import type { RedactAnswer, RedactOptions } from '../redact.js'

/** Erasing what the record says of people, at the database, as its owner. */
export function redactCommand(audit: Command): void {
  withJson(audit.command('redact'))
    .summary('erase what the record says of a human')
    .description(
      'Erase personal data (names, addresses, subjects, reasons, tickets, comments) of a human, or of single entries, as the login in WRIT_MIGRATE_DATABASE_URL; in local mode, in the database of the running broker. Entries, hashes, checkpoints and proofs stay as they were. That it was done, why and by whom is recorded, not whose data it was. What remains elsewhere: docs/retention.md.',
    )
    .requiredOption('--by <name>', 'who does it, for the record')
    .requiredOption('--why <text>', 'why, for the record: a case number, never the name')
    .option('--human <name>', 'everything about this human, spelled as in the record')
    .option('--subject <sub>', 'everything asked with tokens of this subject')
    .option('--entry <index>', 'this entry, or a run of them as 10-20; repeatable', runs)
    .option('--dry-run', 'only say what would go')
    .option('--rewrite', 'make the tables anew, so that no byte is left in them; nothing is issued meanwhile')
    .option('--yes', 'do not ask for confirmation')
    .action(async (options: RedactOptions & { json?: boolean }) => {
      const { redactRecord } = await import('../redact.js')
      const done = await redactRecord(options)
      answer(options, done, () => sayRedacted(done))
    })
}

function sayRedacted(done: RedactAnswer): string {
  const { entries, requests, version_1, alive, pending = [], mentioned, log, held = 0 } = done
  const some = (list: readonly unknown[]) => (list.length === 0 ? null : list.join(', '))
  return fields([
    [done.dry_run ? 'Would erase' : 'Erased', `${entries} entries, ${requests.length} grant requests`],
    [
      'Recorded as',
      log === undefined ? null : `entry ${log[0] === log[1] ? log[0] : `${log[0]} to ${log[1]}`}`,
    ],
    ['Cannot go', version_1 === 0 ? null : `${version_1} entries of version 1 have it in their bodies`],
    ['Pending', some(pending)],
    [
      'Named by others',
      mentioned.length === 0 ? null : `in the words of entries ${mentioned.join(', ')}: see --entry`,
    ],
    ['Still alive', alive === 0 ? null : `${alive} sessions; handing one out again records the name anew`],
    ['Held back', held === 0 ? null : `${held} old rows, by a transaction under way: run VACUUM again later`],
  ])
}

function runs(
  text: string,
  before: readonly (readonly [number, number])[] = [],
): readonly (readonly [number, number])[] {
  const [, first = '', last = first] = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(text) ?? []
  if (first === '' || Number(last) < Number(first))
    throw new InvalidArgumentError('Give an index, or a run as 10-20.')
  return [...before, [Number(first), Number(last)]]
}
