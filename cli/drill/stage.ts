import { randomBytes } from 'node:crypto'
import { challengeOf } from '../../server/audit/proofs/document.js'
import type { GrantRequest, WhoAmI } from '../api.js'
import { type BrokerClient, connectTo } from '../client.js'
import { clientEnvironment } from '../environment.js'
import { usageError } from '../exit.js'
import { localKey, signAndSend } from '../local-key.js'
import { loadPolicies } from '../policies.js'
import { findTarget, type TargetOptions } from '../target.js'
import { findToken } from '../token.js'
import { type Ask, askAt, succeeded } from './http.js'
import { localToken, type TokenChange } from './tokens.js'

export interface DrillOptions extends TargetOptions {
  readonly agent: string
  readonly tokenFile?: string
  readonly twinTokenFile?: string
  readonly operatorTokenFile?: string
  readonly readerTokenFile?: string
  /** Names of operators, local mode only. */
  readonly approver: string
  readonly owner: string
  readonly reader: string
}

/** Who can sign, in local mode only. */
export interface Signer {
  readonly name: string
  readonly token: () => Promise<string>
  /** Another name that they go by in agents' tokens; their own where they have none. */
  readonly alias: () => Promise<string>
  /** Makes the key and enrols it, where that is not done yet. */
  readonly enrolled: () => Promise<unknown>
  readonly approve: (request: GrantRequest) => Promise<unknown>
  /** A proof over a challenge's document. */
  readonly sign: (document: string) => Promise<object>
}

/** What a drill has to play with; absent is what there is no token for. */
export interface Stage {
  readonly url: string
  readonly ask: Ask
  readonly agent: string
  /** A label of this run's own: no session of an earlier one is handed out again. */
  readonly run: string
  readonly policyDigest: string
  readonly token: () => Promise<string>
  readonly changed?: (change: TokenChange) => Promise<string>
  readonly twin?: () => Promise<string>
  /** May stop an agent. */
  readonly operator?: () => Promise<string>
  /** May read the record. */
  readonly reader?: BrokerClient
  readonly approver?: Signer
  /** Of the team that owns the drill agent. */
  readonly owner?: Signer
  readonly production?: Place
  readonly sandbox?: Place
}

export interface Place {
  readonly environment: string
  /** Without a human. */
  readonly read: string
  /** In production with a grant. */
  readonly write: string | undefined
  /** Sessions a minute. */
  readonly limit: number
}

/**
 * Looks at the broker and at what tokens there are: those of the local issuer with nothing said, else files. Throws
 * `CliError` where the token is not the drill agent's: no other agent is ever played with.
 */
export async function openStage(options: DrillOptions): Promise<Stage> {
  const env = clientEnvironment()
  const target = findTarget(options, env)
  const ask = askAt(target.url)
  const { local } = target
  const minted = (name: string) =>
    local === undefined ? undefined : findToken('agent', { as: name }, env, target).read
  const file = (tokenFile: string | undefined) =>
    tokenFile === undefined ? undefined : findToken('operator', { tokenFile }, env, target)
  const as = (name: string) =>
    local === undefined ? undefined : findToken('operator', { as: name }, env, target)
  const token =
    options.tokenFile === undefined
      ? (minted(options.agent) ?? findToken('agent', {}, env, target).read)
      : findToken('agent', { tokenFile: options.tokenFile }, env, target).read

  const me = await whoAmI(ask, await token(), options.agent)
  const twin = file(options.twinTokenFile)?.read ?? minted(`${options.agent}-twin`)
  const operator = (file(options.operatorTokenFile) ?? as(options.approver))?.read
  const reader = file(options.readerTokenFile) ?? as(options.reader)
  const signer = (name: string): Signer | undefined => {
    const source = as(name)
    if (source === undefined || local === undefined) return undefined
    const broker = connectTo(target, source)
    const key = () => localKey(local.dataDir, local.consoleUrl, name, broker)
    return {
      name,
      token: source.read,
      alias: async () => {
        const { operators } = await loadPolicies(local.policies)
        return [...(operators.get(name)?.alsoKnownAs ?? [])].find((other) => other !== name) ?? name
      },
      enrolled: key,
      approve: async (request) => signAndSend(broker, await key(), request, { decision: 'approve' }),
      sign: async (document) => (await key()).sign(challengeOf(document)),
    }
  }
  return given({
    url: target.url,
    ask,
    agent: me.agent,
    run: `drill-${randomBytes(4).toString('hex')}`,
    policyDigest: me.policy_digest,
    token,
    changed:
      local === undefined || options.tokenFile !== undefined
        ? undefined
        : (change: TokenChange) => localToken(local, options.agent, change),
    twin,
    operator,
    reader: reader === undefined ? undefined : connectTo(target, reader),
    approver: signer(options.approver),
    owner: signer(options.owner),
    production: placeOf(me, 'production'),
    sandbox: placeOf(me, 'sandbox'),
  })
}

type Optional<T> = { [K in keyof T]: T[K] | undefined }

/** Without what is undefined. */
const given = (stage: Optional<Stage>): Stage =>
  Object.fromEntries(Object.entries(stage).filter(([, value]) => value !== undefined)) as unknown as Stage

async function whoAmI(ask: Ask, token: string, agent: string): Promise<WhoAmI> {
  const answer = await ask('GET', '/v1/whoami', token)
  if (!succeeded(answer)) {
    throw usageError(
      `The broker does not know the drill agent (${answer.code}).`,
      `Add an agent document ${agent} as docs/drill.md has it.`,
    )
  }
  const me = answer.body as unknown as WhoAmI
  if (me.agent === agent) return me
  throw usageError(
    `The token is that of ${me.agent}, not of ${agent}: a drill stops its agent and uses its grants up.`,
    'Give a token of the drill agent, or its name with --agent.',
  )
}

interface Limited {
  readonly limits?: { readonly issuances_per_minute?: { readonly most?: number } }
}

function placeOf({ environments }: WhoAmI, tier: string): Place | undefined {
  const place = environments.find((one) => one.tier === tier)
  const read = place?.scopes.find(({ needs_grant, possible }) => possible && !needs_grant)
  if (place === undefined || read === undefined) return undefined
  const write = place.scopes.find(({ scope, needs_grant, possible }) =>
    tier === 'production' ? possible && needs_grant : possible && scope !== read.scope,
  )
  const limit = (place as Limited).limits?.issuances_per_minute?.most ?? 60
  return { environment: place.environment, read: read.scope, write: write?.scope, limit }
}
