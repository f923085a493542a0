import fc from 'fast-check'
import t from 'tap'
import {
  ACCOUNT,
  call,
  entry,
  ISSUANCE,
  issuanceItem,
  type Json,
  kinds,
  minute,
  OTHER,
  READ_ROLE,
  reconcile,
  WRITE_ROLE,
} from './fixtures.js'

const GRANT = 'gggggggggggg'
const HUMAN = { human: 'Ann@example.com', human_how: 'verified' }

/** As the database writes them: the cutoff lies a minute after the stop. */
const stop = (at: number, stops: string, fields: Json = {}, personal?: Json): Json =>
  entry('stop.engaged', minute(at), { stop: `stop${at}`, stops, cutoff: minute(at + 1), ...fields }, personal)

const deny = (at: number, ...kills: readonly Json[]): Json =>
  entry('deny.written', minute(at), { role_arn: READ_ROLE, kills, waited_ms: 90 })

const agentKill = (at: number, target = 'orders-coder'): Json => ({
  kind: 'agent',
  target,
  cutoff: minute(at + 1),
})

const REFUSED = { errorCode: 'AccessDenied' }

const judged = (items: readonly Json[], calls: readonly Json[]) => reconcile(calls, { items })

t.test('after a stop: before the Deny holds, and after', async (t) => {
  const items = [issuanceItem(), stop(3, 'agent', { name: 'orders-coder' }), deny(3, agentKill(3))]
  const at = (minutes: number, change: Json = {}) =>
    judged(items, [call({ eventTime: minute(minutes), ...change })])
  t.strictSame(kinds(at(2)), [], 'before')
  const spreading = at(4.5)
  t.strictSame(kinds(spreading), ['after_stop'])
  t.equal(spreading.verdict, 'clean', 'IAM may take a while')
  t.match(spreading.findings[0]?.detail, /^Stop stop3 was engaged at 2026-11-25T10:03:00\.000Z\.$/)
  const held = at(6)
  t.strictSame(kinds(held), ['after_deny'], 'a Deny that does not hold')
  t.equal(held.verdict, 'alarm')
  t.strictSame(kinds(at(6, REFUSED)), ['refused_after_stop'], 'it held, and the agent went on trying')
  t.strictSame(kinds(at(6, { errorCode: 'NoSuchKey' })), [], 'another error is no refusal, and no success')
  const who = { eventSource: 'sts.amazonaws.com', eventName: 'GetCallerIdentity' }
  t.strictSame(kinds(at(6, who)), [], 'nothing can deny GetCallerIdentity')
  t.strictSame(kinds(at(4.5, who)), [])

  const late = judged([...items.slice(0, 2), deny(20, agentKill(3))], [call({ eventTime: minute(19) })])
  t.strictSame(kinds(late), ['after_stop'], 'IAM had no Deny yet')
})

t.test('what is told of each issuance', async (t) => {
  const items = [
    issuanceItem(),
    issuanceItem({ issuance: OTHER, access_key_id: null, agent: 'report-bot' }),
    stop(3, 'agent', { name: 'orders-coder' }),
    deny(4, agentKill(3)),
  ]
  const calls = [1, 3.5, 7].map((at) => call({ eventTime: minute(at) }))
  const { issuances } = judged(items, [...calls, call({ eventTime: minute(8), ...REFUSED })])
  t.match(issuances, [
    {
      issuance: ISSUANCE,
      calls: 4,
      calls_after_stop: 3,
      stopped: '2026-11-25T10:03:00.000Z',
      denied_since: '2026-11-25T10:04:00.000Z',
    },
    { issuance: OTHER, calls_after_stop: 0, stopped: null, denied_since: null },
  ])
})

t.test('whom a stop is about', async (t) => {
  const about = (item: Json, engaged: Json, namesOf?: (human: string) => readonly string[]) =>
    kinds(
      reconcile([call({ eventTime: minute(4) })], {
        items: [issuanceItem(item), engaged],
        ...(namesOf === undefined ? {} : { namesOf }),
      }),
    )
  const yes = ['after_stop']
  t.strictSame(about({}, stop(3, 'everything')), yes)
  t.strictSame(about({}, stop(3, 'environment', { name: 'production' })), yes)
  t.strictSame(about({}, stop(3, 'environment', { name: 'staging' })), [])
  t.strictSame(about({}, stop(3, 'account', { name: ACCOUNT })), yes)
  t.strictSame(about({}, stop(3, 'account', { name: '444455556666' })), [])
  t.strictSame(about({}, stop(3, 'agent', { name: 'report-bot' })), [])
  t.strictSame(about({}, stop(3, 'agent', { name: 'production' })), [], 'a name of something else')
  t.strictSame(about({}, stop(3, 'human', { agents: ['orders-coder'] })), yes, 'an agent that they own')
  t.strictSame(about(HUMAN, stop(3, 'human', {}, { human: 'ann@example.com' })), yes, 'whatever the case')
  t.strictSame(about(HUMAN, stop(3, 'human', {}, { human: 'ben@example.com' })), [])
  t.strictSame(about(HUMAN, stop(3, 'human', {})), [], 'whose name was erased')
  const names = (human: string) => [human, 'ann@example.com']
  t.strictSame(about(HUMAN, stop(3, 'human', {}, { human: 'ann' }), names), yes, 'under another name')
})

