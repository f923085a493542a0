import { randomBytes } from 'node:crypto'
import { localBuckets, localRoles } from '../../local-aws/from-policy.js'
import { type LocalAws, startLocalAws } from '../../local-aws/server.js'
import type { StsSettings } from '../aws/sts.js'
import type { PolicySet } from '../types.js'

/** The broker's own account in local mode: no environment's, as it should be in production. */
const BROKER_ACCOUNT = '999900001111'
const BROKER_ARN = `arn:aws:iam::${BROKER_ACCOUNT}:user/writ-broker`

/** A local AWS with the roles and buckets of a policy set, and what the broker needs to call it. */
export async function openLocalAws(policySet: PolicySet): Promise<{
  readonly localAws: LocalAws
  readonly settings: Pick<StsSettings, 'endpoint' | 'credentials'>
}> {
  const broker = {
    account: BROKER_ACCOUNT,
    accessKeyId: `AKIA${randomBytes(10).toString('hex').slice(0, 16).toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64'),
  }
  const localAws = await startLocalAws({
    roles: localRoles(policySet, BROKER_ARN),
    buckets: localBuckets(policySet),
    broker,
  })
  return { localAws, settings: { endpoint: localAws.url, credentials: broker } }
}

/** After a reload: what the documents say of roles is so at once. */
export function refreshRoles(localAws: LocalAws, policySet: PolicySet): void {
  for (const role of localRoles(policySet, BROKER_ARN)) localAws.putRole(role)
}
