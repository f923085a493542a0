import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import type { SshProof } from '../server/audit/proofs/document.js'
import { sshProblem } from '../server/audit/proofs/ssh.js'
import type { Decided, GrantRequest } from './api.js'
import type { BrokerClient } from './client.js'
import {
  type ChallengeAnswer,
  type CheckedDecision,
  checkDocument,
  type DecisionWish,
} from './decision-document.js'
import { linkTo, readRequest, sayLink, sayOutcome, waitUntilDecided } from './decision-link.js'
import { CliError, EXIT, usageError } from './exit.js'
import { type BrokerOptions, connect } from './options.js'
import { answer, clean, note } from './output.js'
import { showDecision } from './show-grant.js'
import { findKeyFile, readKeyFile, type SshKeyFile, sshSign } from './ssh-sign.js'

export interface DecideOptions extends BrokerOptions {
  readonly key?: string
  readonly comment?: string
  readonly breakGlass?: boolean
  readonly wait?: boolean
}

/**
 * Decides with a FIDO2 key that is here, or says where to decide with one that is not. What is shown, what is signed
 * and what the broker has are compared on this side first.
 */
export async function decideWithKey(
  id: string,
  decision: 'approve' | 'deny',
  options: DecideOptions,
): Promise<void> {
  const wish = wishOf(decision, options)
  const { broker, target } = connect('operator', options)
  const request = await readRequest(broker, id)
  if (request.state !== 'pending') {
    if (options.wait !== true) throw closed(request)
    const outcome = sayOutcome(request, decision)
    return answer(options, request, () => outcome)
  }
  const given = options.key === undefined ? undefined : await readKeyFile(options.key)
  if (given !== undefined) assertTerminal()
  const asked = performance.now()
  const challenge = await askChallenge(broker, request.id, wish)
  const checked = challenge && checkDocument(challenge, request, wish)
  const mine = new Set(challenge?.keys.filter(({ kind }) => kind === 'ssh-sk').map((key) => key.id))
  if (given !== undefined && !mine.has(given.key_id)) throw notEnrolled(given, checked)
  const key = given ?? (onTerminal() ? await findKeyFile(mine) : undefined)
  if (key === undefined || challenge === undefined || checked === undefined) {
    const link = linkTo(checked?.document.origin ?? target.url, request)
    return elsewhere(broker, request, decision, options, link, checked?.document.approver)
  }

  note(showDecision(checked, request, options.comment))
  await confirmByTyping(decision === 'approve' ? checked.document.agent : 'deny', decision)
  const signature = await signed(key, challenge, checked, asked)
  const path = `/v1/grant-requests/${encodeURIComponent(request.id)}/decisions`
  const decided = await broker.send<Decided>('POST', path, {
    challenge: challenge.challenge,
    proof: { kind: 'ssh-sk', key_id: key.key_id, signature },
  })
  answer(options, decided, () => sayDecided(request.id, decided))
}

export function sayDecided(id: string, { state, grant_id, approvals }: Decided): string {
  if (grant_id !== null) return `Request ${id} is granted: grant ${grant_id}.`
  if (state === 'denied') return `Request ${id} is denied.`
  const counted = approvals === 1 ? 'one approval' : `${approvals} approvals`
  return `Request ${id} is ${state}, with ${counted}; somebody else has to approve too.`
}

function wishOf(decision: 'approve' | 'deny', { comment, breakGlass }: DecideOptions): DecisionWish {
  if (breakGlass === true && comment === undefined) {
    throw usageError(
      'Breaking glass needs a reason.',
      'Give it with --comment: it is recorded, and reviewed.',
    )
  }
  return {
    decision,
    ...(comment === undefined ? {} : { comment }),
    ...(breakGlass === undefined ? {} : { breakGlass }),
  }
}

