import type { Sessions } from '../../operators/sessions.js'
import type { AuthDeps } from '../authenticate.js'

/** What every route of the console needs; handed in by `build.ts`. */
export interface ConsoleDeps {
  readonly auth: Pick<AuthDeps, 'policySet' | 'record'>
  readonly sessions: Sessions
  /** Where browsers reach the console, such as `https://writ.example.com`: no path, no slash at the end. */
  readonly origin: () => string
  /** Said on top of every page in local mode. */
  readonly notice?: string
}
