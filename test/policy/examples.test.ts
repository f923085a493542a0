import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../server/paths.js'
import { evaluate } from '../../server/policy/evaluate.js'
import { loadPolicySet } from '../../server/policy/load.js'
import { formatProblem } from '../../server/policy/problems.js'
import { renderPermissions } from '../../server/policy/render.js'
import { LOCAL_ISSUER } from '../../server/types.js'
import { identity } from './support.js'

const FOLDER = join(packageRoot(), 'policies')

async function examples() {
  const result = await loadPolicySet(FOLDER)
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'))
  return result.policySet
}

/** agent → environment → scopes. The examples are the permission matrix; this is its second, independent copy. */
const MATRIX: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'deploy-bot': {
    development: ['deploy:promote', 'releases:read'],
    production: ['deploy:promote', 'releases:read'],
    staging: ['deploy:promote', 'releases:read'],
  },
  'orders-coder': {
    development: ['orders:read', 'orders:write', 'reports:read'],
    production: ['orders:read', 'orders:write'],
    sandbox: ['orders:purge', 'orders:read', 'orders:write'],
    staging: ['orders:read', 'orders:write'],
  },
  'report-bot': {
    development: ['orders:read', 'reports:read', 'reports:write'],
    production: ['orders:read', 'reports:read', 'reports:write'],
  },
  // Drills only: neither can reach what anybody else has.
  'writ-drill': {
    production: ['drill:read', 'drill:write'],
    sandbox: ['drill:read', 'drill:write'],
  },
  'writ-drill-twin': { production: ['drill:read', 'drill:write'] },
}

t.test('the matrix', async (t) => {
  const set = await examples()
  const found = Object.fromEntries(
    [...set.agents].map(([name, agent]) => [
      name,
      Object.fromEntries([...agent.environments].map(([place, { scopes }]) => [place, scopes])),
    ]),
  )
  t.same(found, MATRIX)
})

t.test('local identities are one agent or one operator each', async (t) => {
  const set = await examples()
  for (const name of set.agents.keys()) {
    const found = set.agentsMatching(identity({ sub: `agent:${name}` }, LOCAL_ISSUER))
    t.same(
      found.map((one) => one.name),
      [name],
    )
    t.same(set.operatorsMatching(identity({ sub: `agent:${name}` }, LOCAL_ISSUER)), [])
  }
  for (const name of ['alice', 'bob', 'carol']) {
    const found = set.operatorsMatching(identity({ sub: `operator:${name}` }, LOCAL_ISSUER))
    t.same(
      found.map((one) => one.name),
      [name],
    )
  }
  t.same(
    set.issuers.map(({ for: side, audience }) => `${side} ${audience}`),
    ['agents https://writ.localhost', 'operators https://writ.localhost/operators'],
  )
})

t.test('every production write has an approver from outside the owning team', async (t) => {
  const set = await examples()
  for (const agent of set.agents.values()) {
    const approvers = [...set.operators.values()].filter(
      (one) =>
        one.roles.has('approver') && one.approves.has('production') && !one.teams.has(agent.owner.name),
    )
    t.ok(approvers.length > 0, agent.name)
  }
})

t.test('an agent writes reports below its own name only', async (t) => {
  const set = await examples()
  const scope = set.scopes.get('reports:write')
  const production = set.environments.get('production')
  if (!scope || !production) throw new Error('incomplete')
  const { account, regions } = production
  const rendered = renderPermissions([scope], {
    environment: 'production',
    account,
    regions,
    agent: 'report-bot',
    claims: {},
  })
  if (!rendered.ok) throw new Error(rendered.detail)
  const policy = { Version: '2012-10-17', Statement: rendered.statements }
  const may = (resource: string) =>
    evaluate({ identityPolicies: [policy], action: 's3:PutObject', resource, context: {} }).allowed
  t.ok(may('arn:aws:s3:::reports-production/report-bot/today.csv'))
  t.notOk(may('arn:aws:s3:::reports-production/other-bot/today.csv'))
  t.notOk(may('arn:aws:s3:::reports-development/report-bot/today.csv'))
})

t.test('each file says what it is for', async (t) => {
  for (const entry of await readdir(FOLDER, { recursive: true })) {
    if (!entry.endsWith('.yaml')) continue
    const [schema = '', line = ''] = (await readFile(join(FOLDER, entry), 'utf8')).split('\n')
    t.equal(schema, '# yaml-language-server: $schema=../../docs/schema/writ-policy.schema.json', entry)
    t.match(line, /^# \w.*\.$/, entry)
  }
})
