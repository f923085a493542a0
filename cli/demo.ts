/** The story of Writ, played and checked: `npm run demo`. */
import { randomBytes } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import type { CredentialsAnswer, GrantRequest, Issuance, LogEvent, Page } from './api.js'
import type { BrokerClient } from './client.js'
import { check, openStage, refusedBy, type Stage } from './demo-stage.js'
import { signAndSend } from './local-key.js'
import { clean } from './output.js'
import { sayStatement } from './show-grant.js'

const AGENT = 'orders-coder'
const PRODUCTION = {
  environment: 'production',
  scopes: ['orders:write'],
  reason: 'correct the address of order 4711',
}

type Say = (text: string) => void

/** Plays every step; throws at the first that is not as told. */
export async function playStory(stage: Stage, say: Say): Promise<void> {
  const agent = stage.agent(AGENT)
  // A label of this run's own: a session of an earlier run is not handed out again here.
  const run = `demo-${randomBytes(4).toString('hex')}`

  await readInDevelopment(stage, agent, run, say)
  const refusal = await askForProduction(agent, run, say)
  const granted = await haveItApproved(stage, agent, run, say)
  const write = await writeInProduction(stage, agent, run, say)
  await useTheGrantTwice(agent, run, say)
  await readTheRecord(stage, { granted, write, refusals: [refusal, 'grant_used_up'] }, say)
}

async function readInDevelopment(stage: Stage, agent: BrokerClient, run: string, say: Say): Promise<void> {
  say(`The agent ${AGENT} asks for orders:read in development, and gets credentials for that at once.`)
  const answered = await agent.send<CredentialsAnswer>('POST', '/v1/credentials', {
    environment: 'development',
    scopes: ['orders:read'],
    reason: 'look at a failing order',
    session: run,
  })
  const s3 = s3With(stage, answered)
  try {
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: 'orders-development' }))
    const key = Contents[0]?.Key
    check(key !== undefined, 'orders-development is empty.')
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'orders-development', Key: key }))
    const text = (await Body?.transformToString()) ?? ''
    check(text.length > 0, `${key} is empty.`)
    told(say, `It lists ${Contents.length} objects and reads ${key}: ${JSON.stringify(text.trim())}`)

    say('With the same credentials it tries what it did not ask for.')
    const put = new PutObjectCommand({ Bucket: 'orders-development', Key: `${run}.json`, Body: '{}' })
    told(say, `Writing: ${await awsRefusal(s3.send(put))}`)
    const other = new ListObjectsV2Command({ Bucket: 'reports-development' })
    told(say, `Listing another bucket: ${await awsRefusal(s3.send(other))}`)
  } finally {
    s3.destroy()
  }
}

async function askForProduction(agent: BrokerClient, run: string, say: Say): Promise<string> {
  say('It asks for orders:write in production.')
  const call = agent.send('POST', '/v1/credentials', { ...PRODUCTION, session: run })
  // On a broker where the story was played before, the earlier grant is named as over.
  const problem = await refusedBy(call, ['grant_required', 'grant_used_up', 'grant_expired', 'grant_revoked'])
  check(problem.grant_request !== undefined, 'The refusal has no prefilled grant request.')
  told(say, `Refused (${problem.code}): ${clean(problem.detail)} No credential exists that could write.`)
  return problem.code
}

async function haveItApproved(
  stage: Stage,
  agent: BrokerClient,
  run: string,
  say: Say,
): Promise<GrantRequest> {
  say('So it asks for a grant: one session, and the reason.')
  const opened = await agent.send<GrantRequest>('POST', '/v1/grant-requests', {
    ...PRODUCTION,
    ticket: run,
    uses: 1,
  })
  check(opened.state === 'pending', `The request is ${opened.state}.`)
  told(
    say,
    `Request ${opened.id} waits. An approver sees: ${opened.permissions.map(sayStatement).join('; ')}`,
  )

  const approval = { decision: 'approve', comment: 'looked at' } as const
  const sign = async (name: string) =>
    signAndSend(stage.operator(name), await stage.keyOf(name), opened, approval)
  say('alice approves. She is an approver, but her own team owns the agent.')
  const refused = await refusedBy(sign('alice'), ['approver_is_owner'])
  told(say, `Refused (${refused.code}): ${clean(refused.detail)} Nobody approves for themselves.`)

  say('Somebody has the token of bob, of another team, and not his key.')
  const { policy_digest, permissions_sha256 } = opened
  const stolen = { decision: 'approve', policy_digest, permissions_sha256 }
  const path = `/v1/grant-requests/${opened.id}/decisions`
  const alone = await refusedBy(stage.operator('bob').send('POST', path, stolen), ['signature_required'])
  told(say, `Refused (${alone.code}): ${clean(alone.detail)}`)

  say('bob approves, and signs what he was shown (here with a software key; in production a passkey).')
  const decided = await sign('bob')
  check(decided.grant_id !== null, `The request is ${decided.state}.`)
  told(say, `Granted: ${decided.grant_id}`)
  return { ...opened, grant_id: decided.grant_id }
}

