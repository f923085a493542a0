import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { integrityPage, type PublishedLog, type WebhookSeen } from '../../../web/pages/integrity.js'
import type { Publishing } from '../../audit/publish/publishing.js'
import { logSize } from '../../audit/queries.js'
import { listEvents } from '../../audit/review/lists.js'
import type { Database } from '../../db/pool.js'
import type { Webhooks, WebhookView } from '../../webhooks/start.js'
import type { Readiness } from '../deps.js'
import { entryProof, publishedHead, publishingOf } from '../log-proofs.js'
import type { ConsoleDeps } from './deps.js'
import { type FrameDeps, frameOf } from './frame.js'
import { READERS } from './request-routes.js'
import { consoleOnly } from './session.js'
import { showPage } from './show.js'

/** What the policy of this replica is up to, as `PolicyHolder.state` says it. */
export interface PolicyInForce {
  readonly digest: string
  readonly loadedAt: Date
  readonly lastProblem?: { readonly at: Date; readonly problems: readonly unknown[] }
}

export interface IntegrityDeps extends FrameDeps {
  readonly console: ConsoleDeps
  readonly publishing?: Publishing
  readonly webhooks: Pick<Webhooks, 'list'>
  readonly ready: () => Promise<Readiness>
  readonly policyState: () => PolicyInForce
}

const DAY_MS = 86_400_000
const RECENT = 20

const index = z.coerce
  .number()
  .int()
  .min(0)
  .max(2 ** 48)

/** Whether the record can be believed, and what a browser needs to check it for itself. */
export const integrityPages: FastifyPluginAsyncZod<{ deps: IntegrityDeps }> = async (app, { deps }) => {
  const callerOf = consoleOnly(app, deps.console)
  const config = { roles: READERS }
  const schema = { hide: true }
  const since = new Date()

  app.get('/console/integrity', { config, schema }, async (request, reply) => {
    const { database } = deps
    const now = new Date()
    const [size, log, readiness, webhooks, starts, reloads, alarms, taken, frame] = await Promise.all([
      logSize(database),
      deps.publishing === undefined ? undefined : publishedLog(database, deps.publishing),
      deps.ready(),
      deps.webhooks.list(),
      recent(database, ['broker.started'], now, 1),
      recent(database, ['policy.loaded', 'policy.rejected'], now, 30),
      recent(database, ['alarm.raised'], now, 7),
      recent(database, ['log.exported', 'log.redacted', 'log.archived'], now, 30),
      frameOf(deps, callerOf(request)),
    ])
    const { digest, loadedAt, lastProblem } = deps.policyState()
    const body = integrityPage({
      now,
      size,
      log,
      since,
      ready: readiness.ready,
      checks: Object.entries(readiness.checks).map(([name, check]) => ({ name, ...check })),
      policy: {
        digest,
        loadedAt,
        problem:
          lastProblem === undefined
            ? undefined
            : { at: lastProblem.at, problems: lastProblem.problems.map(problemText) },
      },
      starts,
      reloads,
      alarms,
      taken,
      webhooks: webhooks.map(webhookSeen),
    })
    return showPage(reply, frame, { title: 'Integrity', section: 'integrity', body })
  })

  app.get('/console/log/checkpoint', { config, schema }, async () => {
    const { origin, size, note } = await publishedHead(publishingOf(deps))
    return { origin, size, note }
  })

  app.get('/console/log/key', { config, schema }, async () => {
    const { origin, verifierKey } = publishingOf(deps)
    return { origin, verifier_key: verifierKey }
  })

  app.get(
    '/console/log/proof/entry/:index',
    { config, schema: { ...schema, params: z.object({ index }) } },
    async (request) => entryProof(publishingOf(deps), request.params.index),
  )

  app.get(
    '/console/log/proof/entry/:index/file',
    { config, schema: { ...schema, params: z.object({ index }) } },
    async (request, reply) => {
      const { index } = request.params
      const { proof } = await entryProof(publishingOf(deps), index)
      return reply
        .type('text/plain; charset=utf-8')
        .header('content-disposition', `attachment; filename="entry-${index}.tlog-proof"`)
        .send(proof)
    },
  )
}

async function publishedLog(database: Database, publishing: Publishing): Promise<PublishedLog> {
  const { origin, verifierKey, checkpointer } = publishing
  const common = {
    origin,
    verifier_key: verifierKey,
    trouble: checkpointer.trouble(),
    failure: publishing.failure(),
    writing: checkpointer.writing(),
  }
  try {
    const { size, root, note } = await publishedHead(publishing)
    const rows = await database.query<{ at: Date }>(
      'SELECT at FROM writ.checkpoint WHERE origin = $1 AND size = $2',
      [origin, size],
    )
    const at = rows[0]?.at.toISOString() ?? null
    return { ...common, checkpoint: { size, root: root.toString('base64'), note, at }, unread: undefined }
  } catch (error) {
    // The page is for the hour in which something is wrong: it says what, and shows the rest.
    const unread = error instanceof Error ? error.message : 'It cannot be read.'
    return { ...common, checkpoint: undefined, unread }
  }
}

/** The newest entries of these kinds, of the last days. */
async function recent(database: Database, kinds: readonly string[], now: Date, days: number) {
  const since = new Date(now.getTime() - days * DAY_MS).toISOString()
  const pages = await Promise.all(
    kinds.map((kind) => listEvents(database, { kind, since }, { limit: RECENT })),
  )
  return pages
    .flatMap(({ items }) => items)
    .sort((a, b) => b.index - a.index)
    .slice(0, RECENT)
}

function problemText(problem: unknown): string {
  if (typeof problem !== 'object' || problem === null) return String(problem)
  const { file, line, code, message } = problem as Readonly<Record<string, unknown>>
  return `${file}:${line} ${code}: ${message}`
}

function webhookSeen({ webhook, state }: WebhookView): WebhookSeen {
  return {
    name: webhook.name,
    origin: new URL(webhook.url).origin,
    state: stateOf(state),
    behind: state?.behind ?? null,
    failing_since: state?.failing_since ?? null,
    last_failure: state?.last_failure ?? null,
    last_success_at: state?.last_success_at ?? null,
    disabled_at: state?.disabled_at ?? null,
  }
}

function stateOf(state: WebhookView['state']): WebhookSeen['state'] {
  if (state === undefined) return 'new'
  if (state.disabled_at !== null) return 'disabled'
  if (state.attempts > 0) return 'failing'
  return state.behind > 0 ? 'behind' : 'current'
}
