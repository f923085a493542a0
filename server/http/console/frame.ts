import type { Assets, Notice, Viewer } from '../../../web/layout.js'
import type { Publishing } from '../../audit/publish/publishing.js'
import type { Database } from '../../db/pool.js'
import { pendingReviews } from '../../grants/break-glass.js'
import { pageAssets } from './assets.js'
import type { ConsoleCaller } from './caller.js'
import type { ConsoleDeps } from './deps.js'
import { stoppedNotice } from './stopped.js'

export interface FrameDeps {
  readonly console: Pick<ConsoleDeps, 'notice'>
  readonly database: Database
  readonly publishing?: Pick<Publishing, 'checkpointer'>
}

/** What stands around every page of somebody who is signed in. */
export interface Frame {
  readonly assets: Assets
  readonly viewer: Viewer
  readonly notices: readonly Notice[]
  readonly now: Date
}

/** Says first what makes everything else doubtful: an untrusted record, then what is stopped, break-glass, local mode. */
export async function frameOf(deps: FrameDeps, caller: ConsoleCaller): Promise<Frame> {
  const notices: Notice[] = []
  if (deps.publishing?.checkpointer.trouble() !== undefined) {
    const text =
      'The record is not what was published: nothing is issued or granted until somebody has looked.'
    notices.push({ tone: 'danger', text, href: '/console/integrity' })
  }
  const [stopped, reviews] = await Promise.all([stoppedNotice(deps.database), pendingReviews(deps.database)])
  if (stopped !== undefined) notices.push(stopped)
  if (reviews.length > 0) {
    const who = [...new Set(reviews.map(({ operator, environment }) => `${operator} in ${environment}`))]
    const overdue = reviews.some((review) => review.overdue) ? ' A review is overdue.' : ''
    const text = `Break-glass was used by ${who.slice(0, 3).join(', ')} and waits for somebody else to review it.${overdue}`
    notices.push({ tone: 'danger', text, href: '/console/grants#reviews' })
  }
  if (deps.console.notice !== undefined) notices.push({ tone: 'info', text: deps.console.notice })
  const { operator, session } = caller
  return {
    viewer: { operator: operator.name, roles: [...operator.roles], csrf: session.csrf },
    notices,
    assets: pageAssets(),
    now: new Date(),
  }
}
