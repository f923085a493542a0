import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { packageRoot } from '../../server/paths.js'
import { commandOnBroker, installed, type Ran, run } from './support.js'

t.setTimeout(120_000)

/** Unmodified SDKs, each by its own default chain: list what the scope allows, then try what it does not. */
const JS = [
  process.execPath,
  '--input-type=module',
  '-e',
  `import { ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
   const s3 = new S3Client({ forcePathStyle: true })
   const listed = await s3.send(new ListObjectsV2Command({ Bucket: 'orders-development' }))
   const put = new PutObjectCommand({ Bucket: 'orders-development', Key: 'x', Body: 'x' })
   const refused = await s3.send(put).then(() => 'written', (error) => error.name)
   console.log(JSON.stringify({ keys: listed.Contents.map((one) => one.Key), refused }))`,
]
const JS_SDK = 'AWS SDK for JavaScript'
const BOTO3 = [
  'python3',
  '-c',
  `import boto3, json
from botocore.exceptions import ClientError
s3 = boto3.client('s3')
keys = [one['Key'] for one in s3.list_objects_v2(Bucket='orders-development')['Contents']]
try:
    s3.put_object(Bucket='orders-development', Key='x', Body=b'x')
    refused = 'written'
except ClientError as error:
    refused = error.response['Error']['Code']
print(json.dumps({'keys': keys, 'refused': refused}))`,
]
const CLI = [
  'sh',
  '-c',
  `keys=$(aws s3api list-objects-v2 --bucket orders-development --query 'Contents[].Key' --output json) || exit 1
   refused=$(aws s3api put-object --bucket orders-development --key x 2>&1 | grep -o AccessDenied | head -1)
   printf '{"keys":%s,"refused":"%s"}' "$keys" "$refused"`,
]

t.test('AWS SDKs', async (t) => {
  const { writ, broker, launcher, folder, tokenFile } = await commandOnBroker(t)
  const token = await tokenFile('orders-coder')
  const clients: [string, string[]][] = [[JS_SDK, JS]]
  if (installed(t, 'boto3', 'python3', ['-c', 'import boto3'])) clients.push(['boto3', BOTO3])
  if (installed(t, 'the AWS CLI', 'aws', ['--version'])) clients.push(['AWS CLI', CLI])

  const place = {
    AWS_REGION: 'eu-west-1',
    AWS_DEFAULT_REGION: 'eu-west-1',
    AWS_ENDPOINT_URL: broker.localAws.url,
  }
  const container = {
    ...place,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${broker.url}/v1/aws/credentials/development/orders:read`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: token,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
  }
  const config = join(folder, 'aws-config')
  const process_ = [
    process.execPath,
    launcher,
    'credential-process',
    '--url',
    broker.url,
    '--token-file',
    token,
  ]
  writeFileSync(
    config,
    `[profile dev]\ncredential_process = ${process_.join(' ')} --env development --scope orders:read\n` +
      `[profile prod]\ncredential_process = ${process_.join(' ')} --env production --scope orders:write\n`,
  )
  const profile = (name: string) => ({
    ...place,
    AWS_PROFILE: name,
    AWS_CONFIG_FILE: config,
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  })
  const cwd = packageRoot()

  for (const [name, [program = '', ...args]] of clients) {
    const works = (t: Test, ran: Ran, how: string) => {
      t.equal(ran.code, 0, `${how}: ${ran.stderr}`)
      t.strictSame(ran.json, { keys: ['README.txt', 'example.txt'], refused: 'AccessDenied' }, how)
    }
    await t.test(name, async (t) => {
      works(t, await run(program, args, { env: container, cwd }), 'container provider')
      works(t, await run(program, args, { env: profile('dev'), cwd }), 'credential_process')
      const through = ['exec', '--token-file', token, '--env', 'development', '--scope', 'orders:read', '--']
      works(t, await writ([...through, program, ...args], { cwd }), 'writ exec')
      works(t, await writ([...through.slice(0, -1), '--static', '--', program, ...args], { cwd }), '--static')
      const refused = await run(program, args, { env: profile('prod'), cwd })
      t.not(refused.code, 0)
      // The JS SDK's default chain says that no provider had credentials, and nothing of why.
      if (name !== JS_SDK)
        t.match(refused.stderr, /needs a grant by a human/, 'the human behind it reads why')
    })
  }

  await t.test('the shape of credential_process', async (t) => {
    const ran = await writ([
      'credential-process',
      '--token-file',
      token,
      '--env',
      'development',
      '--scope',
      'orders:read',
    ])
    t.strictSame(Object.keys(ran.json).sort(), [
      'AccessKeyId',
      'AccountId',
      'Expiration',
      'SecretAccessKey',
      'SessionToken',
      'Version',
    ])
    t.equal(ran.json.Version, 1)
    t.match(ran.json.Expiration, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    const refused = await writ([
      'credential-process',
      '--token-file',
      token,
      '--env',
      'production',
      '--scope',
      'orders:write',
    ])
    t.equal(refused.code, 4)
    t.equal(refused.stdout, '')
    t.match(refused.stderr, /Ask for it: writ request/)
  })
})
