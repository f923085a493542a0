import type { Place } from './files.js'
import type { Findings } from './findings.js'
import type { IssuanceBook, KnownIssuance } from './issuances.js'
import type { MintDetails, TrailEvent } from './record.js'
import { roleKey } from './roles.js'

/**
 * How long after an intent AWS may still answer: three attempts, each cut off after the broker's timeout, with
 * room to spare. A session made later under an issuance's name was not made for it.
 */
const MINT_WINDOW_MS = 120_000

/** Who called, as well as the record says. */
export const callerOf = ({ who }: TrailEvent): string => who.arn ?? who.principalId ?? who.type ?? 'unknown'

/**
 * A session made, or refused, on one of Writ's roles. Answers the issuance that it is the recorded session of.
 */
export function judgeMint(
  event: TrailEvent,
  mint: MintDetails,
  book: IssuanceBook,
  findings: Findings,
  place: Place,
): KnownIssuance | undefined {
  const { sessionName: session, accessKeyId: access_key_id } = mint
  const caller = callerOf(event)
  const subject = { role: mint.roleArn, session, access_key_id }
  if (event.errorCode !== undefined) {
    findings.add(
      'refused_mint',
      { detail: `${event.errorCode}, asked by ${caller}.`, ...subject },
      event,
      place,
    )
    return undefined
  }
  const byKey = access_key_id === undefined ? undefined : book.byKey.get(access_key_id)
  const issuance = byKey ?? (session === undefined ? undefined : book.byId.get(session))
  if (issuance === undefined) {
    const detail = `Made by ${caller}; the record has neither its name nor its access key.`
    findings.add('unrecorded_mint', { detail, ...subject }, event, place)
    return undefined
  }
  const about = { ...subject, issuance: issuance.id, agent: issuance.agent }
  for (const detail of mintContradictions(mint, issuance)) {
    findings.add('contradiction', { detail, ...about }, event, place)
  }
  if (byKey !== undefined) return byKey
  const soon = Math.abs(event.at - issuance.at) <= MINT_WINDOW_MS
  if (!soon) {
    const detail = `Made by ${caller} under the name of issuance ${issuance.id}, but not when that was made, and with a key the record does not have.`
    findings.add('unrecorded_mint', { detail, ...about }, event, place)
    return undefined
  }
  if (issuance.state === 'issued' && access_key_id === undefined) return issuance
  const detail =
    issuance.state === 'issued'
      ? 'AWS made a second session for this issuance; it was not delivered.'
      : `The issuance is ${issuance.state}: AWS made the session, and it was not delivered.`
  findings.add('mint_undelivered', { detail, ...about }, event, place)
  return undefined
}

function mintContradictions(mint: MintDetails, issuance: KnownIssuance): readonly string[] {
  const found: string[] = []
  if (mint.sessionName !== undefined && mint.sessionName !== issuance.id) {
    found.push(
      `The access key is that of issuance ${issuance.id}, and the session was named ${mint.sessionName}.`,
    )
  }
  if (roleKey(mint.roleArn) !== issuance.roleKey) {
    found.push(
      `The issuance is on ${issuance.role}, and the session was made on ${mint.roleArn ?? 'another role'}.`,
    )
  }
  if (mint.sourceIdentity !== undefined && mint.sourceIdentity !== `${issuance.agent}+${issuance.id}`) {
    found.push(`The session was made with the source identity ${mint.sourceIdentity}.`)
  }
  const expected = [
    ['writ:issuance', issuance.id],
    ['writ:agent', issuance.agent],
    ['writ:environment', issuance.environment],
  ] as const
  for (const [key, value] of expected) {
    const tag = mint.tags.get(key)
    if (tag !== undefined && tag !== value) found.push(`The session was made with the tag ${key}=${tag}.`)
  }
  return found
}
