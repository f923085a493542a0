import { Agent, request } from 'node:http'
import { serveUntilStopped } from '../child.js'
import { closedLoop, type Pace, type Sample } from '../measure.js'

export interface LoadJob {
  readonly url: string
  /** Worker n sends the n-th, so that each worker is another agent. */
  readonly tokens: readonly string[]
  /** Worker n sends the n-th. `%n%` becomes a text that no other request of the whole run has. */
  readonly bodies: readonly string[]
  readonly workers: number
  readonly pace: Pick<Pace, 'warmupSeconds' | 'seconds'>
  /** Any other answer after the warm-up is a failure. */
  readonly status: number
}

export type LoadAnswer = { readonly sample: Sample; readonly failed: number } | { readonly problem: string }

/** More failures than this end the benchmark: a refusal is quicker than what is measured. */
const MOST_FAILED = 0.01

/** The load comes from here: in the broker's process it would take the broker's time. */
async function run(job: LoadJob, unique: string): Promise<LoadAnswer> {
  const { tokens, bodies, workers, pace, status } = job
  const agent = new Agent({ keepAlive: true, maxSockets: workers })
  const url = new URL(job.url)
  const begin = performance.now() + pace.warmupSeconds * 1000
  let failed = 0
  let example = ''
  try {
    const sample = await closedLoop(workers, pace, async (worker, n) => {
      const token = tokens[worker % tokens.length] ?? ''
      const body = bodies[worker % bodies.length]?.replaceAll('%n%', `${unique}${n}`) ?? ''
      const answer = await post(url, agent, token, body)
      // A server may close a connection that lay idle since the last round just when it is used again.
      if (answer.status === status || performance.now() < begin) return
      failed += 1
      example = `${answer.status} ${answer.text}`
    })
    if (failed <= sample.calls * MOST_FAILED) return { sample, failed }
    return { problem: `${job.url}: ${failed} of ${sample.calls} failed, such as with ${example}` }
  } finally {
    agent.destroy()
  }
}

function post(
  url: URL,
  agent: Agent,
  token: string,
  body: string,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    }
    const sending = request(url, { method: 'POST', agent, headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => {
        text += chunk
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
      answer.on('error', reject)
    })
    sending.on('error', reject)
    sending.end(body)
  })
}

let jobs = 0
process.on('message', (job: LoadJob) => {
  jobs += 1
  const answer = (message: LoadAnswer): void => void process.send?.(message)
  run(job, `${process.pid}-${jobs}-`).then(answer, (error: Error) => answer({ problem: error.message }))
})
serveUntilStopped({}, async () => undefined)
