import t from 'tap'
import {
  ACCOUNT,
  boundPolicy,
  call,
  ISSUANCE,
  identity,
  intendedItem,
  issuanceItem,
  kinds,
  mint,
  minute,
  OTHER,
  OTHER_KEY,
  READ_ROLE,
  reconcile,
  WRITE_ROLE,
} from './fixtures.js'

const stranger = {
  type: 'IAMUser',
  principalId: 'AIDAEXAMPLE0000000000',
  arn: `arn:aws:iam::${ACCOUNT}:user/jane`,
  accountId: ACCOUNT,
  accessKeyId: 'AKIAEXAMPLE000000000',
  userName: 'jane',
}

t.test('a session that did what it was issued for is clean', async (t) => {
  const idle = { issuance: OTHER, access_key_id: OTHER_KEY, entry: 5 }
  const failed = { issuance: '7777hhhhjjjj', state: 'failed', access_key_id: null, expires_at: null }
  const denied = call({ eventName: 'PutObject', errorCode: 'AccessDenied', eventTime: minute(9) })
  const report = reconcile(
    [
      mint(),
      mint({ session: OTHER, key: OTHER_KEY }),
      call(),
      call({ eventName: 'ListObjects', awsRegion: 'eu-central-1', sourceIPAddress: '203.0.113.8' }),
      call({ errorCode: 'NoSuchKey' }),
      denied,
      call({ userIdentity: stranger, eventTime: minute(30) }),
    ],
    { items: [issuanceItem(), issuanceItem(idle), issuanceItem(failed)] },
  )
  t.equal(report.verdict, 'clean')
  t.strictSame(report.findings, [])
  const [used, unused, never] = report.issuances
  t.match(used, { issuance: ISSUANCE, use: 'used', calls: 4, denied: 1, mint_seen: true })
  t.strictSame(used?.actions, {
    's3:GetObject': { calls: 2, denied: 0, errors: { NoSuchKey: 1 } },
    's3:ListObjects': { calls: 1, denied: 0, errors: {} },
    's3:PutObject': { calls: 1, denied: 1, errors: { AccessDenied: 1 } },
  })
  t.strictSame(used?.regions, ['eu-central-1', 'eu-west-1'])
  t.strictSame(used?.source_ips, ['203.0.113.7', '203.0.113.8'])
  t.strictSame([used?.first, used?.last], ['2026-11-25T10:05:00.000Z', '2026-11-25T10:09:00.000Z'])
  t.match(unused, { issuance: OTHER, use: 'idle', calls: 0 })
  t.match(never, { use: 'undelivered', state: 'failed' })
  t.strictSame(Object.values(report.made_by), [2])
})

t.test('calls without an issuance', async (t) => {
  const unknown = { key: 'ASIAEXAMPLE0000000FF', session: 'jane-debugging', sourceIdentity: undefined }
  const cases: readonly [string, Record<string, unknown>][] = [
    ['on a role of the policy set', call({ userIdentity: identity(unknown) })],
    ['refused by AWS as well', call({ userIdentity: identity(unknown), errorCode: 'AccessDenied' })],
    [
      'whose role only the ARN of the session names',
      call({ userIdentity: { ...identity(unknown), sessionContext: null } }),
    ],
    [
      'with a session name like an issuance',
      call({ userIdentity: identity({ ...unknown, session: OTHER }) }),
    ],
    [
      'on another role, with the source identity of an issuance the record lost',
      call({
        userIdentity: identity({ ...unknown, role: role('admin'), sourceIdentity: `orders-coder+${OTHER}` }),
      }),
    ],
    [
      'by a service on its behalf',
      call({ userIdentity: identity({ ...unknown, invokedBy: 'AWS Internal' }) }),
    ],
  ]
  for (const [name, record] of cases) {
    const report = reconcile([record])
    t.equal(report.verdict, 'alarm', name)
    t.strictSame(kinds(report), ['unrecorded_call'], name)
  }
  const report = reconcile([
    call({ userIdentity: identity(unknown) }),
    call({ userIdentity: identity(unknown) }),
  ])
  t.match(report.findings, [
    {
      alarm: true,
      role: READ_ROLE,
      session: 'jane-debugging',
      access_key_id: 'ASIAEXAMPLE0000000FF',
      events: 2,
      calls: { 's3:GetObject': 2 },
      examples: [
        { file: 'trail.json', record: 1 },
        { file: 'trail.json', record: 2 },
      ],
    },
  ])
})