/** Undefined for an operator without any key: who they are, and how to get one, the console tells them. */
async function askChallenge(
  broker: BrokerClient,
  id: string,
  wish: DecisionWish,
): Promise<ChallengeAnswer | undefined> {
  const { decision, comment, breakGlass } = wish
  try {
    return await broker.send<ChallengeAnswer>(
      'POST',
      `/v1/grant-requests/${encodeURIComponent(id)}/challenge`,
      {
        decision,
        ...(comment === undefined ? {} : { comment }),
        ...(breakGlass === undefined ? {} : { break_glass: breakGlass }),
      },
    )
  } catch (error) {
    if (error instanceof CliError && error.problem.code === 'key_unknown') return undefined
    throw error
  }
}

/** Checked here as the broker will: somebody at the key learns at once what was wrong. */
async function signed(
  key: SshKeyFile,
  { document: text }: ChallengeAnswer,
  { document }: CheckedDecision,
  asked: number,
): Promise<string> {
  // As long as the broker gave, by its own clock: this machine's may be wrong.
  const given = Date.parse(document.expires_at) - Date.parse(document.issued_at)
  const signature = await sshSign(key, text, given - (performance.now() - asked))
  const { public_key, key_id } = key
  const proof: SshProof = { kind: 'ssh-sk', document: text, key_id, public_key, signature }
  const problem = sshProblem(proof)
  if (problem === undefined) return signature
  throw new CliError(EXIT.refused, {
    title: 'Signature not usable',
    code: 'signature_invalid',
    detail: `${problem} Nothing was decided.`,
    next: 'See docs/terminal.md for keys that will do.',
  })
}

async function elsewhere(
  broker: BrokerClient,
  request: GrantRequest,
  decision: 'approve' | 'deny',
  options: DecideOptions,
  link: ReturnType<typeof linkTo>,
  approver: string | undefined,
): Promise<void> {
  if (options.wait !== true) {
    answer(options, { ...link, state: request.state }, () => sayLink(link))
    // Whoever goes on only after an approval must not go on now.
    process.exitCode = EXIT.needsGrant
    return
  }
  note(sayLink(link))
  const decided = await waitUntilDecided(broker, request.id, approver)
  const outcome = sayOutcome(decided, decision)
  answer(options, decided, () => outcome)
}

const onTerminal = (): boolean => process.stdin.isTTY && process.stderr.isTTY

function assertTerminal(): void {
  if (onTerminal()) return
  throw usageError(
    'There is no terminal to show this on and to confirm it.',
    'There is no --yes for this: whatever could give it could also decide without you. Leave --key out for a link to decide on another device.',
  )
}

/** A word, not Enter or `y`: nobody types an agent's name into the wrong window. */
async function confirmByTyping(word: string, decision: 'approve' | 'deny'): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const what = decision === 'approve' ? `the agent's name to approve` : `"deny" to deny`
    // The end of input, or Ctrl-C, would leave the question open for ever.
    const left = once(terminal, 'close').then(() => '')
    const said = await Promise.race([terminal.question(`\nType ${what}, then use your key: `), left])
    if (said.trim() !== word) throw usageError('That is not it. Nothing was decided.')
  } finally {
    terminal.close()
  }
}

const closed = (request: GrantRequest): CliError =>
  new CliError(EXIT.request, {
    title: 'Request already decided',
    code: 'request_closed',
    status: 409,
    detail: `Request ${request.id} is ${request.state}.`,
    next: `See it: writ grants show ${request.id}`,
  })

function notEnrolled({ path, key_id }: SshKeyFile, checked: CheckedDecision | undefined): CliError {
  const whose = checked === undefined ? 'yours' : `enrolled for ${clean(checked.document.approver)}`
  return new CliError(EXIT.refused, {
    title: 'Key unknown',
    code: 'key_unknown',
    detail: `The key ${key_id} is not ${whose}.`,
    next: `Propose it: writ keys add --ssh ${path.replace(/(\.pub)?$/, '.pub')}`,
  })
}
