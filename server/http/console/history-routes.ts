import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import {
  FILTER_NAMES,
  type FilterValues,
  historyPath,
  PERIODS,
  type Period,
} from '../../../web/pages/filters.js'
import { type HistoryView, historyPage } from '../../../web/pages/history.js'
import { issuancePage } from '../../../web/pages/issuance.js'
import { killPanel } from '../../../web/pages/kill.js'
import { activityOf } from '../../audit/review/activity.js'
import type { IssuanceFilter } from '../../audit/review/filters.js'
import type { Database } from '../../db/pool.js'
import { WritError } from '../../errors.js'
import { findRevocation } from '../../revocation/issuances.js'
import type { PolicySet } from '../../types.js'
import { issuanceFilter } from '../review-schemas.js'
import { recordId } from '../schemas.js'
import type { ConsoleDeps } from './deps.js'
import { type FrameDeps, frameOf } from './frame.js'
import { searchOn, storyOf } from './history-facts.js'
import { READERS } from './request-routes.js'
import { consoleOnly } from './session.js'
import { showLater, showPage } from './show.js'
import { instantsOf } from './spans.js'

export interface HistoryDeps extends FrameDeps {
  readonly console: ConsoleDeps
}

const LIMIT = 50

/** As /v1/issuances takes it, strict: a filter that is misspelt and left out would show everything as if it matched. */
const query = z.strictObject({
  ...issuanceFilter,
  over: z.enum(PERIODS).optional(),
  before: z
    .string()
    .regex(/^\d{1,15}$/)
    .optional(),
})

/** Who was issued what, why, and on whose word. */
export const historyPages: FastifyPluginAsyncZod<{ deps: HistoryDeps }> = async (app, { deps }) => {
  const callerOf = consoleOnly(app, deps.console)
  const config = { roles: READERS }
  const schema = { hide: true }
  const { database } = deps

  app.get('/console/history', { config, schema }, async (request, reply) => {
    const asked = withoutEmpty(request.query)
    // A form without our module sends its empty fields too; the address to keep has none.
    if (Object.keys(asked).length < Object.keys(request.query as object).length)
      return reply.redirect(historyPath(asked), 303)
    const now = new Date()
    const caller = callerOf(request)
    const common = {
      filter: Object.fromEntries(
        FILTER_NAMES.flatMap((name) => (asked[name] === undefined ? [] : [[name, asked[name]]])),
      ),
      known: knownIn(caller.policySet),
      now,
    }
    const parsed = query.safeParse(asked)
    const shown = { title: 'History', section: 'history', modules: ['history'] } as const
    const page = async (view: Awaited<ReturnType<typeof found>>) => historyPage({ ...common, ...view })
    if (!parsed.success) {
      const body = historyPage({ ...common, ...refused(parsed.error) })
      return showPage(reply.code(422), await frameOf(deps, caller), { ...shown, body })
    }
    const body = found(database, parsed.data, now).then(page)
    // Should the frame fail first, nobody else waits for it, and a rejection unseen ends the process.
    body.catch(() => undefined)
    return showLater(request, reply, await frameOf(deps, caller), shown, body)
  })

  app.get(
    '/console/history/:issuance',
    { config, schema: { ...schema, params: z.object({ issuance: recordId }) } },
    async (request, reply) => {
      const now = new Date()
      const [story, kill, frame] = await Promise.all([
        storyOf(database, request.params.issuance, now),
        findRevocation(database, request.params.issuance),
        frameOf(deps, callerOf(request)),
      ])
      if (story === undefined) throw new WritError('not_found', 'There is no such issuance.')
      return showPage(reply, frame, {
        title: `Issuance ${request.params.issuance}`,
        section: 'history',
        body: issuancePage({ ...story, kill: kill && killPanel(kill, frame.viewer.roles, now) }),
        modules: ['proof', 'live', 'stop'],
        width: 'reading',
      })
    },
  )
}

type Asked = FilterValues & { readonly over?: Period; readonly before?: string }

function withoutEmpty(query: unknown): Asked {
  return Object.fromEntries(Object.entries(query as object).filter(([, value]) => value !== ''))
}

async function found(
  database: Database,
  { over, before, ...filter }: z.output<typeof query>,
  now: Date,
): Promise<Pick<HistoryView, 'over' | 'items' | 'next' | 'later' | 'full' | 'bars'>> {
  const { since, until, ...narrowing } = filter
  const [page, buckets] = await Promise.all([
    searchOn(database, filter, LIMIT, before === undefined ? undefined : Number(before)),
    activityOf(database, narrowing, instantsOf({ since, until, over: over ?? PERIODS[0] }, now)),
  ])
  return {
    over,
    items: page.items,
    next: page.next === null ? null : String(page.next),
    later: before !== undefined,
    full: page.items.length === LIMIT,
    bars: buckets.map((bucket) => ({
      ...bucket,
      href: historyPath({ ...said(narrowing), since: bucket.from, until: bucket.to }),
    })),
  }
}

const said = (filter: IssuanceFilter): FilterValues =>
  Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined))

function refused(error: z.ZodError) {
  const fields = error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `There is no such filter: ${issue.keys.filter((key) => /^[A-Za-z_]{1,30}$/.test(key)).join(', ')}`
      : `${issue.path.join('.')}: ${issue.message}`,
  )
  return {
    over: undefined,
    problem: { code: 'request_invalid', fields },
    items: [],
    next: null,
    later: false,
    full: false,
    bars: [],
  }
}

const knownIn = (policySet: PolicySet) => ({
  agents: [...policySet.agents.keys()].sort(),
  environments: [...policySet.environments.keys()].sort(),
  scopes: [...policySet.scopes.keys()].sort(),
})