t.test('roles come from the policies, from the issuances, and from --role', async (t) => {
  const record = call({ userIdentity: identity({ key: 'ASIAEXAMPLE0000000FF', session: 'x' }) })
  const none = { roles: [], agents: [] }
  t.equal(reconcile([record], { items: [], settings: none }).verdict, 'clean', 'nothing says it is ours')
  t.equal(reconcile([record], { settings: none }).verdict, 'alarm', 'an issuance was on it')
  const named = { roles: [READ_ROLE.replace('role/writ/', 'role/')], agents: [] }
  t.equal(reconcile([record], { items: [], settings: named }).verdict, 'alarm', 'whatever its path')
})

t.test('sessions made without an issuance', async (t) => {
  t.strictSame(kinds(reconcile([mint({ session: OTHER, key: OTHER_KEY })])), ['unrecorded_mint'])
  const kin = { eventName: 'AssumeRoleWithWebIdentity' }
  t.strictSame(kinds(reconcile([mint({ session: OTHER, key: OTHER_KEY, change: kin })])), ['unrecorded_mint'])
  const bare = { requestParameters: null }
  t.strictSame(
    kinds(reconcile([mint({ session: OTHER, key: OTHER_KEY, change: bare })])),
    ['unrecorded_mint'],
    'the answer names the role too',
  )
  t.strictSame(
    kinds(reconcile([mint({ key: OTHER_KEY, at: minute(30) })])),
    ['unrecorded_mint'],
    'under the name of an issuance, long after it',
  )
  const soon = reconcile([mint({ key: OTHER_KEY })])
  t.strictSame(kinds(soon), ['mint_undelivered'], 'AWS answered twice')
  t.equal(soon.verdict, 'clean')
  const refused = reconcile([
    mint({ session: OTHER, change: { errorCode: 'AccessDenied', responseElements: null } }),
  ])
  t.strictSame(kinds(refused), ['refused_mint'])
  t.equal(refused.verdict, 'clean', 'an attempt is worth a note')
})

t.test('an issuance that was never delivered', async (t) => {
  for (const state of ['intended', 'failed', 'abandoned']) {
    const items = [issuanceItem({ state, access_key_id: null, expires_at: null })]
    t.strictSame(
      kinds(reconcile([mint()], { items })),
      ['mint_undelivered'],
      `${state}: AWS may have made it`,
    )
    const used = reconcile([mint(), call()], { items })
    t.strictSame(kinds(used), ['undelivered_used', 'mint_undelivered'], `${state}: and somebody used it`)
    t.equal(used.verdict, 'alarm')
    t.strictSame(
      kinds(reconcile([mint({ at: minute(20) })], { items })),
      ['unrecorded_mint'],
      `${state}: made later`,
    )
  }
})

t.test('contradictions', async (t) => {
  const items = [issuanceItem(), issuanceItem({ issuance: OTHER, access_key_id: OTHER_KEY, entry: 5 })]
  const cases: readonly [string, Record<string, unknown>][] = [
    ['key of A, name of B', call({ userIdentity: identity({ session: OTHER }) })],
    ['key of A, any name', call({ userIdentity: identity({ session: 'jane', sourceIdentity: undefined }) })],
    ['name of A, unknown key', call({ userIdentity: identity({ key: 'ASIAEXAMPLE0000000FF' }) })],
    ['another role of Writ', call({ userIdentity: identity({ role: WRITE_ROLE }) })],
    ['a role that is not of Writ', call({ userIdentity: identity({ role: role('admin') }) })],
    ['source identity of B', call({ userIdentity: identity({ sourceIdentity: `orders-coder+${OTHER}` }) })],
    ['source identity of nobody', call({ userIdentity: identity({ sourceIdentity: 'jane' }) })],
    ['made with the name of B', mint({ session: OTHER })],
    ['made on another role', mint({ role: WRITE_ROLE })],
    ['made with another source identity', mint({ sourceIdentity: 'jane' })],
    ['made with the tag of B', mint({ change: { requestParameters: tagged('writ:issuance', OTHER) } })],
    [
      'made with the tag of another agent',
      mint({ change: { requestParameters: tagged('writ:agent', 'x') } }),
    ],
  ]
  for (const [name, record] of cases) {
    const report = reconcile([record], { items })
    t.equal(report.verdict, 'alarm', name)
    t.match(new Set(kinds(report)), new Set(['contradiction']), name)
  }
  const named = { roleArn: READ_ROLE, roleSessionName: OTHER }
  const renamed = mint({ sourceIdentity: `orders-coder+${ISSUANCE}`, change: { requestParameters: named } })
  t.strictSame(kinds(reconcile([renamed], { items })), ['contradiction'], 'the name alone')
  const service = call({ userIdentity: identity({ key: 'ASIAEXAMPLE0000000FF', invokedBy: 'AWS Internal' }) })
  t.equal(reconcile([service], { items }).verdict, 'clean', 'a service signs with a key of its own')
  const noKey = call({ userIdentity: identity({ key: undefined }) })
  t.equal(reconcile([noKey], { items }).verdict, 'clean', 'some events have no key')
})

