import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bodyProblem } from '../../../server/audit/bodies/registry.js'
import { MAPPED_KINDS, ocsfOf } from '../../../server/audit/formats/ocsf/map.js'
import { OCSF_VERSION, ocsfEvent } from '../../../server/audit/formats/ocsf/schema.js'
import { eventWithoutPersonal } from '../../../server/audit/formats/personal.js'
import { packageRoot } from '../../../server/paths.js'
import { CONTEXT, KINDS, sample } from './samples.js'

t.test('every kind of entry becomes an event of the schema', async (t) => {
  for (const kind of KINDS) {
    const event = sample(kind)
    t.equal(bodyProblem(event.body, event.personal ?? undefined), undefined, `${kind}: the sample is one`)
    for (const [how, given] of [
      ['whole', event],
      ['without personal data', eventWithoutPersonal(event)],
      ['erased', { ...event, personal: null, personal_data: 'erased' as const }],
    ] as const) {
      const mapped = ocsfOf(given, CONTEXT)
      const parsed = ocsfEvent.safeParse(mapped)
      t.equal(parsed.error?.message, undefined, `${kind}, ${how}`)
      t.match(mapped, {
        time: Date.parse('2026-03-01T10:00:00.123Z'),
        metadata: { event_code: kind, sequence: 7, uid: event.leaf_hash, version: OCSF_VERSION },
      })
      const text = JSON.stringify(mapped)
      const told = Object.values(event.personal ?? {})
        .flat()
        .map(String)
      const leaked = told.filter((one) => one !== '{}' && text.includes(JSON.stringify(one)))
      if (how !== 'whole')
        t.strictSame(
          leaked.filter((one) => !JSON.stringify(event.body).includes(one)),
          [],
          `${kind}, ${how}`,
        )
      t.strictSame(JSON.parse(text), mapped, 'and JSON loses nothing of it')
    }
    const bare = ocsfOf(event, undefined)
    t.equal(ocsfEvent.safeParse(bare).error?.message, undefined, `${kind}, when its issuance is not known`)
  }
})

t.test('what an event says', async (t) => {
  t.match(ocsfOf(sample('issuance.issued'), CONTEXT), {
    class_uid: 3003,
    type_uid: 300301,
    status_id: 1,
    user: { name: 'orders-coder', type_id: 4 },
    privileges: ['orders:write'],
    session: {
      uid: '0123456789ab',
      credential_uid: 'ASIAEXAMPLE',
      issuer: CONTEXT.role,
      expiration_time: Date.parse('2026-03-01T11:00:00Z'),
    },
    cloud: { provider: 'AWS', account: { uid: '111122223333' } },
    metadata: { correlation_uid: '0123456789ab', profiles: ['cloud'] },
  })
  t.match(ocsfOf(sample('issuance.intended'), undefined), {
    status: 'Intended',
    actor: { user: { name: 'ann@example.com' }, app_name: 'orders-coder' },
    src_endpoint: { ip: '192.0.2.7' },
  })
  const denied = ocsfOf(sample('issuance.denied'), undefined)
  t.match(denied, { status_id: 2, status_code: 'grant_required', count: 3, class_uid: 3003 })
  t.match(denied, { actor: { user: undefined } }, 'a human whom only the agent names did not act')
  t.match(ocsfOf(sample('grant.revoked'), CONTEXT), {
    type_uid: 300502,
    actor: { user: { name: 'bob', type_id: 1 } },
    resources: [{ uid: CONTEXT.role }],
  })
  t.match(ocsfOf(sample('grant.created', { approved_by: ['bob', 'dan'] }), CONTEXT), {
    actor: { app_name: 'Writ' },
    unmapped: { approved_by: ['bob', 'dan'] },
  })
  t.match(ocsfOf(sample('operator.signed_in'), undefined), {
    type_uid: 300201,
    user: { name: 'carol' },
    status_id: 1,
  })
  t.match(ocsfOf(sample('operator.signed_in', { method: 'passkey', issuer: undefined }), undefined), {
    auth_protocol: 'WebAuthn',
    auth_protocol_id: 99,
  })
  t.match(ocsfOf(sample('operator.session_ended'), undefined), { type_uid: 300202, user: { name: 'carol' } })
  t.match(ocsfOf(sample('operator.code_issued'), undefined), { actor: { user: { name: 'owner' } } })
  t.match(ocsfOf(sample('operator.key_added'), undefined), {
    type_uid: 300401,
    actor: { user: { name: 'bob' } },
    entity: { uid: 'AAAAAAAAAAAAAAAAAAAAAA', type: 'Operator Key' },
    unmapped: { of: 'carol' },
  })
  t.match(ocsfOf(sample('grant_request.approved'), undefined), { severity: 'High' })
  t.match(ocsfOf(sample('grant_request.approved', { break_glass: undefined }), undefined), {
    severity: 'Informational',
  })
  t.match(ocsfOf(sample('operator.refused', { request_id: undefined }), undefined), {
    class_uid: 3002,
    status_id: 2,
  })
  t.match(ocsfOf(sample('identity.refused'), undefined), {
    user: { name: 'unknown' },
    src_endpoint: { ip: '2001:db8::7' },
  })
  t.match(ocsfOf(sample('broker.started', { kind: 'made.up' }), undefined), { class_uid: 0, type_uid: 99 })
})

t.test('the types refuse what is not so', async (t) => {
  const good = ocsfOf(sample('issuance.issued'), CONTEXT)
  const wrong = (change: object) =>
    t.notOk(ocsfEvent.safeParse({ ...good, ...change }).success, JSON.stringify(change))
  wrong({ class_uid: 3005 })
  wrong({ type_uid: 300302 })
  wrong({ type_uid: 300399 })
  wrong({ privileges: [] })
  wrong({ severity_id: 0 })
  wrong({ cloud: undefined })
  wrong({ time: '2026-03-01' })
  wrong({ surprise: true })
})

t.test('docs/review.md has the same table', async (t) => {
  const page = readFileSync(join(packageRoot(), 'docs/review.md'), 'utf8')
  for (const kind of KINDS) {
    const { class_uid, class_name, activity_name, activity_id } = ocsfOf(sample(kind), CONTEXT)
    const own = MAPPED_KINDS.includes(kind)
    const said = own ? `${class_name} ${class_uid}, ${activity_name} ${activity_id}` : `${class_name} 0`
    t.match(page, new RegExp(`^\\| \`${kind.replace('.', '\\.')}\` \\| ${said}`, 'm'), kind)
  }
})
