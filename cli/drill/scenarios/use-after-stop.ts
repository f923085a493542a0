import { setTimeout as delay } from 'node:timers/promises'
import type { Stop } from '../../show-stop.js'
import { succeeded } from '../http.js'
import { credentials, type Play, REASON, type Scenario } from '../play.js'
import type { Stage } from '../stage.js'

/** As long as the denies are waited for. */
const PATIENCE_MS = 10_000
const LOOK_EVERY_MS = 100

/** Goes on as if nobody had stopped it. */
export const useAfterStop: Scenario = {
  name: 'use-after-stop',
  title: 'Use after a stop',
  attack: 'Is stopped, and asks on: for new sessions, for the one it holds, for a grant.',
  play: async (stage, play) => {
    const { ask, token, operator, production, sandbox, agent: name, run } = stage
    const place = production ?? sandbox
    if (place === undefined) return void play.skipped.push('The agent has no environment to ask in.')
    if (operator === undefined)
      return void play.skipped.push('All of it: there is no token of an operator (--operator-token-file).')
    const agent = await token()
    const { environment, read, write } = place
    const asked = (session: string) =>
      credentials(ask, agent, { environment, scopes: [read], session: `${run}-${session}` })
    const wish = { environment, scopes: [write ?? read], reason: REASON, ticket: `${run}-stop` }

    await play.works('a session before the stop', asked('held'))
    await play.works('the same one handed out again', asked('held'))
    const opened = write === undefined ? undefined : await ask('POST', '/v1/grant-requests', agent, wish)
    const engaged = await play.works(
      `stopping ${name}`,
      ask('PUT', `/v1/stops/agent/${encodeURIComponent(name)}`, await operator(), { reason: REASON }),
    )
    if (engaged === undefined) return

    await play.refused('a new session', ['agent_stopped'], asked('new'))
    await play.refused('the session it holds, handed out again', ['agent_stopped'], asked('held'))
    const sdk = `/v1/aws/credentials/${encodeURIComponent(environment)}/${encodeURIComponent(read)}`
    await play.refused('as an SDK asks', ['agent_stopped'], ask('GET', sdk, agent))
    await play.refused(
      'asking for a grant',
      ['agent_stopped'],
      ask('POST', '/v1/grant-requests', agent, wish),
    )
    if (opened !== undefined && succeeded(opened)) {
      const waiting = await ask('GET', `/v1/grant-requests/${String(opened.body.id)}`, agent)
      play.found('the request that waited was taken back', waiting, waiting.body.state === 'withdrawn')
    }
    await denies(stage, await operator(), engaged.body as unknown as Stop, play)
  },
}

/** What becomes of the sessions that are out; written within seconds, or said as it is. */
async function denies({ ask }: Stage, operator: string, engaged: Stop, play: Play): Promise<void> {
  const began = performance.now()
  const path = `/v1/stops/${engaged.id}`
  let answer = await ask('GET', path, operator)
  const stopOf = (): Stop => answer.body as unknown as Stop
  while (
    succeeded(answer) &&
    stopOf().sessions.state === 'asked' &&
    performance.now() - began < PATIENCE_MS
  ) {
    await delay(LOOK_EVERY_MS)
    answer = await ask('GET', path, operator)
  }
  const { denies, sessions, engaged_at } = stopOf()
  play.found('its live sessions are denied in IAM', answer, sessions.state !== 'asked')
  const ms =
    sessions.written_at === null ? undefined : Date.parse(sessions.written_at) - Date.parse(engaged_at)
  play.notes.push(
    `${denies.written} of ${denies.asked} denies written${ms === undefined ? '' : `, the last ${ms} ms after the stop`}; presumed in effect ${sessions.presumed_at === null ? 'at no time known yet' : `at ${sessions.presumed_at}`}.`,
  )
}
