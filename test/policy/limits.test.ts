import t from 'tap'
import { compiled, GOOD, problemsWith } from './support.js'

const good = (file: string): string => GOOD[file] ?? ''
const USUAL = { issuancesPerMinute: 60, liveSessions: 100, scopesPerHour: 50, denialsPerHour: 120 }

t.test('limits, from the defaults to an agent of its own', async (t) => {
  const plain = await compiled(GOOD)
  t.strictSame(plain.environments.get('dev')?.limits, USUAL)
  t.equal(plain.environments.get('dev')?.stopAfter, undefined, 'nothing stops by itself unless asked to')
  t.strictSame(plain.agents.get('coder')?.environments.get('dev')?.limits, USUAL)

  const set = await compiled({
    ...GOOD,
    'dev.yaml': `${good('dev.yaml')}limits: { issuances_per_minute: 100000, live_sessions: 5 }\nstop_after: { red_lines: 3 }\n`,
    'coder.yaml': good('coder.yaml').replace(
      'scopes: [orders:read, orders:write]\n  prod',
      'scopes: [orders:read, orders:write]\n    limits: { issuances_per_minute: 2, denials_per_hour: 120 }\n  prod',
    ),
  })
  t.strictSame(set.environments.get('dev')?.limits, {
    ...USUAL,
    issuancesPerMinute: 100_000,
    liveSessions: 5,
  })
  t.strictSame(set.environments.get('dev')?.stopAfter, { redLines: 3 })
  const places = set.agents.get('coder')?.environments
  t.strictSame(places?.get('dev')?.limits, { ...USUAL, issuancesPerMinute: 2, liveSessions: 5 })
  t.strictSame(places?.get('prod')?.limits, USUAL, 'elsewhere as ever')
  t.not(set.digest, plain.digest)
})

t.test('what no document can say', async (t) => {
  const dev = (text: string) => ({ 'dev.yaml': `${good('dev.yaml')}${text}\n` })
  for (const text of [
    'limits: { live_sessions: 0 }',
    'limits: { live_sessions: 100001 }',
    'limits: { live_sessions: 1.5 }',
    'limits: { live_sessions: "5" }',
    'stop_after: { over_limit: 0 }',
    'stop_after: { red_lines: 1001 }',
    'stop_after: { denials: 5 }',
  ]) {
    const [problem, ...more] = await problemsWith(dev(text))
    t.match(problem, { file: 'dev.yaml', line: 5 }, text)
    t.strictSame(more, [])
  }
  const [problem] = await problemsWith({
    ...dev('limits: { denials_per_hour: 10 }'),
    'coder.yaml': good('coder.yaml').replace('  prod', '    limits: { denials_per_hour: 11 }\n  prod'),
  })
  t.match(problem, {
    file: 'coder.yaml',
    line: 12,
    code: 'limit_loosened',
    message: /11 is more than the 10 of/,
  })
})

t.test('names that spell a red line', async (t) => {
  const set = await compiled({
    ...GOOD,
    'red.yaml': 'red_line: s3:Delete*Tagging\nbecause: Tags say what may be read\n',
  })
  for (const [name, action] of Object.entries({
    'iam:CreateUser': 'iam:CreateUser',
    'iam:create-user': 'iam:CreateUser',
    'rds:deletedbcluster': 'rds:DeleteDBCluster',
    'rds:delete_db-cluster': 'rds:DeleteDBCluster',
    'SSO-Directory:CreateUser': 'sso-directory:CreateUser',
    'backup:DeleteBackupVault': 'backup:DeleteBackupVault',
    'dynamodb:put-resource-policy': 'dynamodb:PutResourcePolicy',
    's3:delete-object-tagging': 's3:DeleteObjectTagging',
    's3:GetObject': undefined,
    'orders:write': undefined,
    'iam:create-user:now': undefined,
    'create-user': undefined,
    constructor: undefined,
  })) {
    t.equal(set.redLineAt(name), action, name)
  }
  t.equal((await compiled(GOOD)).redLineAt('s3:delete-object-tagging'), undefined, 'without the document')
})
