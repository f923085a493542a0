import { z } from 'zod'

/**
 * The part of the Open Cybersecurity Schema Framework that the record is mapped to, in the spelling of 1.8.0
 * (https://schema.ocsf.io/1.8.0). Ours and stricter than theirs: every attribute we write is here, and no other.
 */
export const OCSF_VERSION = '1.8.0'

const text = z.string().min(1)
/** Milliseconds since 1970, UTC. */
const time = z.number().int().min(0)

const user = z.strictObject({
  name: text,
  uid: text.optional(),
  domain: text.optional(),
  type: z.enum(['User', 'Service', 'Unknown']),
  type_id: z.union([z.literal(0), z.literal(1), z.literal(4)]),
})

const actor = z
  .strictObject({
    user: user.optional(),
    app_name: text.optional(),
    idp: z.strictObject({ name: text }).optional(),
  })
  .refine(({ user, app_name }) => user !== undefined || app_name !== undefined, 'at least one')

const common = {
  activity_name: text,
  severity_id: z.number().int().min(1).max(5),
  severity: z.enum(['Informational', 'Low', 'Medium', 'High', 'Critical']),
  time,
  message: text,
  metadata: z.strictObject({
    version: z.literal(OCSF_VERSION),
    product: z.strictObject({ name: z.literal('Writ'), vendor_name: z.literal('Writ') }),
    log_name: z.literal('writ'),
    log_version: text,
    uid: z.string().regex(/^[0-9a-f]{64}$/),
    sequence: z.number().int().min(0),
    event_code: text,
    original_time: text,
    correlation_uid: text.optional(),
    profiles: z.tuple([z.literal('cloud')]).optional(),
  }),
  /** Present exactly when metadata.profiles names it. */
  cloud: z
    .strictObject({
      provider: z.literal('AWS'),
      account: z.strictObject({
        uid: z.string().regex(/^\d{12}$/),
        type: z.literal('AWS Account'),
        type_id: z.literal(10),
      }),
    })
    .optional(),
  count: z.number().int().min(2).optional(),
  unmapped: z.record(z.string(), z.unknown()),
}

const status = {
  status_id: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(99)]),
  status: text,
  status_code: text.optional(),
  status_detail: text.optional(),
}

const iam = {
  category_uid: z.literal(3),
  category_name: z.literal('Identity & Access Management'),
  actor: actor.optional(),
  src_endpoint: z.strictObject({ ip: z.union([z.ipv4(), z.ipv6()]) }).optional(),
  http_request: z.strictObject({ uid: text }).optional(),
  ...status,
}

const activity = (class_uid: number, ids: readonly number[]) => ({
  class_uid: z.literal(class_uid),
  activity_id: z.union(ids.map((id) => z.literal(id))),
  type_uid: z.union(ids.map((id) => z.literal(class_uid * 100 + id))),
})

const privileges = z.array(text).min(1)

export const authorizeSession = z.strictObject({
  ...common,
  ...iam,
  ...activity(3003, [1, 99]),
  class_name: z.literal('Authorize Session'),
  user,
  // Theirs asks for just one of privileges and group.
  privileges,
  session: z
    .strictObject({
      uid: text,
      uid_alt: text.optional(),
      issuer: text.optional(),
      credential_uid: text.optional(),
      created_time: time.optional(),
      expiration_time: time.optional(),
    })
    .optional(),
})

export const userAccess = z.strictObject({
  ...common,
  ...iam,
  ...activity(3005, [1, 2]),
  class_name: z.literal('User Access Management'),
  user,
  privileges,
  resources: z.array(z.strictObject({ uid: text, type: z.literal('AWS IAM Role') })).optional(),
})

export const authentication = z.strictObject({
  ...common,
  ...iam,
  ...activity(3002, [1, 2]),
  class_name: z.literal('Authentication'),
  user,
  auth_protocol: z.enum(['OpenID', 'WebAuthn']).optional(),
  auth_protocol_id: z.union([z.literal(4), z.literal(99)]).optional(),
  logon_type: z.literal('Network'),
  logon_type_id: z.literal(3),
  is_remote: z.literal(true),
  // Theirs asks for at least one of service and dst_endpoint.
  service: z.strictObject({ name: z.literal('Writ') }),
  session: z
    .strictObject({ issuer: text, created_time: time.optional(), expiration_time: time.optional() })
    .optional(),
})

export const entityManagement = z.strictObject({
  ...common,
  ...iam,
  ...activity(3004, [1, 2, 3, 4, 5, 8, 9, 10, 99]),
  class_name: z.literal('Entity Management'),
  entity: z.strictObject({
    name: text,
    uid: text.optional(),
    type: text,
    type_id: z.union([z.literal(5), z.literal(99)]),
  }),
  comment: text.optional(),
})

export const detectionFinding = z.strictObject({
  ...common,
  ...activity(2004, [1]),
  category_uid: z.literal(2),
  category_name: z.literal('Findings'),
  class_name: z.literal('Detection Finding'),
  status_id: z.literal(1),
  status: z.literal('New'),
  is_alert: z.literal(true),
  finding_info: z.strictObject({
    uid: text,
    title: text,
    created_time: time,
    first_seen_time: time,
    analytic: z.strictObject({ name: text, type: z.literal('Rule'), type_id: z.literal(1) }),
  }),
})

export const baseEvent = z.strictObject({
  ...common,
  ...activity(0, [99]),
  category_uid: z.literal(0),
  category_name: z.literal('Uncategorized'),
  class_name: z.literal('Base Event'),
})

export const ocsfEvent = z
  .discriminatedUnion('class_uid', [
    authorizeSession,
    userAccess,
    authentication,
    entityManagement,
    detectionFinding,
    baseEvent,
  ])
  .refine(
    ({ class_uid, activity_id, type_uid }) => type_uid === class_uid * 100 + activity_id,
    'type_uid is not that of the activity',
  )
  .refine(({ cloud, metadata }) => (cloud === undefined) === (metadata.profiles === undefined), 'profile')

export type OcsfEvent = z.infer<typeof ocsfEvent>
export type User = z.infer<typeof user>
export type Actor = z.infer<typeof actor>
export type Entity = z.infer<typeof entityManagement>['entity']
