import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../server/config.js'
import { serve } from '../server/main.js'
import { type BrokerClient, connectTo } from './client.js'
import { type ClientEnvironment, clientEnvironment } from './environment.js'
import { CliError } from './exit.js'
import { localKey } from './local-key.js'
import type { SoftwareKey } from './software-key.js'
import { findTarget, type Target } from './target.js'
import { findToken, type Side } from './token.js'

/** A local broker, and whoever speaks to it. */
export interface Stage {
  readonly url: string
  readonly awsUrl: string
  readonly agent: (name: string) => BrokerClient
  readonly operator: (name: string) => BrokerClient
  /** What the operator signs with. */
  readonly keyOf: (name: string) => Promise<SoftwareKey>
  readonly close: () => Promise<void>
}

/** The local broker that runs already, or one of our own in a temporary folder. */
export async function openStage(say: (text: string) => void): Promise<Stage> {
  const env = clientEnvironment()
  const running = findTarget({}, env)
  if (running.local !== undefined && (await answers(running.url))) {
    say(`A local broker runs at ${running.url}: the story is played there.`)
    return stageAt(running, running.local.awsUrl, env, async () => undefined)
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'writ-demo-'))
  say('No local broker runs on this folder, so one is started for the length of the story…')
  const remove = () => rm(dataDir, { recursive: true, force: true })
  try {
    // Its own settings and nothing of the caller's: the story needs the example policies.
    const serving = await serve(
      readConfig({
        WRIT_MODE: 'local',
        WRIT_PORT: '0',
        WRIT_DATA_DIR: dataDir,
        WRIT_LOG_LEVEL: 'error',
      }),
    )
    const close = async () => {
      await serving.close()
      await remove()
    }
    const target = findTarget({ url: serving.url, dataDir }, env)
    return stageAt(target, serving.localAwsUrl ?? '', { dataDir }, close)
  } catch (error) {
    await remove()
    throw error
  }
}

function stageAt(target: Target, awsUrl: string, env: ClientEnvironment, close: () => Promise<void>): Stage {
  const as = (side: Side) => (name: string) => connectTo(target, findToken(side, { as: name }, env, target))
  const { local } = target
  if (local === undefined) throw new StoryError('The broker is not one of local mode.')
  const operator = as('operator')
  const keyOf = (name: string) => localKey(local.dataDir, local.consoleUrl, name, operator(name))
  return { url: target.url, awsUrl, agent: as('agent'), operator, keyOf, close }
}

async function answers(url: string): Promise<boolean> {
  return await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2000) }).then(
    (response) => response.ok,
    () => false,
  )
}

/** The story is not as told. */
export class StoryError extends Error {
  override readonly name = 'StoryError'
}

export function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new StoryError(otherwise)
}

/** The broker's refusal; a story error when there is none, or another than told. */
export async function refusedBy(
  call: Promise<unknown>,
  codes: readonly string[],
): Promise<CliError['problem']> {
  const problem = await call.then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof CliError) return error.problem
      throw error
    },
  )
  check(problem !== undefined, `This should have been refused with ${codes.join(' or ')}, and was not.`)
  check(codes.includes(problem.code), `Refused with ${problem.code} instead of ${codes.join(' or ')}.`)
  return problem
}