t.test('only while the session lived', async (t) => {
  const late = { eventTime: minute(61.5) }
  const after = judged([issuanceItem(), stop(61, 'everything')], [call(late)])
  t.strictSame(kinds(after), ['after_end'], 'it had ended')
  const before = judged([issuanceItem(), stop(-5, 'everything')], [call()])
  t.strictSame(kinds(before), [], 'a stop released before')
  const older = judged([issuanceItem(), deny(-4, agentKill(-5))], [call()])
  t.strictSame(kinds(older), [], 'and its Deny, which is about older sessions')
})

t.test('whose Deny it is', async (t) => {
  const items = (item: Json, ...kills: readonly Json[]) => [issuanceItem(item), deny(3, ...kills)]
  const about = (item: Json, ...kills: readonly Json[]) =>
    kinds(judged(items(item, ...kills), [call({ eventTime: minute(6) })]))
  const yes = ['after_deny']
  t.strictSame(about({}, agentKill(3)), yes)
  t.strictSame(about({}, agentKill(3, 'report-bot')), [])
  t.strictSame(about({}, { kind: 'issuance', target: ISSUANCE }), yes)
  t.strictSame(about({}, { kind: 'issuance', target: OTHER }), [])
  t.strictSame(about({}, { kind: 'role', cutoff: minute(4) }), yes)
  t.strictSame(about({}, { kind: 'role', cutoff: minute(-1) }), [], 'of older sessions')
  t.strictSame(about({}, { ...agentKill(3), kind: 'tomorrow' }), [], 'of a kind that is not known')
  const elsewhere = entry('deny.written', minute(3), { role_arn: WRITE_ROLE, kills: [agentKill(3)] })
  const call6 = [call({ eventTime: minute(6) })]
  t.strictSame(kinds(judged([issuanceItem(), elsewhere], call6)), [], 'on another role')

  const human = { kind: 'human', cutoff: minute(4) }
  const ofHuman = (item: Json, kill: Json) =>
    kinds(judged([...items(item, kill), stop(3, 'human', {}, { human: 'ann@example.com' })], call6))
  t.strictSame(ofHuman(HUMAN, human), yes)
  t.strictSame(ofHuman(HUMAN, { ...human, cutoff: minute(3.5) }), ['after_stop'], "another human's")
  t.strictSame(ofHuman({ ...HUMAN, human: 'ben@example.com' }, human), [], "another human's session")
  const own = { ...HUMAN, human_how: 'self-claimed' }
  t.strictSame(ofHuman(own, human), ['after_stop'], "an agent's own word is in no tag")
})

t.test('after a revocation', async (t) => {
  const ofGrant = entry('grant.revoked', minute(3), { grant_id: GRANT })
  const itself = entry('issuance.revoked', minute(4), { issuance_id: ISSUANCE })
  const at = (items: readonly Json[], minutes: number, change: Json = {}) =>
    judged([issuanceItem({ grant: GRANT }), ...items], [call({ eventTime: minute(minutes), ...change })])
  t.strictSame(kinds(at([ofGrant], 2)), [])
  const report = at([ofGrant], 5)
  t.strictSame(kinds(report), ['after_revocation'])
  t.equal(report.verdict, 'clean')
  t.match(report.findings[0]?.detail, /^Revoked with grant g{12} at 2026-11-25T10:03/)
  t.match(at([itself], 5).findings, [{ detail: /^Revoked with issuance 0a1b2c3d4e5f at 2026-11-25T10:04/ }])
  for (const both of [
    [ofGrant, itself],
    [itself, ofGrant],
  ]) {
    t.match(at(both, 5).findings, [{ detail: /with grant/ }], 'the earlier of them')
  }
  t.strictSame(kinds(at([ofGrant], 5, REFUSED)), ['refused_after_stop'])
  const denied = deny(4, { kind: 'issuance', target: ISSUANCE })
  t.strictSame(kinds(at([ofGrant, itself, denied], 7)), ['after_deny'])
  t.strictSame(kinds(at([ofGrant, stop(4, 'everything')], 5)), ['after_stop'], 'both: the stop is said')
})

t.test('entries in any order, and twice, say the same', async () => {
  const items = [
    issuanceItem({ grant: GRANT }),
    stop(3, 'agent', { name: 'orders-coder' }),
    stop(5, 'environment', { name: 'production' }),
    entry('grant.revoked', minute(4), { grant_id: GRANT }),
    entry('issuance.revoked', minute(6), { issuance_id: ISSUANCE }),
    deny(4, agentKill(3)),
    deny(9, { kind: 'role', cutoff: minute(6) }),
  ]
  const calls = [2, 3.5, 4.5, 8].map((at, n) => call({ eventTime: minute(at), eventID: `event-${n}` }))
  const expected = JSON.stringify(judged(items, calls))
  fc.assert(
    fc.property(fc.shuffledSubarray([...items, ...items], { minLength: 2 * items.length }), (order) => {
      return JSON.stringify(judged(order, calls)) === expected
    }),
    { numRuns: 100 },
  )
})

t.test('an entry that cannot be read is said', async (t) => {
  for (const [kind, fields, field] of [
    ['stop.engaged', { stop: 's', stops: 'weather', cutoff: minute(1) }, 'stops'],
    ['stop.engaged', { stop: 's', stops: 'everything' }, 'cutoff'],
    ['deny.written', { role_arn: READ_ROLE }, 'kills'],
    ['issuance.revoked', {}, 'issuance_id'],
    ['grant.revoked', { grant_id: 7 }, 'grant_id'],
  ] as const) {
    t.throws(
      () => judged([entry(kind, minute(1), fields)], []),
      { message: new RegExp(`^it is not an event ${kind}: ${field}: `) },
      `${kind} ${field}`,
    )
  }
})
