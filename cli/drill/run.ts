import { setTimeout as delay } from 'node:timers/promises'
import { CliError, EXIT } from '../exit.js'
import type { Stop } from '../show-stop.js'
import { type Answer, succeeded } from './http.js'
import { type Attempt, Play, type Scenario } from './play.js'
import { alarmsSince, entryOf, type Found } from './record.js'
import { environmentConfusion } from './scenarios/environment-confusion.js'
import { grantReplay } from './scenarios/grant-replay.js'
import { injectedDelete } from './scenarios/injected-delete.js'
import { selfApproval } from './scenarios/self-approval.js'
import { stolenToken } from './scenarios/stolen-token.js'
import { useAfterStop } from './scenarios/use-after-stop.js'
import { velocityBurst } from './scenarios/velocity-burst.js'
import type { Signer, Stage } from './stage.js'

/** In the order of playing: what stops the agent comes last. */
export const SCENARIOS: readonly Scenario[] = [
  stolenToken,
  injectedDelete,
  environmentConfusion,
  selfApproval,
  grantReplay,
  velocityBurst,
  useAfterStop,
]

export type Tried = Attempt & Found

export interface ScenarioResult {
  readonly name: string
  readonly title: string
  readonly attack: string
  /** `failed`: something got through, was refused for another reason, or has no entry; or what has to work does not. */
  readonly outcome: 'stopped' | 'failed' | 'skipped'
  readonly attempts: readonly Tried[]
  readonly skipped: readonly string[]
  readonly notes: readonly string[]
  /** Slowest refusal, milliseconds; null where nothing was tried. */
  readonly deny_ms: number | null
  /** From the first recorded attempt to its alarm, or else to its entry, milliseconds. */
  readonly detect_ms: number | null
}

export interface Report {
  readonly url: string
  readonly agent: string
  readonly policy_digest: string
  readonly run: string
  readonly began_at: string
  readonly ended_at: string
  /** Whether every scenario was played in full and stopped. */
  readonly all_stopped: boolean
  readonly complete: boolean
  readonly scenarios: readonly ScenarioResult[]
  /** How the drill agent was left. */
  readonly left: string
}

/** Plays scenarios against the broker and looks each attempt up in its record. Throws `CliError`. */
export async function playDrill(
  stage: Stage,
  scenarios: readonly Scenario[],
  options: { readonly release: boolean },
  say: (text: string) => void,
): Promise<Report> {
  const began = new Date()
  await freed(stage, say)
  const played: (readonly [Scenario, Play])[] = []
  for (const scenario of scenarios) {
    say(`${scenario.title}…`)
    const play = new Play()
    await scenario.play(stage, play)
    played.push([scenario, play])
  }
  const results = await lookedUp(stage, played, began)
  const left = await leave(stage, options.release, say)
  return {
    url: stage.url,
    agent: stage.agent,
    policy_digest: stage.policyDigest,
    run: stage.run,
    began_at: began.toISOString(),
    ended_at: new Date().toISOString(),
    all_stopped: results.every(({ outcome }) => outcome === 'stopped'),
    complete: results.every(({ skipped }) => skipped.length === 0),
    scenarios: results,
    left,
  }
}

async function lookedUp(
  { reader, agent }: Stage,
  played: readonly (readonly [Scenario, Play])[],
  began: Date,
): Promise<readonly ScenarioResult[]> {
  const stopped = played.some(([, { attempts }]) => attempts.some(({ code }) => code === 'agent_stopped'))
  const alarms = reader === undefined ? [] : await alarmsSince(reader, agent, began, stopped)
  const results: ScenarioResult[] = []
  for (const [{ name, title, attack }, play] of played) {
    const attempts: Tried[] = []
    for (const attempt of play.attempts) {
      const found =
        reader === undefined
          ? { entry: null, alarm: null, unrecorded: 'Not looked up: no token of a reader.' }
          : await entryOf(reader, attempt, agent)
      const raised = alarms.find(({ cause }) => cause === found.entry?.index)
      const alarm =
        raised === undefined
          ? null
          : {
              index: raised.index,
              alarm: raised.alarm,
              after_ms: Math.max(0, raised.at - Date.parse(attempt.at)),
            }
      attempts.push({ ...attempt, ...found, alarm })
    }
    const skipped = [...play.skipped]
    if (reader === undefined)
      skipped.push('Where it is recorded: there is no token of a reader (--reader-token-file).')
    results.push({ name, title, attack, attempts, skipped, notes: play.notes, ...judged(attempts) })
  }
  return results
}

