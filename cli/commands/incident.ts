import type { Command } from 'commander'
import { Option } from 'commander'
import { verifierKeys } from '../audit-keys.js'
import type { CloseOptions } from '../close-incident.js'
import { parseDuration } from '../duration.js'
import type { Collected } from '../evidence/collect.js'
import { sayIssuance, saySessions } from '../evidence/report-stop.js'
import type { IncidentAnswer } from '../evidence/types.js'
import { EXIT } from '../exit.js'
import { type BrokerOptions, connect, onBroker, withJson } from '../options.js'
import { answer, fields, note, sayInstant, table } from '../output.js'
import { waitForDenies } from '../wait-denies.js'
import { judged } from './audit-log.js'

const STAGES = ['stop', 'assess', 'contain', 'recover'] as const
const DAYS_30 = 30 * 86_400

interface OpenOptions extends BrokerOptions {
  readonly reason: string
  readonly wait: number
  readonly out?: string
  readonly since: number
}

/** From the first minute of an incident to the two signatures that close it. */
export function incidentCommands(program: Command): void {
  const incident = program
    .command('incident')
    .summary('stop an agent, see what it could have done, recover')
    .description(
      'An incident on an agent: stop, assess, contain, recover. docs/incidents.md goes through one minute by minute.',
    )
  openCommand(incident)
  evidenceCommands(incident)
  readCommands(incident)

  onBroker(incident.command('step'), 'operator')
    .summary('record what you did at a stage')
    .argument('<id>', 'id of the incident')
    .argument('<stage>', STAGES.join(', '))
    .requiredOption('--note <text>', 'what you did')
    .action(async (id: string, stage: string, options: BrokerOptions & { note: string }) => {
      const { broker } = connect('operator', options)
      const done = await broker.send<{ index: number; at: string }>('POST', `${pathOf(id)}/steps`, {
        stage,
        note: options.note,
      })
      answer(options, done, () => `Recorded as entry ${done.index}.`)
    })

  onBroker(incident.command('close'), 'operator')
    .summary('sign, with a key of yours, that it is over; it takes two people')
    .description(
      'Sign that an incident is over, after reading the evidence in FOLDER. What is signed has the hash of just that evidence. When a second person has signed over the same, the incident is closed.',
    )
    .argument('<id>', 'id of the incident')
    .requiredOption('--evidence <folder>', 'the evidence that you read')
    .option('--key <file>', 'FIDO2 SSH key to sign with; else one of yours in ~/.ssh')
    .option('--yes', 'do not ask; with the software key of local mode only')
    .action(async (id: string, options: CloseOptions) => {
      const { closeWithKey } = await import('../close-incident.js')
      await closeWithKey(id, options)
    })
}

const pathOf = (id: string): string => `/v1/incidents/${encodeURIComponent(id)}`
const since = () =>
  new Option('--since <duration>', 'how far back the evidence goes')
    .argParser(parseDuration)
    .default(DAYS_30, '30d')

function openCommand(incident: Command): void {
  onBroker(incident.command('open'), 'operator')
    .summary('stop an agent at once, kill what it holds, collect the evidence')
    .description(
      'Stop an agent on every replica, wait until the denies for its live sessions are written in IAM, and collect the evidence into a new folder. An incident that is open already is gone on with. Collecting takes the role security; without it, leave --out out and have somebody else run `writ incident evidence`.',
    )
    .argument('<agent>', 'name of the agent')
    .requiredOption('--reason <text>', 'what happened, as far as is known')
    .option('--out <folder>', 'where the evidence goes; made when absent')
    .addOption(since())
    .addOption(
      new Option('--wait <duration>', 'for the denies to be written')
        .argParser(parseDuration)
        .default(30, '30s'),
    )
    .action(async (agent: string, options: OpenOptions) => {
      const { broker } = connect('operator', options)
      const body = { agent, reason: options.reason }
      const opened = await broker.send<IncidentAnswer>('POST', '/v1/incidents', body)
      note(`Incident ${opened.id}. ${agent} is stopped: issuance ${sayIssuance(opened.stop)}.`)
      const now = await waitForDenies(broker, opened, options.wait * 1000)
      note(`Live sessions: ${saySessions(now.stop)}.`)
      if (now.stop.sessions.state === 'asked') {
        note(`The broker goes on trying: writ incident show ${opened.id}`)
        process.exitCode = EXIT.unavailable
      }
      const collected = options.out === undefined ? undefined : await collect(options, opened.id, options.out)
      answer(options, { incident: now, evidence: collected ?? null }, () =>
        [
          showIncident(now),
          collected === undefined
            ? `\nNext, with the role security: writ incident evidence ${opened.id} --out FOLDER`
            : `\n${sayCollected(collected)}`,
        ].join('\n'),
      )
    })
}

