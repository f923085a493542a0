import ipaddr from 'ipaddr.js'
import type { Place } from './files.js'
import type { Findings } from './findings.js'
import type { KnownIssuance } from './issuances.js'
import { contradictions, type Marks } from './join.js'
import type { TrailEvent } from './record.js'

/** CloudTrail's clock and the record's, and a call under way when its session ends. */
const CLOCK_MS = 60_000

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
  if (event.errorCode !== undefined) return
  const sts = event.source === 'sts.amazonaws.com'
  if (sts && MAKES_SESSION.test(event.name)) {
    const detail = `${event.name} succeeded; the new session is not narrowed by Writ.`
    findings.add('chained', { detail, ...about }, event, place)
  }
  // No policy can deny GetCallerIdentity (STS API Reference), so that it works proves nothing.
  if (sts && event.name === 'GetCallerIdentity') return
  if (issuance.end !== undefined && event.at > issuance.end + CLOCK_MS) {
    const detail = `The session ended at ${new Date(issuance.end).toISOString()}.`
    findings.add('after_end', { detail, ...about }, event, place)
  } else if (event.at < issuance.at - CLOCK_MS) {
    const detail = `The issuance was decided at ${new Date(issuance.at).toISOString()}, after the call.`
    findings.add('after_end', { detail, ...about }, event, place)
  }
  if (issuance.revokedAt !== undefined && event.at > issuance.revokedAt) {
    const detail = `Grant ${issuance.grant ?? '?'} was revoked at ${new Date(issuance.revokedAt).toISOString()}.`
    findings.add('after_revocation', { detail, ...about }, event, place)
  }
  if (outside(event, issuance.cidrs)) {
    const detail = `The session is bound to ${issuance.cidrs?.join(', ') ?? '?'}.`
    findings.add('other_network', { detail, ...about }, event, place)
  }
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
