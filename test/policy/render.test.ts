import fc from 'fast-check'
import t from 'tap'
import { renderPermissions } from '../../server/policy/render.js'
import { fill } from '../../server/policy/template.js'
import type { Scope } from '../../server/types.js'
import { compiled, GOOD } from './support.js'

const where = {
  environment: 'prod',
  account: '111122223333',
  regions: ['eu-west-1', 'us-east-1'],
  agent: 'coder',
  claims: {},
}

async function scopeOf(resources: string[], actions = ['dynamodb:GetItem']): Promise<Scope> {
  const text = `scope: x\ndescribe: X\nallow:\n  - actions: ${JSON.stringify(actions)}\n    resources: ${JSON.stringify(resources)}\n`
  const scope = (await compiled({ ...GOOD, 'x.yaml': text })).scopes.get('x')
  if (scope === undefined) throw new Error('the scope is missing')
  return scope
}

t.test('templates are filled in, regions one by one', async (t) => {
  const scope = await scopeOf([
    'arn:aws:dynamodb:{region}:{account}:table/{environment}-{agent}-{claim.run_id}',
  ])
  const rendered = renderPermissions([scope], { ...where, claims: { run_id: 42 } })
  t.match(rendered, {
    ok: true,
    statements: [
      {
        Effect: 'Allow',
        Action: 'dynamodb:GetItem',
        Resource: [
          'arn:aws:dynamodb:eu-west-1:111122223333:table/prod-coder-42',
          'arn:aws:dynamodb:us-east-1:111122223333:table/prod-coder-42',
        ],
      },
    ],
    sha256: /^[0-9a-f]{64}$/,
  })
})

t.test('a claim that could widen an ARN is refused', async (t) => {
  const scope = await scopeOf(['arn:aws:s3:::orders/{claim.team}/*'], ['s3:GetObject'])
  const dollar = '$'
  const evil: unknown[] = [
    '*',
    '?',
    'a/*',
    'a/b',
    '..',
    '../x',
    `${dollar}{aws:username}`,
    '{agent}',
    'a b',
    'a"b',
    "a'b",
    'a\\b',
    'ä',
    'a\u0000',
    '',
    'a'.repeat(129),
    'a\n',
    ' a',
    'a:b',
    'a.b',
    'a@b',
    null,
    undefined,
    true,
    ['a'],
    { a: 1 },
    1.5,
    1e21,
  ]
  for (const team of evil) {
    t.match(
      renderPermissions([scope], { ...where, claims: { team } }),
      { ok: false, code: 'claim_unusable', detail: /team/ },
      JSON.stringify(team),
    )
  }
  t.match(renderPermissions([scope], where), { ok: false }, 'missing')
  for (const team of ['orders', 'A-1_b', 'a'.repeat(128), 7]) {
    t.match(renderPermissions([scope], { ...where, claims: { team } }), { ok: true }, String(team))
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (team) => {
      const rendered = renderPermissions([scope], { ...where, claims: { team } })
      return !rendered.ok || rendered.statements[0]?.Resource === `arn:aws:s3:::orders/${team}/*`
    }),
    { numRuns: 2000 },
  )
})

t.test('a claim cannot bring in another template', (t) => {
  const filled = fill('x/{claim.a}/{agent}', { ...where, claim: () => '{account}' })
  t.same(filled, { ok: true, resources: ['x/{account}/coder'] })
  t.end()
})

t.test('the hash names the permissions, not how they were asked for', async (t) => {
  const set = await compiled(GOOD)
  const [read, write] = [set.scopes.get('orders:read'), set.scopes.get('orders:write')]
  if (read === undefined || write === undefined) throw new Error('a scope is missing')
  const hash = (scopes: Scope[], environment = 'prod'): string => {
    const rendered = renderPermissions(scopes, { ...where, environment })
    if (!rendered.ok) throw new Error(rendered.detail)
    return rendered.sha256
  }
  t.equal(hash([read, write]), hash([write, read]))
  t.equal(hash([read, write]), hash([read, write, read]))
  t.not(hash([read]), hash([write]))
  t.not(hash([read], 'prod'), hash([read], 'dev'))
})
