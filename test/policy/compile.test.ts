import fc from 'fast-check'
import t from 'tap'
import { approvals } from '../../server/decision/decide.js'
import { compile } from '../../server/policy/compile.js'
import { type Parsed, parseDocuments } from '../../server/policy/parse.js'
import { cpuClock } from '../support/cpu-clock.js'
import { compiled, filesOf, GOOD, ISSUER, identity } from './support.js'

t.test('what a document becomes', async (t) => {
  const set = await compiled(GOOD)
  t.match(set.digest, /^sha256:[0-9a-f]{64}$/)
  t.match(set.environments.get('prod'), {
    tier: 'production',
    maxSessionSeconds: { read: 3600, write: 900 },
    approvals: { write: 1, delete: 2 },
    allowDelete: false,
    coolDownSeconds: 600,
    breakGlass: undefined,
  })
  t.match(set.environments.get('dev'), {
    maxSessionSeconds: { read: 14_400, write: 14_400 },
    approvals: { write: 0, delete: 0 },
    allowDelete: false,
  })
  t.equal(set.environments.get('sandbox')?.allowDelete, true)
  t.match(set.scopes.get('orders:read'), { kind: 'read', destroys: false, promotion: false })
  t.match(set.scopes.get('orders:write'), { kind: 'write', destroys: false })
  t.match(set.scopes.get('orders:purge'), { kind: 'write', destroys: true })
  t.same([...(set.scopes.get('orders:purge')?.levels ?? [])], ['delete', 'write'])
  t.match(set.agents.get('coder'), { owner: { kind: 'team', name: 'orders' }, status: 'active' })
  const bob = set.operators.get('bob')
  t.same([...(bob?.alsoKnownAs ?? [])], ['bob'])
  t.same([...(bob?.approves ?? [])], ['prod'])
  t.match(set.issuers[1], {
    issuer: ISSUER,
    for: 'agents',
    algorithms: ['RS256'],
    human: { claim: 'actor', how: 'issuer-asserted' },
    maxTokenLifeSeconds: 900,
    signIn: undefined,
  })
})

t.test('what the gate by humans is told', async (t) => {
  const set = await compiled({
    ...GOOD,
    'prod.yaml': `${GOOD['prod.yaml']}cool_down: 2h\nbreak_glass: { operators: [bob] }\n`,
    'write.yaml': `${GOOD['write.yaml']}approvals: 3\n`,
    'staff.yaml': `${GOOD['staff.yaml']}sign_in: { client_id: writ }\n`,
    'bob.yaml': `${GOOD['bob.yaml']}approves_scopes: [orders:*]\n`,
    'more.yaml': `issuer: https://other.example.com
for: operators
audience: ${ISSUER}
sign_in: { client_id: w, client_secret_file: /run/secrets/w, scopes: [openid, email, groups] }
---
operator: ada
identity: { issuer: https://other.example.com, claims: { sub: ada } }
roles: [admin]
`,
  })
  const prod = set.environments.get('prod')
  if (prod?.breakGlass === undefined) throw new Error('the set is incomplete')
  const { operators, maxSeconds } = prod.breakGlass
  t.equal(prod.coolDownSeconds, 7200)
  t.equal(maxSeconds, 3600)
  t.same([...operators], ['bob'])
  t.throws(() => (operators as Set<string>).add('eve'), /immutable/)
  t.equal(set.scopes.get('orders:write')?.approvals, 3)
  t.notOk('approvals' in (set.scopes.get('orders:read') ?? {}))
  t.same([...(set.operators.get('bob')?.approvesScopes?.get('prod') ?? [])], ['orders:*'])
  t.same([...(set.operators.get('ada')?.roles ?? [])], ['admin'])
  t.notOk('approvesScopes' in (set.operators.get('ada') ?? {}))
  const of = (issuer: string) => set.issuers.find((one) => one.issuer === issuer && one.for === 'operators')
  t.strictSame(of('https://login.example.com')?.signIn, { clientId: 'writ', scopes: ['openid'] })
  t.strictSame(of('https://other.example.com')?.signIn, {
    clientId: 'w',
    clientSecretFile: '/run/secrets/w',
    scopes: ['openid', 'email', 'groups'],
  })
  t.equal(set.operatorByName('ada'), set.operators.get('ada'))
})

