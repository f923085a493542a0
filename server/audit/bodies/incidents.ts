import { z } from 'zod'
import { passkeyProof, sshProof } from '../proofs/schema.js'
import { agent, type BodyKind, body, hex, names, operator, recordId, text } from './common.js'

const incident = recordId.describe('the incident')
const evidence = hex.describe('SHA-256 of the manifest of the evidence')
const about = { agent, operator, incident }
const from = { source_ip: text.optional() }

/** What is done about an agent that did, or may have done, what it should not. */
export const INCIDENT_BODIES: Readonly<Record<string, BodyKind>> = {
  'incident.opened': {
    describe: 'Somebody opens an incident on an agent, which is stopped by then',
    body: body('incident.opened', { ...about, stop: recordId.describe('the stop that holds the agent') }),
    personal: z.strictObject({ reason: text, ...from }),
  },
  'incident.step': {
    describe: 'Something was done at a stage of an incident',
    body: body('incident.step', {
      ...about,
      stage: z.enum(['stop', 'assess', 'contain', 'recover']),
      evidence: evidence.optional().describe('evidence was collected: SHA-256 of its manifest'),
    }),
    personal: z.strictObject({ note: text, ...from }),
  },
  'incident.close_signed': {
    describe: 'One person signs that an incident is over; two different ones have to, over the same evidence',
    body: body('incident.close_signed', {
      ...about,
      proof_kind: z.enum(['passkey', 'ssh-sk']),
      proof: z.discriminatedUnion('kind', [passkeyProof, sshProof]),
    }),
    personal: z.strictObject(from),
  },
  'incident.closed': {
    describe: 'The second person signed: the incident is over',
    body: body('incident.closed', { agent, incident, closed_by: names, evidence }),
  },
}
