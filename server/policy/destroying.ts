import type { AccessLevel } from '../types.js'

/**
 * Which writes destroy. Decided by the words of the action's name, wherever they stand (`BatchDeleteImage`,
 * `PartiQLDelete`, `ScheduleKeyDeletion`), and tested over all of IAM's actions.
 *
 * Not in the list, each looked through: Deregister, Disassociate, Detach (the thing stays, a link goes),
 * Revoke, Cancel, Stop, Abort (a right or a job ends and can be given or started again), Reset (mostly
 * settings), Deprecate, Archive, Disable (can be taken back). Their exceptions are in ALSO.
 * The name is all that is looked at: a write whose payload can delete, such as dynamodb:BatchWriteItem or
 * rds-data:ExecuteStatement, is a write.
 */
const WORDS = new Set([
  'delete',
  'deletion',
  'terminate',
  'remove',
  'purge',
  'drop',
  'destroy',
  'erase',
  'wipe',
  'dispose',
  'redact',
  'deprovision',
  'truncate',
])

/** Destroying only as the first word: what is released or rebuilt is gone. */
const FIRST_WORDS = new Set(['release', 'rebuild', 'discard'])

/** Writes that destroy under another word, from the descriptions in the Service Authorization Reference. */
const ALSO = new Set([
  'ec2:DeregisterImage',
  'neptune-db:ResetDatabase',
  'neptune-graph:ResetGraph',
  'rds:BacktrackDBCluster',
  'storagegateway:EvictFilesFailingUpload',
  'storagegateway:ResetCache',
])

/** A destroying word that is not the verb: these protect, stop or announce a deletion. */
const NOT = new Set([
  'fsx:ReleaseFileSystemNfsV3Locks',
  'healthlake:CancelFHIRExportJobWithDelete',
  'kms:CancelKeyDeletion',
  'logs:PutLogGroupDeletionProtection',
  'network-firewall:UpdateFirewallDeleteProtection',
  'servicecatalog:NotifyTerminateProvisionedProductEngineWorkflowResult',
  'ssm-incidents:UpdateDeletionProtection',
])

/** `BatchDeleteImage` → batch, delete, image; `PartiQLDelete` → parti, ql, delete. */
const wordsOf = (name: string): readonly string[] =>
  (name.match(/[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+/g) ?? []).map((word) => word.toLowerCase())

/** Taking a tag away (ec2:DeleteTags) is tagging: the resource stays as it is. */
export function destroys(id: string, levels: readonly AccessLevel[]): boolean {
  if (!levels.includes('write') || levels.includes('tagging') || NOT.has(id)) return false
  if (ALSO.has(id)) return true
  const words = wordsOf(id.slice(id.indexOf(':') + 1))
  return FIRST_WORDS.has(words[0] ?? '') || words.some((word) => WORDS.has(word))
}
