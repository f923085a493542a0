import type { Publishing } from '../audit/publish/publishing.js'
import type { Database } from '../db/pool.js'
import type { GrantDeps } from '../grants/request.js'
import type { CodeFlow } from '../identity/code-flow.js'
import type { IssueDeps } from '../issuance/issue.js'
import type { Metrics } from '../metrics.js'
import type { OperatorDeps } from '../operators/deps.js'
import type { DoctorDeps } from '../reach/doctor.js'
import type { RevocationDeps } from '../revocation/deps.js'
import type { Webhooks } from '../webhooks/start.js'
import type { AuthDeps } from './authenticate.js'
import type { ConsoleDeps } from './console/deps.js'
import type { PolicyInForce } from './console/integrity-routes.js'

/** What the routes need; handed in by `build.ts`. */
export interface HttpDeps {
  readonly auth: AuthDeps
  readonly issue: IssueDeps
  readonly grants: GrantDeps
  readonly operators: OperatorDeps
  readonly revocation: RevocationDeps
  readonly console: ConsoleDeps
  readonly codeFlow: CodeFlow
  readonly database: Database
  /** Absent on a replica that does not publish the log. */
  readonly publishing?: Publishing
  readonly webhooks: Webhooks
  readonly doctor: Omit<DoctorDeps, 'now'>
  readonly metrics: Metrics
  readonly ready: () => Promise<Readiness>
  readonly policyState: () => PolicyInForce
  /** Said in every credential answer of local mode. */
  readonly notice?: string
}

export interface Readiness {
  readonly ready: boolean
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail: string }>>
}
