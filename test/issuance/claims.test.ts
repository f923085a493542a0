import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../server/paths.js'
import { startTestBroker } from '../support/broker.js'

const SCOPE = `scope: tenants:write
describe: Write the objects of the tenant in the token
allow:
  - actions: [s3:PutObject]
    resources: ["arn:aws:s3:::orders-{environment}/{claim.tenant}/*"]
`
const WISH = { environment: 'production', scopes: ['tenants:write'], reason: 'a test' }

t.test('a grant for one tenant is not one for another', async (t) => {
  const policies = t.testdir()
  await cp(join(packageRoot(), 'policies'), policies, { recursive: true })
  await writeFile(join(policies, 'scopes', 'tenants-write.yaml'), SCOPE)
  const file = join(policies, 'agents', 'orders-coder.yaml')
  await writeFile(
    file,
    (await readFile(file, 'utf8')).replaceAll('orders:write', 'orders:write, tenants:write'),
  )
  const broker = await startTestBroker(t, { policies })
  const acme = await broker.agentToken('orders-coder', { claims: { tenant: 'acme' } })
  const evil = await broker.agentToken('orders-coder', { claims: { tenant: 'evil' } })

  const asked = await broker.call('POST', '/v1/grant-requests', acme, { ...WISH, uses: 5 })
  t.match(
    asked.body.permissions,
    [{ Resource: 'arn:aws:s3:::orders-production/acme/*' }],
    'the approver sees the tenant',
  )
  t.match(await broker.decide(asked.body.id, 'bob'), { status: 200 })

  t.match(await broker.call('POST', '/v1/credentials', evil, WISH), {
    status: 403,
    body: { code: 'grant_stale' },
  })
  t.match(await broker.call('POST', '/v1/credentials', acme, WISH), { status: 200 })
  t.match(
    await broker.call('POST', '/v1/credentials', evil, WISH),
    { status: 403 },
    'nor is its live session',
  )

  for (const tenant of ['*', 'a/../b', 'a*', '\u0024{aws:username}', '']) {
    const token = await broker.agentToken('orders-coder', { claims: { tenant } })
    const answer = await broker.call('POST', '/v1/credentials', token, WISH)
    t.match(answer, { status: 403, body: { code: 'claim_unusable' } }, tenant)
    t.match(await broker.call('POST', '/v1/grant-requests', token, WISH), {
      status: 403,
      body: { code: 'claim_unusable' },
    })
  }
})
