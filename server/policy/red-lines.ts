import { globMatches } from './evaluate.js'
import type { IamAction } from './iam-data.js'

/** A pattern of actions that no agent session may hold, and why. */
export interface RedLine {
  readonly pattern: string
  readonly because: string
}

const lines = (because: string, ...patterns: string[]): readonly RedLine[] =>
  patterns.map((pattern) => ({ pattern, because }))

/** Every write of these, whatever it is called. */
export const IDENTITY_SERVICES = ['iam', 'organizations', 'account', 'sso', 'sso-directory', 'identitystore']

/**
 * The floor: constants of the code, so no document, option or variable can lower it. That every name exists
 * in IAM is a test. Documents of kind `red_line` add to it.
 */
export const RED_LINES: readonly RedLine[] = [
  ...lines(
    'it gives another identity, which drops the session policy',
    'iam:PassRole',
    'sts:AssumeRole*',
    'sts:AssumeRoot',
    'sts:GetFederationToken',
    'sts:GetSessionToken',
  ),
  ...lines(
    'it takes keys, and with them the data, away',
    'kms:ScheduleKeyDeletion',
    'kms:DisableKey',
    'kms:PutKeyPolicy',
    'kms:CreateGrant',
    'kms:DeleteImportedKeyMaterial',
  ),
  ...lines(
    'it blinds the audit trail',
    'cloudtrail:StopLogging',
    'cloudtrail:DeleteTrail',
    'cloudtrail:UpdateTrail',
    'cloudtrail:PutEventSelectors',
    'cloudtrail:DeleteEventDataStore',
    'cloudtrail:StopEventDataStoreIngestion',
    'config:Delete*',
    'config:StopConfigurationRecorder',
    'guardduty:Delete*',
    'guardduty:Disable*',
    'guardduty:Disassociate*',
    'guardduty:StopMonitoringMembers',
    'securityhub:Delete*',
    'securityhub:BatchDelete*',
    'securityhub:Disable*',
    'securityhub:BatchDisable*',
    'securityhub:Disassociate*',
    'access-analyzer:Delete*',
    'logs:DeleteLogGroup',
    'logs:DeleteLogStream',
    'logs:PutRetentionPolicy',
    'ec2:DeleteFlowLogs',
  ),
  ...lines(
    'it destroys backups or what they would have to restore',
    'backup:Delete*',
    'backup:Disassociate*',
    'backup:PutBackupVaultAccessPolicy',
    'rds:DeleteDBInstance',
    'rds:DeleteDBCluster',
    'rds:DeleteDBSnapshot',
    'rds:DeleteDBClusterSnapshot',
    'rds:DeleteDBInstanceAutomatedBackup',
    'rds:DeleteDBClusterAutomatedBackup',
    'ec2:DeleteSnapshot',
    'ec2:DeleteVolume',
    'dynamodb:DeleteTable',
    'dynamodb:DeleteBackup',
    'dynamodb:UpdateContinuousBackups',
    's3:PutBucketVersioning',
    's3:PutLifecycleConfiguration',
    's3:DeleteObjectVersion',
    's3:DeleteBucket',
    's3:BypassGovernanceRetention',
    's3:PutBucketObjectLockConfiguration',
  ),
  ...lines(
    'it opens data to others',
    'ec2:ModifySnapshotAttribute',
    'ec2:ModifyImageAttribute',
    'rds:ModifyDBSnapshotAttribute',
    'rds:ModifyDBClusterSnapshotAttribute',
    'lambda:AddPermission',
  ),
  ...lines(
    'it runs code as another role',
    'lambda:UpdateFunctionCode',
    'lambda:UpdateFunctionConfiguration',
    'ssm:SendCommand',
    'ssm:StartSession',
    'ssm:ResumeSession',
    'ssm:StartAutomationExecution',
    'ec2-instance-connect:SendSSHPublicKey',
    'ec2-instance-connect:SendSerialConsoleSSHPublicKey',
    'ec2:ModifyInstanceAttribute',
    'ec2:CreateLaunchTemplateVersion',
    'ecs:ExecuteCommand',
    'cloudformation:CreateStack',
    'cloudformation:UpdateStack',
    'cloudformation:ExecuteChangeSet',
    'codebuild:StartBuild*',
    'codebuild:CreateProject',
    'glue:CreateJob',
    'glue:UpdateJob',
    'glue:*DevEndpoint',
    'sagemaker:CreatePresignedNotebookInstanceUrl',
  ),
]

/** Why no session may hold this action, or undefined. `added` are the lines that documents add. */
export function redLineOf(action: IamAction, added: readonly RedLine[] = []): string | undefined {
  if (action.levels.includes('permissions-management')) return 'it manages permissions'
  const service = action.id.slice(0, action.id.indexOf(':'))
  if (IDENTITY_SERVICES.includes(service) && action.levels.includes('write')) return 'it changes identities'
  const id = action.id.toLowerCase()
  return [...RED_LINES, ...added].find(({ pattern }) => globMatches(pattern.toLowerCase(), id))?.because
}
