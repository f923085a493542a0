import t from 'tap'
import { localRoles } from '../../local-aws/from-policy.js'
import { commandOnBroker } from '../cli/support.js'

t.test('writ reach and writ doctor', { timeout: 120_000 }, async (t) => {
  const { broker, operator, agent } = await commandOnBroker(t)
  const shown = await operator('carol', ['reach', 'orders-coder'])
  t.equal(shown.code, 0, shown.stderr)
  t.match(shown.stdout, /^orders-coder \(active\), \S+ \S+, policy sha256:/)
  t.match(shown.stdout, /^production: production, account 111122223333, eu-west-1$/m)
  t.match(shown.stdout, /^ {2}now +s3:GetObject +read +arn:aws:s3:::orders-production\/\* +orders:read$/m)
  t.match(shown.stdout, /^ {2}with a grant by 1 +s3:PutObject +write +arn:aws:s3:::orders-production\/\*/m)
  t.match(
    shown.stdout,
    /Never, because it deletes, and production \(production\) allows that to nobody: .*s3:DeleteObject/,
  )
  t.match(shown.stdout, /^Never, anywhere, with or without a grant:$/m)
  t.match(shown.stdout, /iam:PassRole, .*: it gives another identity/)
  const one = await operator('alice', ['reach', 'orders-coder', '--environment', 'sandbox', '--json'])
  t.match(one.json.environments, [{ environment: 'sandbox' }])
  const own = await agent('orders-coder', ['reach', '--environment', 'staging', '--json'])
  t.match(own, { code: 0, json: { agent: 'orders-coder', environments: [{ environment: 'staging' }] } })
  t.match(await operator('carol', ['reach', 'nobody', '--json']), { code: 7, json: { code: 'not_found' } })

  const clean = await operator('carol', ['doctor'])
  t.equal(clean.code, 0, clean.stdout + clean.stderr)
  t.match(clean.stdout, /\d+ roles compared, for the broker \S+: all as policy says\.\n$/)
  t.notMatch(clean.stdout, /ERRORS|WARNINGS/)

  const { broker: brokerArn } = (await operator('carol', ['doctor', '--json'])).json
  const role = localRoles(broker.policy.current(), brokerArn).find(
    ({ arn }) => arn === 'arn:aws:iam::444455556666:role/writ/orders-coder-read',
  )
  if (role === undefined) throw new Error('the example policies have no such role')
  const byHand = { Statement: [{ Effect: 'Deny', Action: 's3:GetObject', Resource: '*' }] } as const
  broker.localAws.putRole({ ...role, policies: { ...role.policies, 'by-hand': byHand } })
  const broken = await operator('carol', ['doctor', '--environment', 'sandbox'])
  t.equal(broken.code, 1)
  t.match(
    broken.stdout,
    /^ERRORS: .*\narn:aws:iam::444455556666:role\/writ\/orders-coder-read\n {2}- Policy allows s3:GetObject on arn:aws:s3:::orders-sandbox\/\*; the role does not \(denied by the inline policy by-hand\)\..*\n {6}aws iam delete-role-policy --role-name orders-coder-read --policy-name by-hand\n/,
  )
  t.match(await operator('carol', ['doctor', '--agent', 'orders-coder', '--json']), {
    code: 1,
    json: { clean: false, findings: [{ code: 'permissions_narrower' }] },
  })
})
