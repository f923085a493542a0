import { sayInstant } from '../output.js'
import { type Block, byHuman, code, type Inline } from './blocks.js'
import type { IncidentAnswer } from './types.js'

const DO: Readonly<Record<string, (incident: IncidentAnswer) => readonly (readonly Inline[])[]>> = {
  stop: ({ agent, stop }) => [
    stop.state === 'engaged'
      ? [
          `${agent} is stopped since ${sayInstant(stop.engaged_at)}, by ${stop.engaged_by ?? 'the broker itself'}: `,
          code('writ stops'),
        ]
      : [`${agent} was released ${sayInstant(stop.released_at ?? '')}, by ${stop.signed_by.join(' and ')}.`],
    [
      'If others may be concerned, stop the environment, the account, or everything: ',
      code('writ stop environment NAME --reason …'),
    ],
  ],
  assess: () => [
    ['Run the CloudTrail script and the SQL of each account, and keep what they answer beside this folder.'],
    ['Hold the whole trail against the record: ', code('writ audit reconcile')],
    [
      'Look for roles that its sessions assumed on, and for whatever they created that lives on by itself (users, keys, functions, rules).',
    ],
  ],
  contain: ({ id }) => [
    ['Revoke the grants that are not over: ', code('writ grants revoke ID --reason …')],
    ['Outside Writ: undo in the account what CloudTrail shows. Nothing here can.'],
    ['Write down each: ', code(`writ incident step ${id} contain --note …`)],
  ],
  recover: ({ id, stop, agent }) => [
    ['Change what let it happen first: the policy, the agent, its prompt, its issuer.'],
    [
      `Release takes ${stop.approvals_needed === 1 ? 'one person' : 'two different people'}: `,
      code(`writ release agent ${agent}`),
    ],
    ['Close it when both have read this: ', code(`writ incident close ${id} --evidence FOLDER`)],
  ],
}

/** By stage: what it takes, who may, what was done, what is next. */
export function whatToDo(incident: IncidentAnswer): readonly Block[] {
  return [
    { kind: 'heading', level: 2, text: 'What to do, and who may' },
    ...incident.stages.flatMap((one): readonly Block[] => [
      { kind: 'heading', level: 3, text: one.stage },
      {
        kind: 'facts',
        rows: [
          ['Takes', one.takes],
          ['Who', named(one.names, one.roles)],
          ...(one.outside === null ? [] : [['Outside Writ', one.outside] as const]),
          ...(one.stage === 'recover' ? incident.grants_again.map(again) : []),
        ],
      },
      { kind: 'list', items: (DO[one.stage] ?? (() => []))(incident) },
      {
        kind: 'table',
        header: ['At', 'Who', 'What', 'Entry'],
        rows: one.steps.map((step) => [
          sayInstant(step.at),
          code(step.by),
          byHuman(step.note),
          String(step.entry),
        ]),
        empty: one.stage === 'stop' ? 'The stop is above.' : 'No step was recorded.',
      },
    ]),
    {
      kind: 'text',
      text: [
        `Closing takes ${incident.closing.needed} different people who signed over the same evidence: ${named(incident.closing.names, incident.closing.roles)}.`,
      ],
    },
  ]
}

const named = (names: readonly string[], roles: readonly string[]): string =>
  names.length === 0
    ? `nobody has a document with the role ${roles.join(' or ')}`
    : `${names.join(', ')} (${roles.join(' or ')})`

const again = (one: IncidentAnswer['grants_again'][number]): readonly [string, Inline] => [
  `Grants again in ${one.environment}`,
  one.names.length === 0
    ? 'nobody has a document that lets them'
    : `${one.approvals} of ${one.names.join(', ')}; never whoever it is for`,
]
