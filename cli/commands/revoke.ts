import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import type { BrokerClient } from '../client.js'
import { type BrokerOptions, connect, onBroker } from '../options.js'
import { answer, fields, sayInstant } from '../output.js'

/** How far killing a session has come, as the broker answers it. */
interface Revocation {
  readonly issuance_id: string
  readonly agent: string
  readonly environment: string
  readonly role: string
  readonly state: 'none' | 'asked' | 'written' | 'presumed' | 'over'
  readonly written_at: string | null
  readonly presumed_at: string | null
  readonly ends_at: string
  readonly widened: boolean
  readonly problem: string | null
}

interface RevokeOptions extends BrokerOptions {
  readonly reason: string
}

const WAIT_MS = 10_000
const LOOK_EVERY_MS = 250

export function revokeCommand(program: Command): void {
  onBroker(program.command('revoke'), 'operator')
    .summary('kill one session: handed out no more, and denied everything in IAM')
    .description(
      'Kills one session. It is handed out no more at once; the Deny in IAM takes moments, and a minute until it holds everywhere. Waits up to ten seconds for the Deny and says what is so.',
    )
    .argument('<issuance>', 'id of the issuance: the session name in CloudTrail')
    .requiredOption('--reason <text>', 'why, for the record')
    .action(async (issuance: string, options: RevokeOptions) => {
      const { broker } = connect('operator', options)
      const path = `/v1/issuances/${encodeURIComponent(issuance)}/revoke`
      const asked = await broker.send<Revocation>('POST', path, { reason: options.reason })
      const view = await waitForDeny(broker, path, asked)
      answer(options, view, () => shown(view))
    })
}

async function waitForDeny(broker: BrokerClient, path: string, asked: Revocation): Promise<Revocation> {
  const until = Date.now() + WAIT_MS
  let view = asked
  while (view.state === 'asked' && Date.now() < until) {
    await delay(LOOK_EVERY_MS)
    view = await broker.get<Revocation>(path)
  }
  return view
}

const shown = (view: Revocation): string =>
  fields([
    ['Issuance', view.issuance_id],
    ['Agent', `${view.agent} in ${view.environment}`],
    ['Handed out', view.state === 'none' ? 'yes' : 'no more'],
    ['Deny in IAM', denied(view)],
    ['In effect', effective(view)],
    ['Also dead', view.widened ? `every session of ${view.role} that began before, for want of room` : null],
    ['Ends by itself', sayInstant(view.ends_at)],
  ])

function denied({ state, written_at, problem }: Revocation): string {
  if (written_at !== null) return `written ${sayInstant(written_at)}`
  if (state === 'over') return 'not needed: the session is over'
  return `NOT WRITTEN YET${problem === null ? '' : ` (${problem})`}: the session may still work. It is tried until it is.`
}

function effective({ state, presumed_at }: Revocation): string {
  if (state === 'over') return 'the session is over'
  if (state === 'presumed') return 'presumed everywhere'
  return presumed_at === null ? 'no' : `presumed everywhere from ${sayInstant(presumed_at)}`
}
