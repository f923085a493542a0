import type { GrantRequest } from '../../api.js'
import { type Answer, type Ask, succeeded } from '../http.js'
import { type Play, REASON, type Scenario } from '../play.js'
import type { Signer, Stage } from '../stage.js'

/** An agent that grants itself what it wants, alone or with a human who may not. */
export const selfApproval: Scenario = {
  name: 'self-approval',
  title: 'Self-approval',
  attack:
    'Shows its own token to every route of operators, and has its grant approved by its owner and by whom it acts for.',
  play: async (stage, play) => {
    await everyRoute(stage, play)
    const { ask, production, owner, approver, changed } = stage
    if (production?.write === undefined) return void play.skipped.push('Nothing of the agent needs a grant.')
    if (owner === undefined || approver === undefined || changed === undefined) {
      play.skipped.push(
        'Approval by the owner and by the human the agent acts for: only local mode has their keys.',
      )
      return
    }
    const agent = await changed({ human: await approver.alias() })
    const wish = {
      environment: production.environment,
      scopes: [production.write],
      reason: REASON,
      ticket: stage.run,
    }
    const opened = await play.works('asking for a grant', ask('POST', '/v1/grant-requests', agent, wish))
    if (opened === undefined) return
    const request = opened.body as unknown as GrantRequest
    await play.refused(
      'approved by the team that owns it',
      ['approver_is_owner'],
      approved(ask, request, owner),
    )
    await play.refused(
      'approved by the human it acts for',
      ['approver_is_beneficiary'],
      approved(ask, request, approver),
    )
    const after = await ask('GET', `/v1/grant-requests/${request.id}`, agent)
    play.found('the request still waits', after, after.body.state === 'pending')
    await ask('DELETE', `/v1/grant-requests/${request.id}`, agent)
  },
}

/** As far as the broker lets it come: to the challenge, or to the signature. */
async function approved(ask: Ask, { id }: GrantRequest, { token, sign, enrolled }: Signer): Promise<Answer> {
  const path = `/v1/grant-requests/${id}`
  const bearer = await token()
  await enrolled()
  const asked = await ask('POST', `${path}/challenge`, bearer, { decision: 'approve' })
  if (!succeeded(asked)) return asked
  const { challenge, document } = asked.body as { readonly challenge: string; readonly document: string }
  return ask('POST', `${path}/decisions`, bearer, { challenge, proof: await sign(document) })
}

type Operation = { readonly security?: readonly Readonly<Record<string, unknown>>[] }
interface OpenApi {
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

const METHODS = ['get', 'post', 'put', 'delete', 'patch']
/** The token is turned away before anything of the request is looked at. */
const TURNED_AWAY = ['token_audience', 'token_issuer_unknown', 'operator_unknown', 'token_signature']

async function everyRoute({ ask, token, agent }: Stage, play: Play): Promise<void> {
  const bearer = await token()
  const api = (await ask('GET', '/openapi.json')).body as OpenApi
  const routes = Object.entries(api.paths ?? {}).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(
        ([method, { security = [] }]) =>
          METHODS.includes(method) && security.some((one) => 'operator' in one),
      )
      .map(([method]) => ({ method: method.toUpperCase(), path })),
  )
  const filled = (path: string): string =>
    path
      .replace('{kind}', 'agent')
      .replace('{name}', agent)
      .replace('{*}', agent)
      .replace(/\{index\}/, '0')
      .replace(/\{[^}]+\}/g, '000000000000')
  let last: Answer | undefined
  for (const { method, path } of routes) {
    const answer = await ask(method, filled(path), bearer, method === 'GET' ? undefined : {})
    last = answer
    if (!TURNED_AWAY.includes(answer.code ?? '')) {
      await play.refused(`the operators’ route ${method} ${path}`, TURNED_AWAY, Promise.resolve(answer))
    }
  }
  const what = `its own token at all ${routes.length} routes of operators`
  if (last === undefined) play.skipped.push('/openapi.json names no route of operators.')
  else await play.refused(what, TURNED_AWAY, Promise.resolve(last))
}
