import fc from 'fast-check'
import t from 'tap'
import { mayApprove } from '../../server/decision/may-approve.js'
import type { Identity, PolicySet } from '../../server/types.js'
import { compiled, GOOD, identity } from './support.js'

const STAFF = 'https://login.example.com'

/** A token of the operators' issuer as the verifier reads it: the subject is among the claims. */
const token = (
  subject: string,
  claims: Readonly<Record<string, unknown>> = {},
  issuer = STAFF,
): Identity => ({
  ...identity({ sub: subject, ...claims }, issuer),
  subject,
})

const group = (name: string, lines: string, has = name): string =>
  `operators: ${name}
identity:
  issuer: ${STAFF}
  claims: { groups: { has: ${has} } }
${lines}`

const APPROVERS = `name: { claim: sub }
roles: [approver]
teams: { claim: teams }
approves: [prod]
`
const withGroup = (text: string, more: Readonly<Record<string, string>> = {}) =>
  compiled({ ...GOOD, 'group.yaml': text, ...more })

/** The one person a token is, or how many it could be. */
function who(set: PolicySet, identity: Identity) {
  const [one, ...more] = set.operatorsMatching(identity)
  return one !== undefined && more.length === 0 ? one : undefined
}

const MEMBER = { groups: ['everyone', 'approvers'], teams: ['orders'], email: 'ann@example.com' }

t.test('a member of a group is one person', async (t) => {
  const set = await withGroup(group('approvers', APPROVERS))
  const ann = who(set, token('00u1Ann', MEMBER))
  t.match(ann, { name: 'sub:00u1Ann', identity: { issuer: STAFF } })
  t.same([...(ann?.roles ?? [])], ['approver'])
  t.same([...(ann?.teams ?? [])], ['orders'])
  t.same([...(ann?.approves ?? [])], ['prod'])
  t.same([...(ann?.alsoKnownAs ?? [])], ['00u1Ann', 'ann@example.com', 'sub:00u1Ann'])
  t.same([...(ann?.identity.claims ?? [])], [['sub', { kind: 'equals', value: '00u1Ann' }]])
  if (ann === undefined) throw new Error('nobody')
  t.throws(() => (ann.roles as Set<string>).add('admin'), /immutable/)
  t.throws(() => Object.assign(ann, { name: 'bob' }))
  t.not(who(set, token('00u1ann', MEMBER))?.name, ann?.name, 'subjects are compared with their case')
  t.notOk(set.operators.has('sub:00u1Ann'))
  t.equal(set.operatorByName('sub:00u1Ann'), undefined, 'without a token there are no claims')
  t.equal(set.operatorByName('approvers'), undefined, 'a group is nobody')
  t.equal(set.operatorByName('bob')?.name, 'bob')
  t.equal(set.operatorByName('constructor'), undefined)
})

t.test('whoever is not in the group is nobody', async (t) => {
  const set = await withGroup(group('approvers', APPROVERS))
  const strangers: Readonly<Record<string, unknown>>[] = [
    {},
    { groups: [] },
    { groups: ['approvers-evil', 'Approvers', 'approver'] },
    { groups: 'approvers' },
    { groups: ['approvers', 7] },
    { groups: { approvers: true } },
    { groups: [['approvers']] },
    { groups: null },
  ]
  for (const claims of strangers)
    t.notOk(who(set, token('x', { teams: [], ...claims })), JSON.stringify(claims))
  t.notOk(who(set, token('x', MEMBER, 'https://evil.example.com')))
})

