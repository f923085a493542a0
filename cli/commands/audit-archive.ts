import type { Command } from 'commander'
import type { ArchiveAnswer, ArchiveOptions } from '../archive.js'
import { parseDuration } from '../duration.js'
import { withJson } from '../options.js'
import { answer, table } from '../output.js'
import { judged } from './audit-log.js'

/** Retention: what is old leaves the database for files that anybody can verify. */
export function archiveCommand(audit: Command): void {
  withJson(audit.command('archive'))
    .summary('move old entries out of the database, into archives that can be verified')
    .description(
      'Write every full partition of the log that is wholly older than --older-than to an archive, read it back against the published log, record that, and detach the partition. Runs as the login in WRIT_MIGRATE_DATABASE_URL; in local mode, on the database of the running broker. Nothing is deleted: the partition lies in the schema writ_archive until you drop it. Interrupted, it goes on when run again. docs/retention.md says more.',
    )
    .requiredOption('--older-than <duration>', 'archive what is older, such as 400d', parseDuration)
    .requiredOption('--out <folder>', 'where the archives go; made when absent')
    .requiredOption('--by <name>', 'who does it, for the record')
    .option('--personal', 'with what lies beside the entries: names, addresses, reasons')
    .option('--log <folder>', 'the published log, or a copy of it (WRIT_LOG_DIR)')
    .option('--key <key>', 'verifier key, or a file with one a line; repeatable (WRIT_LOG_KEY_FILE)', repeat)
    .option('--dry-run', 'only say what would be archived, and what keeps the rest')
    .option('--yes', 'do not ask for confirmation')
    .action(async (options: ArchiveOptions & { json?: boolean }) => {
      const { archiveRecord } = await import('../archive.js')
      const done = await judged(() => archiveRecord(options))
      answer(options, done, () => sayArchived(done))
    })
}

const WHY_NOT: Readonly<Record<string, string>> = {
  young: 'not old enough',
  unpublished: 'not wholly published yet',
  open: 'an issuance in it has no outcome yet',
  webhook: 'a webhook has not had it yet: let it catch up, or disable it',
  earlier: 'one before it stays',
}

function sayArchived({ dry_run, archived, finished, kept }: ArchiveAnswer): string {
  const rows = [
    ...finished.map((name) => [
      '',
      dry_run ? `${name}: to be detached` : `${name}: detached`,
      'begun by an earlier run',
    ]),
    ...archived.map((one) => [
      `${one.from}-${one.to - 1}`,
      dry_run ? 'would be archived' : 'archived',
      'manifest' in one ? `${one.manifest}, entry ${one.index}` : '',
    ]),
    ...kept.map((one) => [`${one.from}-${one.to - 1}`, 'stays', WHY_NOT[one.why_not ?? ''] ?? '']),
  ]
  return table(['ENTRIES', 'STATE', ''], rows, 'No partition is full yet: there is nothing to archive.')
}

const repeat = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]
