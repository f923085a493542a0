import type { Command } from 'commander'
import { type DecideOptions, decideWithKey } from '../approve.js'
import { onBroker } from '../options.js'

/** `writ approve` and `writ deny`. */
export function decideCommands(program: Command): void {
  decideCommand(program, 'approve')
  decideCommand(program, 'deny')
}

/** One of them, below the program or below `writ grants`. */
export function decideCommand(parent: Command, decision: 'approve' | 'deny'): void {
  const command = onBroker(parent.command(decision), 'operator')
    .summary(
      decision === 'approve'
        ? 'approve a grant request with a key of your own, after seeing all of it'
        : 'deny a grant request with a key of your own: one is enough',
    )
    .argument('<id>', 'id of the request')
    .option('--key <file>', 'FIDO2 SSH key to sign with; else one of yours in ~/.ssh, else a link')
    .option('--comment <text>', 'for the record; the agent sees it')
    .option('--wait', 'after the link: wait until it is decided')
    .action((id: string, options: DecideOptions) => decideWithKey(id, decision, options))
  if (decision === 'approve') {
    command.option('--break-glass', 'without the other approvals, where you may; needs --comment')
  }
}