t.test('a name that cannot be trusted is nobody', async (t) => {
  const subs = await withGroup(group('approvers', APPROVERS))
  for (const subject of [
    'a b',
    'a/b',
    'a:b',
    '-a',
    'ä',
    'a\u200b',
    'a'.repeat(129),
    '',
    '../x',
    'a,b',
    'a"',
  ]) {
    t.notOk(who(subs, token(subject, MEMBER)), JSON.stringify(subject))
  }
  t.ok(who(subs, token('auth0|5f7c8ec7c33c6c004bbafe82', MEMBER)))

  const mails = await withGroup(group('approvers', APPROVERS.replace('sub', 'email')))
  const mail = (email: unknown, email_verified: unknown = true) =>
    who(mails, token('1', { ...MEMBER, email, email_verified }))
  t.equal(mail('ann@example.com')?.name, 'email:ann@example.com')
  t.same([...(mail('ann@example.com')?.alsoKnownAs ?? [])].sort(), [
    '1',
    'ann@example.com',
    'email:ann@example.com',
  ])
  t.notOk(mail('ann@example.com', false), 'an address nobody verified')
  t.notOk(mail('ann@example.com', null))
  t.notOk(mail('ann@example.com', 'true'))
  for (const email of [
    'Ann@example.com',
    'ANN@EXAMPLE.COM',
    'аnn@example.com',
    ' ann@example.com',
    7,
    true,
    null,
  ]) {
    t.notOk(mail(email), JSON.stringify(email))
  }
  t.notOk(mail(['ann@example.com']))
  t.notOk(mail(undefined), 'no claim, no name')

  const ids = await withGroup(group('approvers', APPROVERS.replace('sub', 'oid')))
  const id = (oid: string) => who(ids, token('1', { ...MEMBER, oid }))
  t.equal(id('7f3a')?.name, 'oid:7f3a')
  t.ok(id('7f3a')?.alsoKnownAs.has('7f3a'), 'owners and agents know them without the claim')
  t.notOk(id('bob'))
})

t.test('a person with a document of their own is what it says', async (t) => {
  const set = await withGroup(group('approvers', `${APPROVERS}`), {
    'bob.yaml': (GOOD['bob.yaml'] ?? '').replace('approver]\napproves: [prod]', 'security]'),
  })
  const bob = who(set, token('bob', MEMBER))
  t.equal(bob?.name, 'bob')
  t.same([...(bob?.roles ?? [])], ['security'], 'a group at the issuer gives them nothing more')
})

t.test('nobody stands for somebody named, nor they for themselves twice', async (t) => {
  const set = await withGroup(group('approvers', `${APPROVERS}also_known_as: { claims: [login] }\n`), {
    'bob.yaml': `${GOOD['bob.yaml']}also_known_as: ["Bob@example.com", "sub:taken"]\n`,
  })
  const other = (subject: string, claims: Readonly<Record<string, unknown>> = {}) =>
    who(set, token(subject, { ...MEMBER, login: 'ann', ...claims }))
  t.ok(other('ann'))
  t.notOk(other('bob2', { email: 'bob@example.com' }), 'a second account of Bob, or an impostor')
  t.notOk(other('bob2', { email: 'BOB@EXAMPLE.COM' }))
  t.notOk(other('Bob'), 'a subject like his name')
  t.notOk(other('bob2', { login: 'bob' }))
  t.notOk(other('taken'), 'the whole name')
})

t.test('what would keep people from approving for themselves has to be there', async (t) => {
  const set = await withGroup(group('approvers', `${APPROVERS}also_known_as: { claims: [login, upn] }\n`))
  const full = { ...MEMBER, login: 'ann-on-github', upn: 'ann@corp.example.com' }
  const names = who(set, token('1', full))?.alsoKnownAs ?? new Set()
  for (const name of ['1', 'sub:1', 'ann@example.com', 'ann-on-github', 'ann@corp.example.com'])
    t.ok(names.has(name), name)
  const without = (change: Readonly<Record<string, unknown>>) => who(set, token('1', { ...full, ...change }))
  t.notOk(without({ login: undefined }))
  t.notOk(without({ upn: '' }))
  t.notOk(without({ upn: ['ann'] }))
  t.notOk(without({ email: 'ann\u200b@example.com' }))
  t.notOk(without({ email: ['ann@example.com'] }))
  t.ok(without({ email: undefined }), 'many issuers give no address')

  t.notOk(without({ teams: undefined }), 'a person without teams could own the agent')
  t.notOk(without({ teams: null }))
  t.notOk(without({ teams: ['orders', 7] }))
  t.notOk(without({ teams: ['/orders'] }), 'no team is called so, and one may be meant')
  t.notOk(without({ teams: Array.from({ length: 501 }, (_, n) => `team-${n}`) }))
  t.same([...(without({ teams: ['Orders', 'orders', 'Data'] })?.teams ?? [])], ['data', 'orders'])
  t.same([...(without({ teams: 'Orders' })?.teams ?? [])], ['orders'])
  t.same([...(without({ teams: [] })?.teams ?? ['x'])], [])
})