function judged(attempts: readonly Tried[]): Pick<ScenarioResult, 'outcome' | 'deny_ms' | 'detect_ms'> {
  const refused = attempts.filter(({ control }) => !control)
  const lost = ({ unrecorded }: Tried): boolean => unrecorded === 'NOT IN THE RECORD.'
  const outcome =
    refused.length === 0
      ? attempts.every(({ held }) => held)
        ? 'skipped'
        : 'failed'
      : attempts.every((one) => one.held && !lost(one))
        ? 'stopped'
        : 'failed'
  const times = refused.map(({ answered_ms }) => answered_ms)
  const detected = refused.flatMap(({ alarm, entry }) => alarm?.after_ms ?? entry?.after_ms ?? [])
  return {
    outcome,
    deny_ms: times.length === 0 ? null : Math.max(...times),
    detect_ms: detected.length === 0 ? null : Math.min(...detected),
  }
}

/** Engaged stops on the drill agent. */
async function stopsOn({ ask, operator, agent }: Stage): Promise<readonly Stop[]> {
  if (operator === undefined) return []
  const { body } = await ask('GET', '/v1/stops?state=engaged&limit=500', await operator())
  const { items = [] } = body as { readonly items?: readonly Stop[] }
  return items.filter(({ kind, name }) => kind === 'agent' && name === agent)
}

/** A drill before this one may have left its agent stopped; then nothing could be shown. */
async function freed(stage: Stage, say: (text: string) => void): Promise<void> {
  for (const stop of await stopsOn(stage)) {
    say(`${stage.agent} is still stopped from before: ${await released(stage, stop, say)}`)
  }
  const answer = await stage.ask('GET', '/v1/whoami', await stage.token())
  const { environments = [] } = answer.body as {
    readonly environments?: readonly { readonly stop?: string }[]
  }
  if (!environments.some(({ stop }) => stop !== undefined)) return
  throw new CliError(EXIT.request, {
    title: 'Stopped',
    code: 'agent_stopped',
    detail: `${stage.agent} is stopped, so a drill would show nothing.`,
    next: `Have two people release it: writ release agent ${stage.agent}`,
  })
}

async function leave(stage: Stage, release: boolean, say: (text: string) => void): Promise<string> {
  const stops = await stopsOn(stage)
  if (stops.length === 0) return `${stage.agent} is not stopped.`
  const command = `writ release agent ${stage.agent}`
  if (!release) return `${stage.agent} is left stopped; two people release it: ${command}`
  const said: string[] = []
  for (const stop of stops) said.push(await released(stage, stop, say))
  return said.join(' ')
}

/** Released by the two signers of local mode, when its first minute is over. */
async function released(stage: Stage, stop: Stop, say: (text: string) => void): Promise<string> {
  const { approver, owner } = stage
  if (approver === undefined || owner === undefined) {
    return 'Two people have to release it; only local mode has keys to sign with.'
  }
  const wait = Date.parse(stop.cutoff) - Date.now()
  if (wait > 0) {
    say(`Waiting ${Math.ceil(wait / 1000)} s: a stop is not released within its first minute…`)
    await delay(wait + 250)
  }
  const signers = [approver, owner].filter(({ name }) => !stop.signed_by.includes(name))
  for (const signer of signers.slice(0, stop.approvals_needed - stop.signed_by.length)) {
    const answer = await signedBy(stage, stop, signer)
    if (!succeeded(answer)) return `Not released: ${answer.code}.`
  }
  return `Released by ${signers.map(({ name }) => name).join(' and ')}.`
}

async function signedBy({ ask }: Stage, { id }: Stop, signer: Signer): Promise<Answer> {
  const bearer = await signer.token()
  await signer.enrolled()
  const asked = await ask('POST', `/v1/stops/${id}/challenge`, bearer, {})
  if (!succeeded(asked)) return asked
  const { challenge, document } = asked.body as { readonly challenge: string; readonly document: string }
  return ask('POST', `/v1/stops/${id}/release`, bearer, { challenge, proof: await signer.sign(document) })
}
