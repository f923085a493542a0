import type { Command } from 'commander'
import { archiveCommand } from './audit-archive.js'
import { redactCommand } from './audit-erase.js'
import { logCommands } from './audit-log.js'
import { reconcileCommand } from './audit-reconcile.js'

/** What proves the record, and holds it against what AWS saw. */
export function auditCommands(program: Command): void {
  const audit = program
    .command('audit')
    .summary('security: prove the record, and hold it against what AWS saw')
    .description('Prove the record, and hold it against what AWS saw.')
  logCommands(audit)
  reconcileCommand(audit)
  redactCommand(audit)
  archiveCommand(audit)
}
