import { setTimeout as delay } from 'node:timers/promises'
import { Argument, type Command } from 'commander'
import type { BrokerClient } from '../client.js'
import { EXIT, usageError } from '../exit.js'
import { type BrokerOptions, connect, onBroker } from '../options.js'
import { answer, note } from '../output.js'
import { type ReleaseOptions, releaseWithKey } from '../release.js'
import { type Stop, sayTarget, showStop, showStops } from '../show-stop.js'

const KINDS = ['agent', 'human', 'environment', 'account', 'everything'] as const
const WAIT_MS = 10_000
const LOOK_EVERY_MS = 250

/** The kill switch. */
export function stopCommands(program: Command): void {
  onBroker(what(program.command('stop')), 'operator')
    .summary('stop an agent, a human’s agents, an environment, an account or everything, at once')
    .description(
      'Stop an agent, all agents of a human, an environment, an account (twelve digits) or everything. From the answer on no replica issues or delivers anything to it, what waits for a human is withdrawn, and its sessions get a Deny in IAM. Releasing it takes two people (writ release).',
    )
    .requiredOption('--reason <text>', 'why, for the record')
    .action(async (kind: Stop['kind'], name: string | undefined, options: StopOptions) => {
      const { broker } = connect('operator', options)
      const path = `/v1/stops/${kind}/${encodeURIComponent(named(kind, name) ?? '*')}`
      const engaged = await broker.send<Stop>('PUT', path, { reason: options.reason })
      note(`Blocked: nothing is issued or delivered to ${sayTarget(engaged)} from now on.`)
      const stop = await untilWritten(broker, engaged)
      answer(options, stop, () => showStop(stop))
      // The stop holds; what is out in AWS does not know of it yet.
      if (stop.sessions.state === 'asked') process.exitCode = EXIT.unavailable
    })

  onBroker(program.command('stops'), 'operator')
    .summary('what is stopped, and how far the killing of its sessions has come')
    .option('--all', 'released ones too')
    .action(async (options: BrokerOptions & { all?: boolean }) => {
      const { broker } = connect('operator', options)
      const state = options.all === true ? undefined : 'engaged'
      const page = await broker.get<{ readonly items: readonly Stop[] }>('/v1/stops', { state, limit: 500 })
      answer(options, page, () => showStops(page.items))
    })

  onBroker(what(program.command('release')), 'operator')
    .summary('sign that a stop may end; two people have to')
    .option('--key <file>', 'FIDO2 SSH key to sign with; else one of yours in ~/.ssh')
    .option('--yes', 'do not ask; with the software key of local mode only')
    .action((kind: Stop['kind'], name: string | undefined, options: ReleaseOptions) =>
      releaseWithKey(kind, named(kind, name), options),
    )
}

interface StopOptions extends BrokerOptions {
  readonly reason: string
}

const what = (command: Command): Command =>
  command
    .addArgument(new Argument('<kind>', 'what is stopped').choices(KINDS))
    .argument('[name]', 'its name; none for everything')

function named(kind: Stop['kind'], name: string | undefined): string | undefined {
  if (kind === 'everything' && name !== undefined && name !== '*') {
    throw usageError(
      'Everything has no name.',
      `To stop only ${name}, say what it is: writ stop agent ${name}`,
    )
  }
  if (kind !== 'everything' && name === undefined) throw usageError(`Which ${kind}?`)
  return kind === 'everything' ? undefined : name
}

/** As it is once every deny is written, or after ten seconds, whatever has come of it by then. */
async function untilWritten(broker: BrokerClient, engaged: Stop): Promise<Stop> {
  const until = performance.now() + WAIT_MS
  let stop = engaged
  while (stop.sessions.state === 'asked' && performance.now() < until) {
    await delay(LOOK_EVERY_MS)
    // Blocked it stays: that the broker does not answer just now must not look like a stop that failed.
    stop = await broker.get<Stop>(`/v1/stops/${encodeURIComponent(stop.id)}`).catch(() => stop)
  }
  return stop
}