async function writeInProduction(
  stage: Stage,
  agent: BrokerClient,
  run: string,
  say: Say,
): Promise<CredentialsAnswer> {
  say('The agent asks again, gets its session, and writes.')
  const answered = await agent.send<CredentialsAnswer>('POST', '/v1/credentials', {
    ...PRODUCTION,
    session: run,
  })
  const s3 = s3With(stage, answered)
  const object = { Bucket: 'orders-production', Key: `orders/${run}.json` }
  try {
    await s3.send(new PutObjectCommand({ ...object, Body: '{"order":4711}' }))
    told(
      say,
      `Written: s3://${object.Bucket}/${object.Key}, in a session that ends ${answered.credentials.expires_at}`,
    )
    say('With the same credentials it tries to delete what it wrote.')
    told(say, await awsRefusal(s3.send(new DeleteObjectCommand(object))))
  } finally {
    s3.destroy()
  }
  return answered
}

async function useTheGrantTwice(agent: BrokerClient, run: string, say: Say): Promise<void> {
  say('It asks for a second session on the grant for one.')
  const call = agent.send('POST', '/v1/credentials', { ...PRODUCTION, session: `${run}-again` })
  const problem = await refusedBy(call, ['grant_used_up'])
  told(say, `Refused (${problem.code}): ${clean(problem.detail)}`)
}

interface Played {
  readonly granted: GrantRequest
  readonly write: CredentialsAnswer
  readonly refusals: readonly string[]
}

async function readTheRecord(stage: Stage, { granted, write, refusals }: Played, say: Say): Promise<void> {
  say('carol, of security, reads the record of it all.')
  const carol = stage.operator('carol')
  const grant = granted.grant_id ?? ''
  const { items } = await carol.get<Page<Issuance>>('/v1/issuances', { grant })
  const [issuance] = items
  check(
    items.length === 1 && issuance !== undefined,
    `${items.length} issuances on the grant instead of one.`,
  )
  check(issuance.issuance === write.issuance, 'The record names another issuance.')
  check(issuance.access_key_id === write.credentials.access_key_id, 'The record names another access key.')
  check(issuance.agent === AGENT && issuance.state === 'issued', `The record says ${issuance.state}.`)
  told(
    say,
    `Issuance ${issuance.issuance}: ${issuance.agent}, ${issuance.scopes.join(', ')} in ${issuance.environment}, access key ${issuance.access_key_id}`,
  )
  told(say, `Why: ${JSON.stringify(clean(issuance.reason ?? ''))}, on grant ${grant}`)

  const kinds = async (query: Record<string, string>) => {
    const page = await carol.get<Page<LogEvent>>('/v1/events', query)
    return page.items.map(({ body }) => String(body.kind)).reverse()
  }
  const all = [...(await kinds({ request: granted.id })), ...(await kinds({ issuance: write.issuance }))]
  for (const kind of [
    'grant_request.opened',
    'grant_request.approved',
    'issuance.intended',
    'issuance.issued',
  ]) {
    check(all.includes(kind), `The log has no ${kind}.`)
  }
  for (const code of refusals) {
    check((await kinds({ agent: AGENT, code })).length > 0, `The log has no refusal ${code}.`)
  }
  told(say, `The log has it: ${[...new Set(all)].join(', ')}; and what was refused: ${refusals.join(', ')}.`)
}

function s3With(stage: Stage, { credentials, regions }: CredentialsAnswer): S3Client {
  return new S3Client({
    endpoint: stage.awsUrl,
    region: regions[0] ?? 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: credentials.access_key_id,
      secretAccessKey: credentials.secret_access_key,
      sessionToken: credentials.session_token,
    },
  })
}

/** AWS's own refusal, in short. */
async function awsRefusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  check(error instanceof Error, 'AWS allowed this.')
  check(error.name === 'AccessDenied', `AWS failed with ${error.name}: ${error.message}`)
  return `AWS refuses: AccessDenied${/because .*/.exec(error.message)?.[0].replace(/^/, ', ') ?? ''}.`
}

const told = (say: Say, text: string): void => say(`  → ${text}`)

/** Plays it on the terminal; the exit code says whether everything was as told. */
async function main(): Promise<void> {
  let step = 0
  const say: Say = (text) => {
    const numbered = text.startsWith(' ') ? text : `\n${++step}. ${text}`
    process.stdout.write(`${numbered}\n`)
  }
  const stage = await openStage((text) => process.stdout.write(`${text}\n`))
  try {
    await playStory(stage, say)
    process.stdout.write('\nEverything was as told.\n')
  } finally {
    await stage.close()
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await main().catch((error: unknown) => {
    const text = error instanceof Error ? error.message : 'something unknown was thrown'
    process.stderr.write(`\nNot as told: ${clean(text)}\n`)
    process.exitCode = 1
  })
}
