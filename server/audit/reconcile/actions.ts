/**
 * From what CloudTrail calls a call to the IAM actions it needs. Where no exception is known they have the same
 * name: so it is for nearly all calls, and AWS publishes no complete table. Sources: Service Authorization
 * Reference; S3 User Guide, "Amazon S3 CloudTrail events" and "Required permissions for Amazon S3 API
 * operations"; Lambda Developer Guide, "Logging Lambda API calls"; DynamoDB Developer Guide on transactions.
 */
export function iamActions(source: string, name: string): readonly string[] {
  const host = source.replace(/\.amazonaws\.com(\.cn)?$/, '')
  const service = SERVICES[host] ?? host.split('.')[0] ?? host
  // `ListFunctions20150331`, `GetFunction20150331v2`, `CreateDistribution2020_05_31`: the API's date.
  const plain = name.replace(/\d{4}_?\d{2}_?\d{2}(v\d+)?$/, '')
  const exceptions = EXCEPTIONS[service]
  const special = exceptions !== undefined && Object.hasOwn(exceptions, plain) ? exceptions[plain] : undefined
  return (special ?? plain).split(' ').map((action) => `${service}:${action}`)
}

/** Event sources whose first label is not the prefix of the IAM actions. */
const SERVICES: Readonly<Record<string, string>> = {
  monitoring: 'cloudwatch',
  email: 'ses',
  tagging: 'tag',
  appstream2: 'appstream',
  iotdata: 'iot',
  'models.lex': 'lex',
  'runtime.lex': 'lex',
  'mturk-requester': 'mechanicalturk',
  'streams.dynamodb': 'dynamodb',
  'runtime.sagemaker': 'sagemaker',
}

const same = (action: string, ...events: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(events.map((event) => [event, action]))

/** Several actions are separated by a space. */
export const EXCEPTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  s3: {
    ...same('ListBucket', 'ListObjects', 'ListObjectsV2', 'HeadBucket'),
    ...same('GetObject', 'HeadObject', 'SelectObjectContent'),
    ...same(
      'PutObject',
      ...['CopyObject', 'CreateMultipartUpload', 'UploadPart', 'UploadPartCopy', 'CompleteMultipartUpload'],
    ),
    ...same(
      'GetAnalyticsConfiguration',
      'GetBucketAnalyticsConfiguration',
      'ListBucketAnalyticsConfigurations',
    ),
    ...same(
      'PutAnalyticsConfiguration',
      'PutBucketAnalyticsConfiguration',
      'DeleteBucketAnalyticsConfiguration',
    ),
    ...same(
      'GetInventoryConfiguration',
      'GetBucketInventoryConfiguration',
      'ListBucketInventoryConfigurations',
    ),
    ...same(
      'PutInventoryConfiguration',
      'PutBucketInventoryConfiguration',
      'DeleteBucketInventoryConfiguration',
    ),
    ...same('GetMetricsConfiguration', 'GetBucketMetricsConfiguration', 'ListBucketMetricsConfigurations'),
    ...same('PutMetricsConfiguration', 'PutBucketMetricsConfiguration', 'DeleteBucketMetricsConfiguration'),
    ...same('GetLifecycleConfiguration', 'GetBucketLifecycle', 'GetBucketLifecycleConfiguration'),
    ...same(
      'PutLifecycleConfiguration',
      ...['PutBucketLifecycle', 'PutBucketLifecycleConfiguration', 'DeleteBucketLifecycle'],
    ),
    ...same('PutEncryptionConfiguration', 'PutBucketEncryption', 'DeleteBucketEncryption'),
    ...same('PutReplicationConfiguration', 'PutBucketReplication', 'DeleteBucketReplication'),
    ...same('PutBucketPublicAccessBlock', 'PutPublicAccessBlock', 'DeletePublicAccessBlock'),
    ...same('PutBucketCORS', 'PutBucketCors', 'DeleteBucketCors'),
    ...same('PutBucketTagging', 'DeleteBucketTagging'),
    ...same('PutBucketOwnershipControls', 'DeleteBucketOwnershipControls'),
    ...same('GetBucketNotification', 'GetBucketNotificationConfiguration'),
    ...same('PutBucketNotification', 'PutBucketNotificationConfiguration'),
    DeleteObjects: 'DeleteObject',
    ListBuckets: 'ListAllMyBuckets',
    ListObjectVersions: 'ListBucketVersions',
    ListMultipartUploads: 'ListBucketMultipartUploads',
    ListParts: 'ListMultipartUploadParts',
    GetBucketAccelerateConfiguration: 'GetAccelerateConfiguration',
    PutBucketAccelerateConfiguration: 'PutAccelerateConfiguration',
    GetBucketEncryption: 'GetEncryptionConfiguration',
    GetBucketReplication: 'GetReplicationConfiguration',
    GetPublicAccessBlock: 'GetBucketPublicAccessBlock',
    GetBucketCors: 'GetBucketCORS',
    GetObjectLockConfiguration: 'GetBucketObjectLockConfiguration',
    PutObjectLockConfiguration: 'PutBucketObjectLockConfiguration',
  },
  lambda: { Invoke: 'InvokeFunction', InvokeAsync: 'InvokeFunction' },
  dynamodb: {
    TransactGetItems: 'GetItem',
    TransactWriteItems: 'ConditionCheckItem PutItem UpdateItem DeleteItem',
    ...same(
      'PartiQLSelect PartiQLInsert PartiQLUpdate PartiQLDelete',
      ...['ExecuteStatement', 'ExecuteTransaction', 'BatchExecuteStatement'],
    ),
  },
  kms: { ReEncrypt: 'ReEncryptFrom ReEncryptTo' },
  sqs: {
    SendMessageBatch: 'SendMessage',
    DeleteMessageBatch: 'DeleteMessage',
    ChangeMessageVisibilityBatch: 'ChangeMessageVisibility',
  },
  sns: { PublishBatch: 'Publish' },
  bedrock: { Converse: 'InvokeModel', ConverseStream: 'InvokeModelWithResponseStream' },
}

/**
 * Actions whose calls are data events, which a trail logs only when told to (CloudTrail User Guide, "Logging
 * data events"). Without a single data event of a service, not having seen these says nothing.
 */
const DATA_ACTIONS: Readonly<Record<string, RegExp>> = {
  s3: /object|multipart|^listbucket$|^listbucketversions$/i,
  lambda: /^invoke/i,
  dynamodb: /item|^query$|^scan$|^partiql|^getrecords$|^getsharditerator$/i,
  sqs: /message/i,
  sns: /^publish/i,
  kinesis: /record|sharditerator|subscribetoshard/i,
  s3express: /./,
}

/** Whether an action, or a pattern of actions, is of the kind that only data events show. */
export function isDataAction(action: string): boolean {
  const [service = '', name = ''] = action.split(':')
  return DATA_ACTIONS[service.toLowerCase()]?.test(name) === true
}
