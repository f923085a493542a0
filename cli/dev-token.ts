import type { Agent, IdentityMatch, Operator, PolicySet } from '../server/types.js'
import { LOCAL_ISSUER } from '../server/types.js'
import { CliError, EXIT, usageError } from './exit.js'

export interface DevTokenRequest {
  readonly kind: 'agent' | 'operator'
  readonly name: string
  readonly dataDir: string
  readonly policies: string
  /** Default 900. */
  readonly ttlSeconds?: number
  /** The human the agent acts for, in the claim that the issuer document names. */
  readonly human?: string
  readonly claims?: Readonly<Record<string, string>>
}

/**
 * A token of the local issuer, made offline: the audience is its issuer document's, and each claim that the
 * agent's or operator's matchers want gets a value they accept. An operator's token has signed in just now.
 *
 * The policy parts are loaded only here: a client's verbs start without them.
 */
export async function mintDevToken(request: DevTokenRequest): Promise<string> {
  const [{ loadLocalIssuer }, { loadPolicies }] = await Promise.all([
    import('../server/identity/local-issuer.js'),
    import('./policies.js'),
  ])
  const policySet = await loadPolicies(request.policies)
  const named = nameIn(policySet, request)
  if (named.identity.issuer !== LOCAL_ISSUER) {
    throw usageError(
      `The identity of ${request.name} comes from ${named.identity.issuer}, not from the local issuer.`,
      `Only tokens of ${LOCAL_ISSUER} can be made here.`,
    )
  }
  const side = request.kind === 'agent' ? 'agents' : 'operators'
  const trusted = policySet.issuers.find((one) => one.issuer === LOCAL_ISSUER && one.for === side)
  if (trusted === undefined) throw usageError(`The policy set has no local issuer for ${side}.`)
  if (request.human !== undefined && trusted.human === undefined) {
    throw usageError(
      'The issuer document names no claim for the human an agent acts for, so a token cannot say one.',
      'Add `human:` to the issuer document.',
    )
  }
  const { sub, ...claims } = {
    sub: `${request.kind}:${request.name}`,
    ...matching(named.identity, request.name),
    ...(request.human === undefined || trusted.human === undefined
      ? {}
      : { [trusted.human.claim]: request.human }),
    ...request.claims,
  }
  const now = new Date()
  const issuer = await loadLocalIssuer(request.dataDir)
  return issuer.sign({
    subject: sub,
    audience: trusted.audience,
    ttlSeconds: request.ttlSeconds ?? Math.min(900, trusted.maxTokenLifeSeconds),
    claims,
    ...(request.kind === 'operator' ? { authTime: now } : {}),
  })
}

function nameIn(policySet: PolicySet, { kind, name, policies }: DevTokenRequest): Agent | Operator {
  const all = kind === 'agent' ? policySet.agents : policySet.operators
  const found = all.get(name)
  if (found !== undefined) return found
  throw new CliError(EXIT.request, {
    title: 'Not in the policy set',
    code: 'not_found',
    detail: `There is no ${kind} ${name} in ${policies}.`,
    next: `There is: ${[...all.keys()].join(', ') || 'none'}.`,
  })
}

/** A value for each claim that a matcher wants. */
function matching({ claims }: IdentityMatch, name: string): Record<string, string | string[]> {
  const values: Record<string, string | string[]> = {}
  for (const [claim, matcher] of claims) {
    if (matcher.kind === 'equals') values[claim] = matcher.value
    else if (matcher.kind === 'in') values[claim] = matcher.values[0] ?? ''
    else if (matcher.kind === 'has') values[claim] = [matcher.value]
    else values[claim] = `${matcher.value}${name}`
  }
  return values
}
