import { sayInstant } from '../output.js'
import { type Block, byAgent, byHuman, code, heading, listed } from './blocks.js'
import { athenaFile, athenaQuery, cloudtrailFile, cloudtrailScript, keysOf } from './queries.js'
import { couldNow, whatItCould } from './report-reach.js'
import { sessionBlocks } from './report-sessions.js'
import { whatToDo } from './report-stages.js'
import { deniesOf, sayIssuance, saySessions } from './report-stop.js'
import type { Evidence, Findings } from './types.js'

export const titleOf = ({ incident, agent }: Evidence): string => `Incident ${incident}: ${agent}`

/** All that a human needs to assess an incident, in the order in which they ask. */
export function reportOf(evidence: Evidence): readonly Block[] {
  const { proven, said, incident, log } = evidence
  const { stop } = said.incident
  return [
    heading(1, titleOf(evidence)),
    {
      kind: 'facts',
      rows: [
        ['Agent', code(evidence.agent)],
        [
          'Opened',
          `${sayInstant(said.incident.opened_at)} by ${said.incident.opened_by}, entry ${said.incident.entry}`,
        ],
        ['Because', byHuman(said.incident.reason)],
        ['Issuance', sayIssuance(stop)],
        ['Live sessions', saySessions(stop)],
        ['Collected', sayInstant(evidence.collected_at)],
        ['From', `${sayInstant(evidence.since)}, and what that stands on`],
        ['Proven in', `${log.origin}, ${log.size} entries`],
      ],
    },
    {
      kind: 'text',
      text: [
        'What comes from the log is proven: each entry lies in entries.ndjson with its way up to the signed checkpoint. What is marked “the broker said” is not in the log. Words marked “written by the agent” are its own, or of whoever asked in its name: do not follow them.',
      ],
    },
    heading(2, 'In figures'),
    figures(proven),
    ...deniesOf(said.incident),
    ...whatItCould(proven),
    ...couldNow(said),
    ...sessionBlocks(evidence),
    ...grantBlocks(proven),
    ...refusalBlocks(proven),
    ...doneBlocks(proven),
    ...whatToDo(said.incident),
    heading(2, 'Timeline'),
    ...listed(
      ['Entry', 'At', 'What', 'Who', 'Environment', 'About'],
      proven.timeline.map((one) => [
        String(one.entry),
        sayInstant(one.at),
        one.kind,
        code(one.who),
        one.environment ?? '-',
        one.about === '' ? '-' : code(one.about),
      ]),
      'No entries.',
    ),
    heading(2, 'How to check this'),
    {
      kind: 'text',
      text: [
        'On any machine, with nothing but this folder and the public key of the log, got by a way you trust. It finds every byte that was changed.',
      ],
    },
    { kind: 'code', text: `writ incident verify . --key KEY   # incident ${incident}` },
  ]
}

function figures({ counts }: Findings): Block {
  const rows: readonly (readonly [string, number])[] = [
    ['Sessions asked for', counts.sessions],
    ['of these issued', counts.issued],
    ['failed at AWS', counts.failed],
    ['possibly minted, never handed out', counts.abandoned],
    ['without an outcome', counts.open],
    ['Begun before, not over then', counts.earlier],
    ['Handed out again', counts.deliveries],
    ['Alive when collected', counts.alive],
    ['Grants', counts.grants],
    ['Denials', counts.denials],
    ['Alarms', counts.alarms],
    ['Entries in this folder', counts.entries],
  ]
  return { kind: 'facts', rows: rows.map(([name, count]) => [name, String(count)]) }
}

function grantBlocks({ grants }: Findings): readonly Block[] {
  return [
    heading(2, 'Grants, and who signed'),
    ...listed(
      ['Request', 'Grant', 'Environment', 'Scopes', 'Uses', 'Until', 'State', 'Asked with'],
      grants.map((one) => [
        code(one.request),
        code(one.grant),
        one.environment,
        one.scopes.join(', '),
        one.max_uses === null ? '-' : `${one.uses} of ${one.max_uses}`,
        one.expires_at === null ? '-' : sayInstant(one.expires_at),
        `${one.outcome}${one.break_glass ? ', by breaking the glass' : ''}${one.revoked_by === null ? '' : ` by ${one.revoked_by}`}`,
        one.words === null ? '(erased)' : byAgent(one.words.reason),
      ]),
      'It had, and asked for, no grant.',
    ),
    ...listed(
      ['Request', 'Who', 'Decision', 'At', 'Entry', 'Signature', 'Key', 'In their words'],
      grants.flatMap((one) =>
        one.decisions.map((decision) => [
          code(one.request),
          code(decision.operator),
          decision.decision,
          sayInstant(decision.at),
          String(decision.entry),
          decision.signature,
          decision.key_id === null
            ? '-'
            : code(
                `${decision.key_id.slice(0, 20)}…${decision.key_entry === null ? '' : ` (entry ${decision.key_entry})`}`,
              ),
          decision.comment === null ? '-' : byHuman(decision.comment),
        ]),
      ),
      'Nobody decided on any.',
    ),
  ]
}

function refusalBlocks({ denials, alarms }: Findings): readonly Block[] {
  return [
    heading(2, 'Denials'),
    ...listed(
      ['Entry', 'At', 'Code', 'Environment', 'Scopes', 'Asked with'],
      denials.map((one) => [
        String(one.entry),
        sayInstant(one.at),
        one.code,
        code(one.environment),
        one.scopes.length === 0 ? '-' : code(one.scopes.join(', ')),
        one.words === null ? '-' : byAgent(one.words.reason),
      ]),
      'It was denied nothing.',
    ),
    heading(2, 'Alarms'),
    ...listed(
      ['Entry', 'At', 'Alarm', 'Environment', 'Raised by entry', 'After'],
      alarms.map((one) => [
        String(one.entry),
        sayInstant(one.at),
        one.alarm,
        one.environment ?? '-',
        one.cause === null ? '-' : String(one.cause),
        one.delay_ms === null ? '-' : `${one.delay_ms} ms`,
      ]),
      'There were none.',
    ),
  ]
}

/** What it was issued is known; what it did with that, only AWS knows. */
function doneBlocks({ accounts }: Findings): readonly Block[] {
  return [
    heading(2, 'What it really did'),
    {
      kind: 'text',
      text: [
        accounts.length === 0
          ? 'No session was minted: there is nothing to look for in CloudTrail.'
          : 'The log says what it was given. What it did with that is in CloudTrail of each account, under these access keys, principals and source identities. Calls come up to 15 minutes late.',
      ],
    },
    ...accounts.flatMap((one): readonly Block[] => [
      heading(3, `Account ${one.account} (${one.environments.join(', ')})`),
      {
        kind: 'text',
        text: [
          `${keysOf(one)}, ${sayInstant(one.from)} to ${sayInstant(one.until)}: `,
          code(cloudtrailFile(one.account)),
          ' for management events of 90 days, ',
          code(athenaFile(one.account)),
          ' for all that a trail has.',
        ],
      },
      { kind: 'code', text: shortened(cloudtrailScript(one), cloudtrailFile(one.account)) },
      { kind: 'code', text: shortened(athenaQuery(one), athenaFile(one.account)) },
    ]),
  ]
}

const MOST_LINES = 60

function shortened(text: string, file: string): string {
  const lines = text.split('\n')
  return lines.length <= MOST_LINES
    ? text
    : `${lines.slice(0, MOST_LINES).join('\n')}\n… ${file} has the rest`
}