t.test('a document may tighten, and the preset gives way to it', async (t) => {
  const set = await compiled({
    ...GOOD,
    'prod.yaml': `${GOOD['prod.yaml']}max_session: { read: 30m }\napprovals: { write: 2, delete: 3 }\nallow_delete: true\n`,
    'issuer.yaml': `${GOOD['issuer.yaml']}algorithms: [ES256]\nmax_token_life: 1h\nhuman: { claim: who, how: verified }\njwks: https://keys.example.com\n`,
    'coder.yaml': `${GOOD['coder.yaml']}    max_session: { read: 20m, write: 5m }\n    bind: { network: ["203.0.113.0/24", "2001:db8::/32"] }\n`,
  })
  t.match(set.environments.get('prod'), {
    maxSessionSeconds: { read: 1800, write: 900 },
    approvals: { write: 2, delete: 3 },
    allowDelete: true,
  })
  t.match(
    set.issuers.find((one) => one.for === 'agents'),
    {
      algorithms: ['ES256'],
      maxTokenLifeSeconds: 3600,
      human: { claim: 'who', how: 'verified' },
      jwksUri: 'https://keys.example.com',
    },
  )
  t.match(set.agents.get('coder')?.environments.get('prod'), {
    maxSessionSeconds: { read: 1200, write: 300 },
    network: { kind: 'cidrs', cidrs: ['2001:db8::/32', '203.0.113.0/24'] },
  })
})

t.test('no documents go below the floor of the tier', async () => {
  const number = fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined, freq: 2 })
  const line = (key: string, value: number | boolean | undefined) =>
    value === undefined ? '' : `${key}: ${value}\n`
  let loaded = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('production', 'production', 'production', 'staging', 'development', 'sandbox'),
      fc.record({ write: number, delete: number }),
      number,
      fc.boolean(),
      fc.subarray(['orders:read', 'orders:write', 'orders:purge'], { minLength: 1 }),
      async (tier, numbers, demanded, promotion, wanted) => {
        const inner = line('  write', numbers.write) + line('  delete', numbers.delete)
        const result = await compile(
          parseDocuments(
            filesOf({
              ...GOOD,
              'here.yaml': `environment: here\ntier: ${tier}\naccount: "999988887777"\nregions: [eu-west-1]\n${inner === '' ? '' : `approvals:\n${inner}`}`,
              'write.yaml': `${GOOD['write.yaml']}${line('approvals', demanded)}${line('promotion', promotion)}`,
            }),
          ),
        )
        if (!result.ok) return true
        loaded++
        const { environments, scopes } = result.policySet
        const here = environments.get('here')
        if (here === undefined) return false
        const needed = approvals(
          here,
          wanted.flatMap((name) => scopes.get(name) ?? []),
        )
        const [writes, purges] = [wanted.includes('orders:write'), wanted.includes('orders:purge')]
        const asked = tier === 'production' || tier === 'staging'
        const floor =
          tier === 'production'
            ? Math.max(purges ? 2 : 0, writes || purges ? (numbers.write ?? 1) : 0)
            : tier === 'staging' && writes && promotion
              ? (numbers.write ?? 1)
              : 0
        return needed >= floor && (!asked || !writes || needed >= (demanded ?? 0)) && (asked || needed === 0)
      },
    ),
    { numRuns: 150 },
  )
  if (loaded < 20) throw new Error(`only ${loaded} of these sets loaded`)
})

t.test('order, file names and comments say nothing', async () => {
  const texts = Object.values(GOOD)
  const { digest } = await compiled(GOOD)
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray(texts, { minLength: texts.length }),
      fc.integer({ min: 1, max: texts.length }),
      fc.string({ unit: fc.constantFrom('a', 'z'), minLength: 1, maxLength: 3 }),
      async (shuffled, files, name) => {
        const grouped: Record<string, string> = {}
        shuffled.forEach((text, n) => {
          const file = `${name}${n % files}.yaml`
          grouped[file] = `${grouped[file] ?? ''}# a comment ${n}\n---\n${text}`
        })
        const set = await compiled(grouped)
        return (
          set.digest === digest &&
          [...set.agents.keys()].join() === 'coder' &&
          [...set.scopes.keys()].join() === 'orders:purge,orders:read,orders:write'
        )
      },
    ),
    { numRuns: 30 },
  )
})

