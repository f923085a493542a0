import fc from 'fast-check'
import t from 'tap'
import { compile } from '../../server/policy/compile.js'
import { type Parsed, parseDocuments } from '../../server/policy/parse.js'
import { compiled, filesOf, GOOD, ISSUER, identity } from './support.js'

t.test('what a document becomes', async (t) => {
  const set = await compiled(GOOD)
  t.match(set.digest, /^sha256:[0-9a-f]{64}$/)
  t.match(set.environments.get('prod'), {
    tier: 'production',
    maxSessionSeconds: { read: 3600, write: 900 },
    approvals: { write: 1, delete: 2 },
    allowDelete: false,
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
  })
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
  const started = performance.now()
  const result = await compile({ ...parsed, documents })
  const took = performance.now() - started
  if (!result.ok) throw new Error(result.problems[0]?.message)
  t.equal(result.policySet.agents.size, 10_000)
  // About 0.4 s on one idle core; the bound only catches something quadratic, on a busy machine too.
  t.ok(took < 5000, `compiled in ${took.toFixed(0)} ms`)
  const who = identity({ repository_owner: 'acme', repository_id: '9876', ref: 'refs/heads/main' })
  const before = performance.now()
  for (let n = 0; n < 10_000; n++) {
    if (result.policySet.agentsMatching(who)[0]?.name !== 'agent-9876') throw new Error('not found')
  }
  const each = (performance.now() - before) / 10_000
  t.ok(each < 0.1, `found in ${(each * 1000).toFixed(1)} µs`)
})