function evidenceCommands(incident: Command): void {
  onBroker(incident.command('evidence'), 'operator')
    .summary('collect the evidence again, into another folder')
    .argument('<id>', 'id of the incident')
    .requiredOption('--out <folder>', 'where it goes; made when absent')
    .addOption(since())
    .action(async (id: string, options: BrokerOptions & { out: string; since: number }) => {
      const collected = await collect(options, id, options.out)
      answer(options, collected, () => sayCollected(collected))
    })

  withJson(incident.command('verify'))
    .summary('check a folder of evidence, offline')
    .description(
      'Check the evidence of an incident with nothing but its folder and the public key of the log, on any machine: every file, every entry and its place in the signed log, every signature of a human in it, that figures, reports and queries say what the entries say, and that the log recorded just this folder. Exits with 9 at the first thing that is wrong.',
    )
    .argument('<folder>', 'as `writ incident open` or `writ incident evidence` made it')
    .requiredOption('--key <key>', 'verifier key, or a file with one a line; repeatable', repeat)
    .option('--origin <name>', 'the log it must be of')
    .option('--manifest <sha256>', 'hash of its manifest, from somebody who read or closed it')
    .action(
      async (
        folder: string,
        options: { json?: boolean; key: readonly string[]; origin?: string; manifest?: string },
      ) => {
        const { verifyEvidence } = await import('../evidence/verify.js')
        const { origin, manifest } = options
        const found = await judged(async () =>
          verifyEvidence(folder, await verifierKeys(options.key), { origin, manifest }),
        )
        answer(options, found, () =>
          fields(Object.entries(found).map(([name, value]) => [name, value === null ? 'no' : String(value)])),
        )
      },
    )
}

function readCommands(incident: Command): void {
  onBroker(incident.command('show'), 'operator')
    .summary('one incident: its stop, what was done, and who may do what')
    .argument('<id>', 'id of the incident')
    .action(async (id: string, options: BrokerOptions) => {
      const { broker } = connect('operator', options)
      const found = await broker.get<IncidentAnswer>(pathOf(id))
      answer(options, found, () => showIncident(found))
    })

  onBroker(incident.command('list'), 'operator')
    .summary('incidents, newest first')
    .option('--agent <name>', 'on this agent')
    .option('--open', 'only those that are not closed')
    .action(async (options: BrokerOptions & { agent?: string; open?: boolean }) => {
      const { broker } = connect('operator', options)
      const query = { agent: options.agent, state: options.open === true ? 'open' : undefined, limit: 500 }
      const page = await broker.get<{ items: readonly IncidentRow[] }>('/v1/incidents', query)
      answer(options, page, () =>
        table(
          ['INCIDENT', 'AGENT', 'STATE', 'OPENED', 'BY', 'STOP', 'CLOSED BY'],
          page.items.map((one) => [
            one.id,
            one.agent,
            one.state,
            sayInstant(one.opened_at),
            one.opened_by,
            one.stop,
            one.closed_by?.join(', ') ?? '-',
          ]),
          'No incidents.',
        ),
      )
    })
}

type IncidentRow = Pick<
  IncidentAnswer,
  'id' | 'agent' | 'state' | 'opened_at' | 'opened_by' | 'closed_by'
> & {
  readonly stop: string
}

async function collect(
  options: BrokerOptions & { since: number },
  id: string,
  out: string,
): Promise<Collected> {
  const { collectEvidence } = await import('../evidence/collect.js')
  const { broker } = connect('operator', options)
  return judged(() => collectEvidence(broker, id, out, { seconds: options.since, now: () => new Date() }))
}

const sayCollected = ({ folder, manifest, sealed_at, counts }: Collected): string =>
  fields([
    ['Evidence', folder],
    ['Read', `${folder}/report.html`],
    ['Sessions', `${counts.issued} issued, ${counts.alive} not over`],
    ['Denials, alarms', `${counts.denials}, ${counts.alarms}`],
    ['Manifest', manifest],
    ['Recorded', sealed_at === null ? 'no: the incident is closed' : `entry ${sealed_at}`],
    ['Check it', `writ incident verify ${folder} --key KEY`],
  ])

export function showIncident(one: IncidentAnswer): string {
  const { stop, closing } = one
  return [
    fields([
      ['Incident', one.id],
      ['Agent', one.agent],
      [
        'State',
        one.state === 'open'
          ? 'open'
          : `closed ${sayInstant(one.closed_at ?? '')} by ${one.closed_by?.join(', ') ?? '?'}`,
      ],
      ['Opened', `${sayInstant(one.opened_at)} by ${one.opened_by}`],
      ['Because', one.reason ?? '(erased)'],
      ['Issuance', sayIssuance(stop)],
      ['Live sessions', saySessions(stop)],
      ['Release signed', `${stop.signed_by.length} of ${stop.approvals_needed}`],
      [
        'Close signed',
        closing.signed.map(({ operator }) => operator).join(', ') || `by nobody, of ${closing.needed}`,
      ],
    ]),
    '',
    table(
      ['STAGE', 'WHO', 'DONE'],
      one.stages.map(({ stage, names, roles, steps }) => [
        stage,
        `${names.join(', ')} (${roles.join(', ')})`,
        steps.map(({ at, by, note: said }) => `${sayInstant(at)} ${by}: ${said ?? '(erased)'}`).join('; ') ||
          (stage === 'stop'
            ? `${sayInstant(stop.engaged_at)} ${stop.engaged_by ?? 'the broker itself'}`
            : '-'),
      ]),
      '',
    ),
  ].join('\n')
}

const repeat = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]
