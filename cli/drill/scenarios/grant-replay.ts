import type { GrantRequest } from '../../api.js'
import { credentials, REASON, type Scenario } from '../play.js'

/** One authorisation, used for more than it says. */
export const grantReplay: Scenario = {
  name: 'grant-replay',
  title: 'Grant replay',
  attack: 'Uses a grant for one session of one agent twice, for more, and as another agent.',
  play: async ({ ask, token, twin, production, approver, run }, play) => {
    const { environment, read, write } = production ?? {}
    if (environment === undefined || read === undefined || write === undefined)
      return void play.skipped.push('Nothing of the agent needs a grant.')
    if (approver === undefined)
      return void play.skipped.push('All of it: only local mode has a key to approve the grant with.')
    const agent = await token()
    const asked = (session: string, scopes: readonly string[], bearer = agent) =>
      credentials(ask, bearer, { environment, scopes, session: `${run}-${session}` })

    const wish = {
      environment,
      scopes: [write],
      reason: REASON,
      ticket: `${run}-replay`,
      uses: 1,
      valid_for: 300,
    }
    const opened = await play.works(
      'asking for a grant for one session',
      ask('POST', '/v1/grant-requests', agent, wish),
    )
    if (opened === undefined) return
    const request = opened.body as unknown as GrantRequest
    await approver.approve(request)
    await play.works(`${approver.name} has granted it`, ask('GET', `/v1/grant-requests/${request.id}`, agent))

    await play.refused('with more scopes than were granted', ['grant_required'], asked('more', [read, write]))
    if (twin === undefined)
      play.skipped.push('Another agent’s grant: there is no token of a second drill agent.')
    else {
      const other = await twin()
      const path = `/v1/grant-requests/${request.id}`
      await play.refused('as another agent', ['grant_required'], asked('twin', [write], other))
      await play.refused('another agent reads the request', ['not_found'], ask('GET', path, other))
      await play.refused('another agent takes the request back', ['not_found'], ask('DELETE', path, other))
    }
    await play.works('the one session that was granted', asked('first', [write]))
    await play.refused('a second session', ['grant_used_up'], asked('second', [write]))
    const sdk = `/v1/aws/credentials/${encodeURIComponent(environment)}/${encodeURIComponent(write)}`
    await play.refused('a second session, as an SDK asks', ['grant_used_up'], ask('GET', sdk, agent))
  },
}
