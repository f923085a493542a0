import t from 'tap'
import { evaluate, evaluateTrust } from '../../server/policy/evaluate.js'
import { roleDocuments } from '../../server/policy/roles.js'
import type { RoleDocument } from '../../server/types.js'
import { compiled, GOOD } from './support.js'

const BROKER = 'arn:aws:iam::999988887777:role/writ-broker'
const ARN = (name: string, account = '111122223333') => `arn:aws:iam::${account}:role/writ/${name}`

async function roles(
  changes: Readonly<Record<string, string>> = {},
): Promise<ReadonlyMap<string, RoleDocument>> {
  const set = await compiled({ ...GOOD, ...changes })
  return new Map(roleDocuments(set, BROKER).map((role) => [role.arn, role]))
}

function may(role: RoleDocument | undefined, action: string, resource: string): boolean {
  if (role === undefined) throw new Error('no such role')
  return evaluate({ identityPolicies: [role.permissions], action, resource, context: {} }).allowed
}

const trusts = (
  role: RoleDocument | undefined,
  tags: Record<string, string>,
  principalArn = BROKER,
): boolean => {
  if (role === undefined) throw new Error('no such role')
  const context = Object.fromEntries(
    Object.entries(tags).map(([key, value]) => [`aws:RequestTag/${key}`, [value]]),
  )
  return ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'].every(
    (action) => evaluateTrust({ trustPolicy: role.trustPolicy, principalArn, action, context }).allowed,
  )
}

t.test('a read role reads, a write role does both', async (t) => {
  const all = await roles()
  t.same([...all.keys()], [...all.keys()].sort())
  t.equal(all.size, 4)
  const [read, write] = [all.get(ARN('coder-read')), all.get(ARN('coder-write'))]
  t.ok(may(read, 's3:GetObject', 'arn:aws:s3:::orders-prod/x'))
  t.notOk(may(read, 's3:PutObject', 'arn:aws:s3:::orders-prod/x'))
  t.ok(may(write, 's3:GetObject', 'arn:aws:s3:::orders-prod/x'))
  t.ok(may(write, 's3:PutObject', 'arn:aws:s3:::orders-prod/x'))
  t.notOk(may(write, 's3:PutObject', 'arn:aws:s3:::orders-dev/x'))
  t.equal(read?.maxSessionSeconds, 3600)
  t.equal(all.get(ARN('coder-read', '222233334444'))?.maxSessionSeconds, 4 * 3600)
})

t.test('the trust policy asks for the tags of this agent, environment and grant', async (t) => {
  const all = await roles()
  const [read, write] = [all.get(ARN('coder-read')), all.get(ARN('coder-write'))]
  const tags = { 'writ:agent': 'coder', 'writ:environment': 'prod' }
  t.ok(trusts(read, tags))
  t.notOk(trusts(read, {}), 'no tags')
  t.notOk(trusts(read, { ...tags, 'writ:agent': 'other' }))
  t.notOk(trusts(read, { ...tags, 'writ:environment': 'dev' }))
  t.notOk(trusts(read, tags, 'arn:aws:iam::999988887777:role/other'))
  t.notOk(trusts(write, tags), 'a production write without a grant')
  t.ok(trusts(write, { ...tags, 'writ:grant': 'g-1' }))
  const dev = all.get(ARN('coder-write', '222233334444'))
  t.ok(trusts(dev, { 'writ:agent': 'coder', 'writ:environment': 'dev' }), 'no grant is needed in development')
})

t.test('agents may share a role; it then holds what both need', async (t) => {
  const other = (GOOD['coder.yaml'] ?? '')
    .replace('agent: coder', 'agent: another')
    .replace('"4711"', '"4712"')
    .replaceAll('[orders:read, orders:write]', '[orders:read]')
  const mine =
    'scope: mine:read\ndescribe: Own files\nallow:\n  - actions: [s3:GetObject]\n    resources: ["arn:aws:s3:::mine/{agent}/{claim.run}/*"]\n'
  const all = await roles({
    'other.yaml': other.replaceAll('[orders:read]', '[mine:read]'),
    'mine.yaml': mine,
  })
  t.equal(all.size, 4)
  const read = all.get(ARN('coder-read'))
  for (const agent of ['coder', 'another']) {
    t.ok(trusts(read, { 'writ:agent': agent, 'writ:environment': 'prod' }))
  }
  t.ok(may(read, 's3:GetObject', 'arn:aws:s3:::orders-prod/x'))
  t.ok(may(read, 's3:GetObject', 'arn:aws:s3:::mine/another/any-run/x'), 'a claim is any value in the role')
  t.notOk(may(read, 's3:GetObject', 'arn:aws:s3:::mine/coder/any-run/x'), 'coder has no such scope')
})

t.test('a role without a scope of its kind may do nothing', async (t) => {
  const text = (GOOD['coder.yaml'] ?? '').replaceAll('[orders:read, orders:write]', '[orders:write]')
  const read = (await roles({ 'coder.yaml': text })).get(ARN('coder-read'))
  t.equal(read?.permissions.Statement.length, 1)
  t.notOk(may(read, 's3:GetObject', 'arn:aws:s3:::orders-prod/x'))
})
