import { sayInstant } from '../output.js'
import { type Block, code } from './blocks.js'
import type { IncidentAnswer } from './types.js'

type Stop = IncidentAnswer['stop']

/** Of the three states the first: nothing is let out. */
export const sayIssuance = (stop: Stop): string =>
  stop.issuance === 'blocked'
    ? `blocked since ${sayInstant(stop.engaged_at)} (stop ${stop.id})`
    : `open again since ${stop.released_at === null ? 'the release' : sayInstant(stop.released_at)} (stop ${stop.id})`

/** The other two: a deny is written, and it is presumed in effect. Nothing is called dead before. */
export function saySessions({ sessions, denies }: Stop): string {
  const { state, written_at, presumed_at } = sessions
  const counted = `${denies.written} of ${denies.asked}`
  switch (state) {
    case 'none':
      return 'none: the agent has no role'
    case 'asked':
      return `still alive: ${counted} denies are written in IAM`
    case 'written':
      return `denied in IAM since ${sayInstant(written_at ?? '')} (${counted}); presumed in effect from ${sayInstant(presumed_at ?? '')}`
    case 'presumed':
      return `denied in IAM since ${sayInstant(written_at ?? '')} (${counted}), presumed in effect since ${sayInstant(presumed_at ?? '')}`
    case 'over':
      return 'over: every session it was against has ended by itself'
  }
}

export function deniesOf({ stop, denies }: IncidentAnswer): readonly Block[] {
  return [
    { kind: 'heading', level: 2, text: 'The stop and its denies' },
    { kind: 'text', text: ['The broker said, when this was collected:'] },
    {
      kind: 'facts',
      rows: [
        ['Issuance', sayIssuance(stop)],
        ['Live sessions', saySessions(stop)],
        ['To die', `whatever AWS issued before ${sayInstant(stop.cutoff)}`],
        ['Signed for its release', `${stop.signed_by.length} of ${stop.approvals_needed}`],
      ],
    },
    {
      kind: 'table',
      header: ['Role', 'Denied', 'Asked', 'Written', 'Until'],
      rows: denies.map((one) => [
        code(one.role),
        one.widened ? 'the whole role, for want of room' : code(`${one.kind} ${one.target}`),
        sayInstant(one.asked_at),
        one.written_at === null ? 'not yet' : sayInstant(one.written_at),
        sayInstant(one.ends),
      ]),
      empty: 'No deny is kept any more, or the agent has no role.',
    },
  ]
}
