import { importJWK, jwtVerify } from 'jose'
import { createRecorder } from '../server/audit/recorder.js'
import { createSts } from '../server/aws/sts.js'
import { createVerifier } from '../server/identity/verifier.js'
import { assumeRoleCommand, stsClient } from './bare-sts.js'
import { startChild } from './child.js'
import { sampleIntent } from './intents.js'
import { cpuCells, type Round, rates, ratio, samplesOf, sendLoad } from './load.js'
import { closedLoop, type Sample } from './measure.js'
import { openPool, plainAppend, silent } from './plain.js'
import { AUDIENCE } from './policies.js'
import type { Cell, Result } from './result.js'
import type { Run } from './run.js'
import type { Stage } from './stage.js'

type Rows = Record<string, Cell>[]

/** What a request is made of, piece by piece, and what our own wrapper around a piece adds. */
export async function floors(run: Run): Promise<Result> {
  const stage = await run.stage()
  const rows = [
    ...(await verifying(run, stage)),
    ...(await assuming(run, stage)),
    ...(await committing(run, stage)),
    ...(await posting(run, stage)),
  ]
  return {
    name: 'floors',
    title: 'Floors: the pieces alone',
    about:
      'Each piece by itself, with 50 callers unless it says otherwise; the ratio is to the row above that it rests on.',
    rows,
  }
}

const callers = (smoke: boolean): number => (smoke ? 4 : 50)

/** One after the other in turns: the first is the floor of the second. */
async function compared(
  { pace, say }: Run,
  names: readonly [string, string],
  workers: number,
  calls: readonly [() => Promise<unknown>, () => Promise<unknown>],
): Promise<Rows> {
  const floor: Sample[] = []
  const ours: Sample[] = []
  for (let round = 1; round <= pace.rounds; round++) {
    say(`floors: ${names[1]}, round ${round}`)
    floor.push(await closedLoop(workers, pace, calls[0]))
    ours.push(await closedLoop(workers, pace, calls[1]))
  }
  return [
    { piece: names[0], ...rates(floor), 'of floor': { ratio: 1 } },
    { piece: names[1], ...rates(ours), 'of floor': ratio(ours, floor) },
  ]
}

async function verifying(run: Run, { issuer, policySet, tokens }: Stage): Promise<Rows> {
  const [token = ''] = tokens
  const key = await importJWK(issuer.jwks().keys[0] ?? {}, 'ES256')
  const expected = { issuer: issuer.issuer, audience: AUDIENCE, algorithms: ['ES256'] }
  const verifier = createVerifier({ issuers: () => policySet.issuers, localIssuer: issuer, log: silent })
  try {
    return await compared(run, ['jose jwtVerify, ES256, one caller', 'Writ’s verifier, one caller'], 1, [
      () => jwtVerify(token, key, expected),
      () => verifier.verify(`Bearer ${token}`, 'agents'),
    ])
  } finally {
    verifier.close()
  }
}

async function assuming(run: Run, { aws, policySet }: Stage): Promise<Rows> {
  const { assume } = sampleIntent(policySet).plan
  const client = stsClient(aws, assume.region)
  const ours = createSts({ endpoint: aws.url, credentials: aws.credentials, timeoutMs: 15_000 })
  try {
    return await compared(run, ['client-sts AssumeRole', 'Writ’s AssumeRole'], callers(run.smoke), [
      () => client.send(assumeRoleCommand(assume)),
      () => ours.assumeRole(assume),
    ])
  } finally {
    client.destroy()
    ours.close()
  }
}

async function committing(run: Run, { plainUrl, policySet }: Stage): Promise<Rows> {
  const database = openPool(plainUrl)
  const { intent } = sampleIntent(policySet)
  const { record } = createRecorder(plainAppend(database))
  try {
    const sample = async (workers: number) => {
      run.say(`floors: group commit, ${workers} callers`)
      return rates([await closedLoop(workers, run.pace, () => record(intent))])
    }
    return [
      { piece: 'commit of one row, one caller', ...(await sample(1)) },
      { piece: 'group commit, rows', ...(await sample(callers(run.smoke))) },
    ]
  } finally {
    await database.end()
  }
}

async function posting({ pace, say, smoke }: Run, { load, floor }: Stage): Promise<Rows> {
  const bare = await startChild<{ url: string }>('children/bare.js', {})
  const job = { tokens: [''], bodies: ['{"n":"%n%"}'], workers: callers(smoke), pace, status: 200 }
  const nodes: Round[] = []
  const fastifys: Round[] = []
  try {
    for (let round = 1; round <= pace.rounds; round++) {
      say(`floors: POST, round ${round}`)
      nodes.push(await sendLoad(load, { ...job, url: bare.ready.url }, { server: bare.pid }))
      fastifys.push(await sendLoad(load, { ...job, url: `${floor.ready.url}/empty` }, { server: floor.pid }))
    }
  } finally {
    await bare.stop()
  }
  const [node, fastify] = [samplesOf(nodes), samplesOf(fastifys)]
  return [
    { piece: 'POST to node:http', ...rates(node), 'of floor': { ratio: 1 }, ...cpuCells(nodes) },
    {
      piece: 'POST to fastify',
      ...rates(fastify),
      'of floor': ratio(fastify, node),
      ...cpuCells(fastifys),
    },
  ]
}
