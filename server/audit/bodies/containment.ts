import { z } from 'zod'
import { passkeyProof, sshProof } from '../proofs/schema.js'
import {
  agent,
  type BodyKind,
  body,
  count,
  environment,
  instant,
  issuer,
  names,
  operator,
  recordId,
  text,
} from './common.js'

const stop = recordId.describe('the stop')
const stops = z.enum(['agent', 'human', 'environment', 'account', 'everything']).describe('what is stopped')
const what = {
  stop,
  stops,
  name: text.optional().describe('of what is stopped; absent for everything, and for a human'),
}
const about = { agent: agent.optional(), environment: environment.optional() }
const from = { source_ip: text.optional(), subject: text.optional() }

/** With what somebody engaged a stop. */
const stopProof = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('token'),
    issuer,
    subject: text.describe("the operator's own"),
    issued_at: instant,
    authenticated_at: instant.optional(),
  }),
  z.strictObject({
    kind: z.literal('session'),
    session: recordId.describe('at the console'),
    authenticated_at: instant.optional(),
  }),
])

/** Stopping, killing what is out, and letting it go on. */
export const CONTAINMENT_BODIES: Readonly<Record<string, BodyKind>> = {
  'stop.engaged': {
    describe: 'From here on nothing of it is issued, delivered, requested or granted',
    body: body('stop.engaged', {
      ...about,
      ...what,
      operator: operator.optional().describe('absent where the broker stopped by itself'),
      agents: names.optional().describe('of a human: the agents they own, stopped by name too'),
      cutoff: instant.describe('sessions that AWS issued before are to die'),
      approvals_needed: z.union([z.literal(1), z.literal(2)]).describe('to release it'),
      roles: names.optional().describe('roles that get a Deny; absent where they would not fit'),
      denies: count.describe('how many Denies are wanted, one a role and target'),
      proof: stopProof.optional(),
      cause: text.optional().describe('what it follows from, such as `incident:ID`'),
    }),
    personal: z.strictObject({ ...from, reason: text, human: text.optional() }),
  },
  'stop.release_signed': {
    describe: 'One human signs that a stop may end',
    body: body('stop.release_signed', {
      ...about,
      stop,
      operator,
      proof_kind: z.enum(['passkey', 'ssh-sk']),
      proof: z.discriminatedUnion('kind', [passkeyProof, sshProof]),
    }),
    personal: z.strictObject(from),
  },
  'stop.released': {
    describe: 'As many different humans have signed as it takes: it goes on',
    body: body('stop.released', { ...about, ...what, released_by: names }),
    personal: z.strictObject({ human: text }),
  },
}
