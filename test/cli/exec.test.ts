import { writeFileSync } from 'node:fs'
import { devNull } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { commandOnBroker } from './support.js'

t.setTimeout(120_000)

const READ = ['--env', 'development', '--scope', 'orders:read']
const PRINT = ['--', process.execPath, '-e', 'console.log(JSON.stringify(process.env))']

/** Everything by which a command could find other credentials, or act as somebody else. */
const DANGEROUS = {
  AWS_PROFILE: 'admin',
  AWS_DEFAULT_PROFILE: 'admin',
  AWS_ACCESS_KEY_ID: 'AKIAOTHER',
  AWS_SECRET_ACCESS_KEY: 'other',
  AWS_SESSION_TOKEN: 'other',
  AWS_SECURITY_TOKEN: 'other',
  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/other',
  AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:1/other',
  AWS_CONTAINER_AUTHORIZATION_TOKEN: 'other',
  AWS_WEB_IDENTITY_TOKEN_FILE: '/other',
  AWS_ROLE_ARN: 'arn:aws:iam::999999999999:role/other',
  AWS_SHARED_CREDENTIALS_FILE: '/other',
  AWS_CONFIG_FILE: '/other',
  AWS_ENDPOINT_URL_S3: 'https://other.example.com',
  WRIT_OPERATOR_TOKEN: 'a.b.c',
  WRIT_OPERATOR_TOKEN_FILE: '/other',
  WRIT_TOKEN: 'a.b.c',
}

t.test('exec', async (t) => {
  const { writ, broker, tokenFile, folder } = await commandOnBroker(t)
  const token = await tokenFile('orders-coder')
  const exec = (args: readonly string[], env: Record<string, string> = {}) => writ(['exec', ...args], { env })

  await t.test('with a token file, the SDK fetches for itself', async (t) => {
    const ran = await exec([...READ, '--token-file', token, ...PRINT], DANGEROUS)
    t.equal(ran.code, 0, ran.stderr)
    const env: Record<string, string> = ran.json
    const { AWS_CONTAINER_CREDENTIALS_FULL_URI: uri, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file } = env
    t.equal(uri, `${broker.url}/v1/aws/credentials/development/orders%3Aread`)
    t.equal(file, token)
    t.match(env, {
      AWS_REGION: 'eu-west-1',
      AWS_DEFAULT_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL: broker.localAws.url,
    })
    const kept = ['AWS_SHARED_CREDENTIALS_FILE', 'AWS_CONFIG_FILE', 'AWS_CONTAINER_CREDENTIALS_FULL_URI']
    for (const [name, value] of Object.entries(DANGEROUS)) {
      if (kept.includes(name)) t.not(env[name], value, name)
      else t.notOk(name in env, name)
    }
    t.match(env, { AWS_CONFIG_FILE: devNull, AWS_SHARED_CREDENTIALS_FILE: devNull }, 'nor to ~/.aws')
    t.equal(env.AWS_EC2_METADATA_DISABLED, 'true', "no way on to the machine's own role")
    t.notMatch(ran.stdout, await broker.agentToken('orders-coder').then((jwt) => jwt.split('.')[1] ?? ''))
  })

  await t.test('--static, --as and a file that ends in a newline: the keys themselves', async (t) => {
    const newline = join(folder, 'newline')
    writeFileSync(newline, `${await broker.agentToken('orders-coder')}\n`)
    const ways = [
      ['--token-file', token, '--static'],
      ['--as', 'orders-coder'],
      ['--token-file', newline],
    ]
    for (const way of ways) {
      const ran = await exec([...READ, ...way, ...PRINT], DANGEROUS)
      t.equal(ran.code, 0, ran.stderr)
      t.match(ran.json, { AWS_ACCESS_KEY_ID: /^ASIA/, AWS_SESSION_TOKEN: /./ }, way.join(' '))
      t.notOk('AWS_CONTAINER_CREDENTIALS_FULL_URI' in ran.json)
      t.equal(ran.stderr.includes('newline'), way.includes(newline), 'and says why')
    }
  })

  await t.test("a region of the caller's stays where the environment has it", async (t) => {
    const region = async (environment: string, given: string) => {
      const asked = ['--env', environment, '--scope', 'orders:read', '--token-file', token]
      return (await exec([...asked, ...PRINT], { AWS_REGION: given })).json.AWS_REGION
    }
    t.equal(await region('sandbox', 'us-east-1'), 'us-east-1')
    t.equal(await region('development', 'us-east-1'), 'eu-west-1', 'sessions are denied every other region')
  })

  await t.test('a refusal is seen at once, and nothing is run', async (t) => {
    const asked = ['--env', 'production', '--scope', 'orders:write', '--token-file', token]
    const refused = await exec([...asked, ...PRINT])
    t.equal(refused.code, 4)
    t.equal(refused.stdout, '')
    t.match(refused.stderr, /grant_required/)
  })

  await t.test('on a grant: the keys themselves, also with a token file', async (t) => {
    const created = await broker.grant('bob', {
      agent: 'orders-coder',
      environment: 'production',
      scopes: ['orders:write'],
      reason: 'test',
    })
    t.equal(created.status, 200)
    const asked = ['--env', 'production', '--scope', 'orders:write', '--token-file', token]
    const ran = await exec([...asked, ...PRINT])
    t.match(ran.json, { AWS_ACCESS_KEY_ID: /^ASIA/ }, ran.stderr)
  })

  await t.test('exit codes, signals and commands that are not there', async (t) => {
    const as = ['--token-file', token, ...READ, '--']
    t.equal((await exec([...as, 'sh', '-c', 'exit 42'])).code, 42)
    const ended = await exec([...as, 'sh', '-c', 'kill -TERM $$'])
    t.equal(ended.signal, 'SIGTERM', 'we end as the command did')
    t.equal((await exec([...as, 'no-such-command-anywhere'])).code, 2)

    const trap =
      'process.on("SIGTERM",()=>{console.log("asked to end");process.exit(3)});console.log("up");setInterval(()=>{},1000)'
    const told = await writ(['exec', ...as, process.execPath, '-e', trap], {
      onStart: (child) => child.stdout?.once('data', () => child.kill('SIGTERM')),
    })
    t.equal(told.code, 3, 'the signal went on to the command, and its answer came back')
    t.match(told.stdout, 'asked to end')
  })

  await t.test("the command's own flags are its own", async (t) => {
    const ran = await exec([
      '--token-file',
      token,
      ...READ,
      'sh',
      '-c',
      'echo "$@"',
      'sh',
      '--json',
      '--env=x',
    ])
    t.equal(ran.stdout, '--json --env=x\n')
  })
})
