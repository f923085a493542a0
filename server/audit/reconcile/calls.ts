import ipaddr from 'ipaddr.js'
import type { Place } from './files.js'
import type { Findings } from './findings.js'
import type { KnownIssuance } from './issuances.js'
import { contradictions, type Marks } from './join.js'
import type { TrailEvent } from './record.js'
import { isDenied } from './usage.js'

/** CloudTrail's clock and the record's, and a call under way when its session ends. */
const CLOCK_MS = 60_000

/** IAM is eventually consistent and names no bound; docs/containment.md presumes a Deny in effect after this. */
const DENY_HOLDS_MS = 60_000

/** Calls that hand out another session: a red line for every agent. */
const MAKES_SESSION = /^(AssumeRole|AssumeRoot|GetFederationToken|GetSessionToken)/

/** Judges a call that was joined to an issuance by its key or by the name of its session. */
export function judgeCall(
  event: TrailEvent,
  marks: Marks,
  issuance: KnownIssuance,
  findings: Findings,
  place: Place,
): void {
  const { who } = event
  const about = {
    issuance: issuance.id,
    agent: issuance.agent,
    role: who.roleArn ?? issuance.role,
    session: marks.session,
    access_key_id: who.accessKeyId,
  }
  for (const detail of contradictions(event, marks, issuance)) {
    findings.add('contradiction', { detail, ...about }, event, place)
  }
  if (issuance.state !== 'issued') {
    const detail = `The record says that the issuance is ${issuance.state}: its credentials were given to nobody.`
    findings.add('undelivered_used', { detail, ...about }, event, place)
  }
  const late = toldToDie(issuance, event.at)
  if (late !== undefined && isDenied(event)) {
    findings.add('refused_after_stop', { detail: late.why, ...about }, event, place)
  }
  if (event.errorCode !== undefined) return
  const sts = event.source === 'sts.amazonaws.com'
  if (sts && MAKES_SESSION.test(event.name)) {
    const detail = `${event.name} succeeded; the new session is not narrowed by Writ.`
    findings.add('chained', { detail, ...about }, event, place)
  }
  // No policy can deny GetCallerIdentity (STS API Reference), so that it works proves nothing.
  if (sts && event.name === 'GetCallerIdentity') return
  if (issuance.end !== undefined && event.at > issuance.end + CLOCK_MS) {
    const detail = `The session ended at ${said(issuance.end)}.`
    findings.add('after_end', { detail, ...about }, event, place)
  } else if (event.at < issuance.at - CLOCK_MS) {
    const detail = `The issuance was decided at ${said(issuance.at)}, after the call.`
    findings.add('after_end', { detail, ...about }, event, place)
  }
  if (issuance.deniedAt !== undefined && event.at > issuance.deniedAt + DENY_HOLDS_MS + CLOCK_MS) {
    const detail = `IAM had the Deny at ${said(issuance.deniedAt)}: somebody took it away, or it does not hold.`
    findings.add('after_deny', { detail, ...about }, event, place)
  } else if (late !== undefined) {
    findings.add(late.kind, { detail: late.why, ...about }, event, place)
  }
  if (outside(event, issuance.cidrs)) {
    const detail = `The session is bound to ${issuance.cidrs?.join(', ') ?? '?'}.`
    findings.add('other_network', { detail, ...about }, event, place)
  }
}

const said = (at: number): string => new Date(at).toISOString()

/** Why the session should not have been used any more at this instant, where there is a reason. */
export function toldToDie(
  { stop, revoked }: KnownIssuance,
  at: number,
): { readonly kind: 'after_stop' | 'after_revocation'; readonly why: string } | undefined {
  if (stop !== undefined && at > stop.at)
    return { kind: 'after_stop', why: `Stop ${stop.id} was engaged at ${said(stop.at)}.` }
  if (revoked !== undefined && at > revoked.at)
    return { kind: 'after_revocation', why: `Revoked with ${revoked.by} at ${said(revoked.at)}.` }
  return undefined
}

/** Calls by AWS services carry the service's name for an address, and the fence spares them as well. */
function outside({ sourceIp, who }: TrailEvent, cidrs: readonly string[] | undefined): boolean {
  if (cidrs === undefined || sourceIp === undefined || who.invokedBy !== undefined) return false
  if (!ipaddr.isValid(sourceIp)) return false
  const address = ipaddr.process(sourceIp)
  return !cidrs.some((cidr) => {
    if (!ipaddr.isValidCIDR(cidr)) return false
    const [network, bits] = ipaddr.parseCIDR(cidr)
    return network.kind() === address.kind() && address.match(network, bits)
  })
}