t.test('outside the time of the session', async (t) => {
  t.strictSame(kinds(reconcile([call({ eventTime: minute(62) })])), ['after_end'])
  t.strictSame(kinds(reconcile([call({ eventTime: minute(60.5) })])), [], 'a call under way at the end')
  t.strictSame(kinds(reconcile([call({ eventTime: minute(62), errorCode: 'ExpiredToken' })])), [], 'refused')
  t.strictSame(kinds(reconcile([call({ eventTime: minute(-2) })])), ['after_end'], 'before it was decided')
  const items = [issuanceItem(), intendedItem({ not_after: minute(10) })]
  t.strictSame(
    kinds(reconcile([call({ eventTime: minute(12) })], { items })),
    ['after_end'],
    'the policy ends it',
  )
  const who = { eventSource: 'sts.amazonaws.com', eventName: 'GetCallerIdentity', eventTime: minute(12) }
  t.strictSame(kinds(reconcile([call(who)], { items })), [], 'nothing can deny GetCallerIdentity')
})

t.test('another network than the one it is bound to', async (t) => {
  const items = [
    issuanceItem(),
    intendedItem({ session_policy: boundPolicy('203.0.113.0/24', '2001:db8::/32') }),
  ]
  const from = (sourceIPAddress: string, change = {}) =>
    kinds(reconcile([call({ sourceIPAddress, ...change })], { items }))
  t.strictSame(from('203.0.113.99'), [])
  t.strictSame(from('2001:db8::7'), [])
  t.strictSame(from('198.51.100.1'), ['other_network'])
  t.strictSame(from('2001:db9::7'), ['other_network'])
  t.strictSame(from('198.51.100.1', { errorCode: 'AccessDenied' }), [], 'refused')
  t.strictSame(from('cloudformation.amazonaws.com'), [], 'a service on its behalf')
  t.strictSame(kinds(reconcile([call({ sourceIPAddress: '198.51.100.1' })])), [], 'not bound')
})

t.test('sessions made from a session', async (t) => {
  const assume = {
    eventSource: 'sts.amazonaws.com',
    eventName: 'AssumeRole',
    requestParameters: { roleArn: role('admin'), roleSessionName: 'x' },
    responseElements: { credentials: { accessKeyId: OTHER_KEY } },
  }
  t.strictSame(kinds(reconcile([call(assume)])), ['chained'])
  t.strictSame(
    kinds(reconcile([call({ ...assume, errorCode: 'AccessDenied' })])),
    [],
    'refused, and counted as that',
  )
  t.strictSame(kinds(reconcile([call({ ...assume, eventName: 'GetFederationToken' })])), ['chained'])
  const chained = identity({
    key: OTHER_KEY,
    session: 'x',
    role: role('admin'),
    sourceIdentity: `orders-coder+${ISSUANCE}`,
  })
  const used = reconcile([call({ userIdentity: chained })])
  t.strictSame(kinds(used), ['chained'])
  t.match(used.findings[0], { issuance: ISSUANCE, agent: 'orders-coder', role: role('admin') })
  const ours = mint({ session: 'x', key: OTHER_KEY, role: WRITE_ROLE, caller: identity() })
  t.strictSame([...kinds(reconcile([ours]))].sort(), ['chained', 'unrecorded_mint'])
})

function role(name: string): string {
  return `arn:aws:iam::${ACCOUNT}:role/${name}`
}

function tagged(key: string, value: string) {
  return { roleArn: READ_ROLE, roleSessionName: ISSUANCE, tags: [{ key, value }] }
}