t.test('several groups give all that each gives, and nothing across', async (t) => {
  const scopes = (list: string) => `approves_scopes: [${list}]\n`
  const set = await withGroup(
    [
      group('orders', `${APPROVERS.replace('{ claim: teams }', '[orders]')}${scopes('"orders:*"')}`),
      group('stage', APPROVERS.replace('{ claim: teams }', '[data]').replace('[prod]', '[stage]')),
      group('watch', 'name: { claim: sub }\nroles: [security, admin]\n'),
      group('reads', `${APPROVERS}${scopes('reports:read')}`),
      group('all', APPROVERS),
    ].join('---\n'),
    {
      'stage.yaml': 'environment: stage\ntier: staging\naccount: "333344445555"\nregions: [eu-west-1]\n',
      'reports.yaml': (GOOD['read.yaml'] ?? '').replace('orders:read', 'reports:read'),
    },
  )
  const member = (...groups: string[]) => {
    const found = who(set, token('ann', { groups, teams: ['sales'] }))
    if (found === undefined) throw new Error('nobody')
    return found
  }
  const both = member('orders', 'stage')
  t.same([...both.teams], ['data', 'orders'])
  t.ok(mayApprove(both, 'prod', ['orders:write']))
  t.ok(mayApprove(both, 'stage', ['reports:read']))
  t.notOk(mayApprove(both, 'prod', ['reports:read']), 'the scopes of staging are not those of production')
  t.ok(mayApprove(member('orders', 'reads'), 'prod', ['orders:write', 'reports:read']))
  t.ok(mayApprove(member('orders', 'all'), 'prod', ['reports:read']))
  t.same([...member('orders', 'watch').roles], ['admin', 'approver', 'security'])
  t.same([...member('watch').approves], [])
  t.notOk(mayApprove(member('watch'), 'prod', ['orders:write']), 'an admin decides nothing')

  const known = ['orders:read', 'orders:write', 'orders:purge', 'reports:read']
  const gives: Readonly<Record<string, (environment: string, scope: string) => boolean>> = {
    orders: (environment, scope) => environment === 'prod' && scope.startsWith('orders:'),
    stage: (environment) => environment === 'stage',
    watch: () => false,
    reads: (environment, scope) => environment === 'prod' && scope === 'reports:read',
    all: (environment) => environment === 'prod',
  }
  fc.assert(
    fc.property(
      fc.subarray(Object.keys(gives), { minLength: 1 }),
      fc.subarray(known, { minLength: 1 }),
      fc.constantFrom('prod', 'stage', 'dev'),
      (groups, wanted, environment) => {
        const each = wanted.every((one) => groups.some((name) => gives[name]?.(environment, one)))
        return mayApprove(member(...groups), environment, wanted) === each
      },
    ),
    { numRuns: 1000 },
  )
})

t.test('whatever a token says, the person is one, and never anybody else', async () => {
  const set = await withGroup(group('approvers', `${APPROVERS}also_known_as: { claims: [login] }\n`), {
    'bob.yaml': `${GOOD['bob.yaml']}also_known_as: ["bob@example.com"]\n`,
  })
  const text = fc.oneof(
    fc.constantFrom('bob', 'Bob', 'bob@example.com', 'ann', 'sub:ann', 'x'),
    fc.string({ maxLength: 6 }),
  )
  const value = fc.oneof(text, fc.array(text, { maxLength: 3 }), fc.constantFrom<unknown>(1, true, null, {}))
  fc.assert(
    fc.property(
      text,
      fc.record({ email: value, login: value, teams: value }, { requiredKeys: [] }),
      (subject, claims) => {
        const found = set.operatorsMatching(token(subject, { groups: ['approvers'], ...claims }))
        if (found.length > 1) return false
        const [one] = found
        if (one === undefined) return true
        if (one.name === 'bob') return subject === 'bob'
        const names = [...one.alsoKnownAs].map((name) => name.toLowerCase())
        return one.name === `sub:${subject}` && !names.includes('bob') && !names.includes('bob@example.com')
      },
    ),
    { numRuns: 5000 },
  )
})
