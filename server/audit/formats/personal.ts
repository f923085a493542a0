import type { EventView } from '../review/events.js'
import type { IssuanceView, PersonalView } from '../review/issuances.js'

/** What an export holds of an entry; `withheld` when personal data was not asked for. */
export interface ExportedEvent extends Omit<EventView, 'personal_data'> {
  readonly personal_data: EventView['personal_data'] | 'withheld'
}

export interface ExportedIssuance extends Omit<IssuanceView, 'personal_data'> {
  readonly personal_data: IssuanceView['personal_data'] | 'withheld'
}

/** Where bodies of version 1 say something of people; later ones have it beside them. */
const IN_BODIES = [
  'human',
  'human_how',
  'subject',
  'source_ip',
  'reason',
  'ticket',
  'comment',
  'barred_humans',
  'source_identity',
  'session_policy',
  'tags',
] as const

export function eventWithoutPersonal(event: EventView): ExportedEvent {
  const none = { ...event, personal: null, personal_data: 'withheld' } as const
  if (event.body.v !== 1) return none
  const body = Object.entries(event.body).filter(([name]) => !IN_BODIES.some((one) => one === name))
  return { ...none, body: Object.fromEntries(body) }
}

const NOTHING: Omit<PersonalView, 'personal_data'> = {
  human: null,
  human_how: null,
  subject: null,
  source_ip: null,
  reason: null,
  ticket: null,
}

export const issuanceWithoutPersonal = (issuance: IssuanceView): ExportedIssuance => ({
  ...issuance,
  ...NOTHING,
  personal_data: 'withheld',
})
