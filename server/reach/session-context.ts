import type { RequestContext } from '../policy/evaluate.js'
import { lowered } from './witness.js'

export interface SessionSubject {
  readonly roleArn: string
  readonly agent: string
  readonly environment: string
  readonly region: string
  readonly now: Date
  /** An address inside the blocks that sessions are bound to. */
  readonly address?: string | undefined
}

/**
 * What AWS would know of a call made with a session of ours, keys in lower case (IAM User Guide, "AWS global
 * condition context keys"). Of the resource nothing is known, but that it lies in the role's account.
 */
export function sessionContext(subject: SessionSubject): RequestContext {
  const { roleArn, agent, environment, region, now, address = '192.0.2.10' } = subject
  const account = roleArn.split(':')[4] ?? ''
  const instant = `${now.toISOString().slice(0, 19)}Z`
  return lowered({
    'aws:CurrentTime': [instant],
    'aws:EpochTime': [String(Math.floor(now.getTime() / 1000))],
    'aws:TokenIssueTime': [instant],
    'aws:SourceIp': [address],
    'aws:RequestedRegion': [region],
    'aws:ViaAWSService': ['false'],
    'aws:SecureTransport': ['true'],
    'aws:PrincipalArn': [roleArn],
    'aws:PrincipalAccount': [account],
    'aws:ResourceAccount': [account],
    'aws:SourceIdentity': [`${agent}+000000000000`],
    'aws:PrincipalTag/writ:agent': [agent],
    'aws:PrincipalTag/writ:environment': [environment],
    'aws:PrincipalTag/writ:issuance': ['000000000000'],
  })
}
