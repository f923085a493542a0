import { succeeded } from '../http.js'
import { credentials, type Scenario } from '../play.js'

/** A loop that takes all it can get. */
export const velocityBurst: Scenario = {
  name: 'velocity-burst',
  title: 'Velocity burst',
  attack: 'Asks for session after session as fast as it can.',
  play: async ({ ask, token, sandbox, run }, play) => {
    if (sandbox === undefined) return void play.skipped.push('The agent has no sandbox environment.')
    const { environment, read, limit } = sandbox
    const agent = await token()
    const asked = (n: number) =>
      credentials(ask, agent, { environment, scopes: [read], session: `${run}-burst-${n}` })
    let issued = 0
    let answer = await asked(0)
    while (succeeded(answer) && issued <= limit) {
      issued += 1
      answer = await asked(issued)
    }
    play.notes.push(`${issued} sessions were issued before; ${limit} a minute are allowed.`)
    await play.refused(`session ${issued + 1} within a minute`, ['over_limit'], Promise.resolve(answer))
    await play.refused('once more at once', ['over_limit'], asked(issued + 1))
  },
}
