import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { packageRoot } from '../../server/paths.js'
import { BROKER, type Keys, READ_ROLE, world } from './support.js'

const run = promisify(execFile)
const available = (command: string, args: string[]): Promise<boolean> =>
  run(command, args).then(
    () => true,
    () => false,
  )

/** Elsewhere a missing client is said and skipped; where everything must be there, it is a failure. */
function without(t: Test, what: string): void {
  if (process.env.WRIT_CI === '1') t.fail(`${what} is not installed, and WRIT_CI=1 wants it`)
  else t.pass(`${what} is not installed: nothing was tried with it`, { skip: `${what} is not installed` })
}

/** Nothing of this machine's own AWS configuration. */
const environment = (keys: Keys): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  HOME: '/nonexistent',
  LANG: 'C.UTF-8',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_REGION: 'eu-west-1',
  AWS_DEFAULT_REGION: 'eu-west-1',
  AWS_MAX_ATTEMPTS: '1',
  AWS_ACCESS_KEY_ID: keys.accessKeyId,
  AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
  ...(keys.sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: keys.sessionToken }),
})

t.test('boto3', async (t) => {
  if (!(await available('python3', ['-c', 'import boto3']))) return without(t, 'boto3')
  const { aws } = await world(t, { now: () => new Date() })
  const script = join(packageRoot(), 'test', 'local-aws', 'clients.py')
  const { stdout } = await run('python3', [script, aws.url, READ_ROLE], { env: environment(BROKER) })
  t.match(JSON.parse(stdout), {
    arn: /:assumed-role\/orders-read\/writ-boto$/,
    sourceIdentity: 'ada',
    body: 'from boto',
    metadata: { by: 'boto' },
    keys: ['a b+c/日本 <x>.txt', 'a.txt', 'b/c.txt'],
    delete: 'AccessDenied',
    missing: 'NoSuchKey',
    tooShort: 'MalformedPolicyDocument',
    trust: 'Allow',
    presigned: 'from boto',
  })
})

t.test('the AWS CLI', async (t) => {
  if (!(await available('aws', ['--version']))) return without(t, 'the AWS CLI')
  const { aws, session } = await world(t, { now: () => new Date() })
  const keys = await session({
    Policy: JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Action: ['s3:GetObject', 's3:PutObject'], Resource: 'arn:aws:s3:::orders/*' },
        { Effect: 'Allow', Action: 's3:ListBucket', Resource: 'arn:aws:s3:::orders' },
      ],
    }),
  })
  const cli = (...args: string[]) =>
    run('aws', ['--endpoint-url', aws.url, ...args], { env: environment(keys) }).then(
      ({ stdout }) => stdout,
      (error: { stderr: string }) => `failed: ${error.stderr.trim()}`,
    )
  const [identity, listing, removal] = await Promise.all([
    cli('sts', 'get-caller-identity', '--output', 'json'),
    cli('s3', 'ls', 's3://orders'),
    cli('s3', 'rm', 's3://orders/a.txt'),
  ])
  t.match(identity, /assumed-role\/orders-read\/writ-1/)
  t.match(listing, /PRE b\/\n.* 5 a\.txt/)
  t.match(removal, /AccessDenied/)
})