t.test('any change of meaning is another digest', async (t) => {
  const { digest } = await compiled(GOOD)
  const changes: Record<string, string>[] = [
    { 'dev.yaml': (GOOD['dev.yaml'] ?? '').replace('development', 'sandbox') },
    { 'read.yaml': (GOOD['read.yaml'] ?? '').replace('/*', '/x/*') },
    { 'coder.yaml': (GOOD['coder.yaml'] ?? '').replace('4711', '4712') },
    { 'bob.yaml': (GOOD['bob.yaml'] ?? '').replace('approves: [prod]', 'approves: [dev]') },
    { 'x.yaml': 'red_line: s3:DeleteObjectTagging\nbecause: tags decide\n' },
    { 'write.yaml': `${GOOD['write.yaml']}approvals: 2\n` },
    { 'prod.yaml': `${GOOD['prod.yaml']}break_glass: { operators: [bob] }\n` },
    { 'prod.yaml': `${GOOD['prod.yaml']}cool_down: 11m\n` },
    { 'bob.yaml': `${GOOD['bob.yaml']}approves_scopes: [orders:write]\n` },
    { 'staff.yaml': `${GOOD['staff.yaml']}sign_in: { client_id: writ }\n` },
  ]
  const digests = new Set([digest])
  for (const change of changes) digests.add((await compiled({ ...GOOD, ...change })).digest)
  t.equal(digests.size, changes.length + 1)
})

t.test('the set cannot be changed', async (t) => {
  const set = await compiled(GOOD)
  const [coder, bob, read] = [
    set.agents.get('coder'),
    set.operators.get('bob'),
    set.scopes.get('orders:read'),
  ]
  const prod = set.environments.get('prod')
  const statement = read?.statements[0]
  if (!coder || !bob || !prod || !statement) throw new Error('the set is incomplete')
  const map = (one: unknown) => one as Map<string, unknown>
  t.throws(() => map(set.agents).set('evil', {}), /immutable/)
  t.throws(() => map(set.agents).delete('coder'), /immutable/)
  t.throws(() => map(coder.environments).clear(), /immutable/)
  t.throws(() => map(coder.identity.claims).clear(), /immutable/)
  t.throws(() => (bob.roles as Set<string>).add('security'), /immutable/)
  t.throws(() => Object.assign(set, { digest: 'x' }))
  t.throws(() => Object.assign(prod, { tier: 'sandbox' }))
  t.throws(() => (statement.actions as string[]).push('s3:*'))
  t.throws(() => (set.issuers as unknown[]).push({}))
})

t.test('one identity, one agent', async (t) => {
  const set = await compiled(GOOD)
  const names = (claims: Record<string, unknown>, issuer = ISSUER) =>
    set.agentsMatching(identity(claims, issuer)).map((agent) => agent.name)
  t.same(names({ repository_id: '4711' }), ['coder'])
  t.same(names({ repository_id: '4712' }), [])
  t.same(names({ sub: 'bob' }, 'https://login.example.com'), [], 'an operator is no agent')
  const operator = set.operatorsMatching(identity({ sub: 'bob' }, 'https://login.example.com'))
  t.same(
    operator.map((one) => one.name),
    ['bob'],
  )
})

t.test('nothing at all is a policy set that allows nothing', async (t) => {
  const result = await compile(parseDocuments([]))
  t.ok(result.ok)
})

t.test('ten thousand agents', async (t) => {
  const parsed = parseDocuments(filesOf(GOOD))
  const template = parsed.documents.find((one) => one.kind === 'agent') as Parsed<'agent'>
  const agents = Array.from({ length: 10_000 }, (_, n): Parsed<'agent'> => {
    const roles = (account: string) => ({
      read: `arn:aws:iam::${account}:role/writ/a${n}-read`,
      write: `arn:aws:iam::${account}:role/writ/a${n}-write`,
    })
    const scopes = ['orders:read', 'orders:write']
    return {
      ...template,
      name: `agent-${n}`,
      value: {
        ...template.value,
        agent: `agent-${n}`,
        // A shared claim and a prefix beside the one that tells them apart: the index must choose well.
        identity: {
          issuer: ISSUER,
          claims: { repository_owner: 'acme', repository_id: String(n), ref: { prefix: 'refs/heads/' } },
        },
        environments: {
          dev: { roles: roles('222233334444'), scopes },
          prod: { roles: roles('111122223333'), scopes },
        },
      },
    }
  })
  const documents = [...parsed.documents.filter((one) => one.kind !== 'agent'), ...agents]
  const compiling = cpuClock()
  const result = await compile({ ...parsed, documents })
  const took = compiling()
  if (!result.ok) throw new Error(result.problems[0]?.message)
  t.equal(result.policySet.agents.size, 10_000)
  // About 0.4 s; the bound only catches something quadratic.
  t.ok(took < 5000, `compiled in ${took.toFixed(0)} ms`)
  const who = identity({ repository_owner: 'acme', repository_id: '9876', ref: 'refs/heads/main' })
  const finding = cpuClock()
  for (let n = 0; n < 10_000; n++) {
    if (result.policySet.agentsMatching(who)[0]?.name !== 'agent-9876') throw new Error('not found')
  }
  const each = finding() / 10_000
  t.ok(each < 0.1, `found in ${(each * 1000).toFixed(1)} µs`)
})
