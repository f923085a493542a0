import { z } from 'zod'
import {
  type BodyKind,
  body,
  count,
  issuer,
  operator,
  policyDigest,
  recordId,
  requestKey,
  text,
} from './common.js'

const caller = z.strictObject({ subject: text, source_ip: text })

export const BROKER_BODIES: Readonly<Record<string, BodyKind>> = {
  'identity.refused': {
    describe: 'A valid token that is no agent, or more than one',
    body: body('identity.refused', { code: text, request: requestKey, issuer, path: z.string() }),
    personal: caller,
  },
  'broker.started': {
    describe: 'A replica began to serve',
    body: body('broker.started', {
      mode: z.enum(['local', 'production']),
      version: text,
      policy_digest: policyDigest,
    }),
  },
  'policy.loaded': {
    describe: 'A changed policy set is in force',
    body: body('policy.loaded', { policy_digest: policyDigest, problems: count }),
  },
  'policy.rejected': {
    describe: 'A changed policy set has problems; the one named stays in force',
    body: body('policy.rejected', { policy_digest: policyDigest, problems: count }),
  },
  'webhook.disabled': {
    describe: 'A webhook gets nothing more until somebody enables it',
    body: body('webhook.disabled', { webhook: text, code: text, next_index: count }),
  },
  'webhook.enabled': {
    describe: 'An operator had a webhook go on from where it had stopped',
    body: body('webhook.enabled', { webhook: text, operator, next_index: count }),
  },
  'log.origin_started': {
    describe: 'The published log begins anew; the one before was given up',
    body: body('log.origin_started', {
      origin: text,
      previous_origin: text,
      previous_checkpoint: z.string(),
      reason: text,
    }),
  },
  'log.exported': {
    describe: 'Somebody took entries along',
    body: body('log.exported', {
      operator,
      request: requestKey,
      from: count,
      to: count.optional().describe('without it; absent for a stream, which goes on'),
      personal_data: z.boolean(),
      format: z.enum(['whole', 'ndjson', 'csv', 'ocsf', 'stream']),
      filters: z.array(text).optional().describe('names of the filters used, not their values'),
    }),
  },
  'log.redacted': {
    describe: 'Personal data was erased, at the database, by its owner',
    body: body('log.redacted', {
      by: text,
      why: text,
      erased: z.array(z.tuple([count, count])).describe('runs of indexes, first and last'),
      requests: z.array(recordId).optional().describe('grant requests whose columns were erased'),
    }),
  },
  'log.archived': {
    describe: 'Entries left the database for an archive',
    body: body('log.archived', { by: text, from: count, to: count, origin: text, size: count, root: text }),
  },
}
