import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { WritError } from '../errors.js'
import type { Webhooks, WebhookView } from '../webhooks/start.js'
import { type AuthDeps, operatorsOnly } from './authenticate.js'
import { agentName } from './schemas.js'

export interface WebhookRouteDeps {
  readonly auth: AuthDeps
  readonly webhooks: Webhooks
  /** Throws when the record is not what was published. */
  readonly grants: { readonly assertTrusted: () => void }
}

const instant = z.string().nullable().describe('ISO 8601, UTC')

const webhookView = z.object({
  name: z.string(),
  origin: z.string().describe('Scheme, host and port it sends to'),
  kinds: z.array(z.string()).readonly(),
  personal: z.boolean().describe('Whether personal data is sent along'),
  state: z.enum(['new', 'current', 'behind', 'failing', 'disabled']),
  next_index: z.number().int().nullable().describe('Of the entry that is looked at next'),
  behind: z.number().int().nullable().describe('Entries from there to the head, of whatever kind'),
  attempts: z.number().int().describe('Failed ones in a row'),
  next_attempt_at: instant,
  failing_since: instant,
  last_failure: z.string().nullable(),
  last_success_at: instant,
  disabled_at: instant,
  disabled_why: z.string().nullable(),
})

/** Where the webhooks of the policy are, and what gets one going again. */
export const webhookRoutes: FastifyPluginAsyncZod<{ deps: WebhookRouteDeps }> = async (app, { deps }) => {
  const callerOf = operatorsOnly(app, deps.auth)
  const security = [{ operator: [] }]
  const params = z.object({ name: agentName })

  app.get(
    '/v1/webhooks',
    {
      config: { roles: ['security', 'operator'] },
      schema: {
        summary: 'Webhooks of the policy: how far each is, and what keeps it',
        tags: ['security'],
        security,
        response: { 200: z.object({ items: z.array(webhookView).readonly() }) },
      },
    },
    async () => ({ items: (await deps.webhooks.list()).map(shown) }),
  )

  app.post(
    '/v1/webhooks/:name/enable',
    {
      config: { roles: ['operator'] },
      schema: {
        summary:
          'Go on where a disabled webhook stopped, or try a failing one again now; nothing is left out',
        tags: ['operator'],
        security,
        params,
        response: { 200: webhookView },
      },
    },
    async (request) => {
      deps.grants.assertTrusted()
      const { name } = request.params
      const { operator } = callerOf(request)
      const view = known(await deps.webhooks.enable(name, operator.name))
      request.log.info({ webhook: name, operator: operator.name }, 'webhook enabled')
      return shown(view)
    },
  )

  app.post(
    '/v1/webhooks/:name/test',
    {
      config: { roles: ['operator'] },
      schema: {
        summary: 'Send an event of the type webhook.test once, and say what came of it',
        tags: ['operator'],
        security,
        params,
        response: { 200: z.object({ delivered: z.boolean(), failure: z.string().nullable() }) },
      },
    },
    async (request) => {
      const { name } = request.params
      const { delivered, failure = null } = known(await deps.webhooks.test(name))
      request.log.info(
        { webhook: name, operator: callerOf(request).operator.name, delivered },
        'webhook tested',
      )
      return { delivered, failure }
    },
  )
}

function known<T>(found: T | undefined): T {
  if (found === undefined) throw new WritError('not_found', 'There is no such webhook.')
  return found
}

function shown({ webhook, state }: WebhookView): z.output<typeof webhookView> {
  return {
    name: webhook.name,
    origin: new URL(webhook.url).origin,
    kinds: webhook.kinds,
    personal: webhook.personal,
    state: wordFor(state),
    next_index: state?.next_index ?? null,
    behind: state?.behind ?? null,
    attempts: state?.attempts ?? 0,
    next_attempt_at: state?.next_attempt_at ?? null,
    failing_since: state?.failing_since ?? null,
    last_failure: state?.last_failure ?? null,
    last_success_at: state?.last_success_at ?? null,
    disabled_at: state?.disabled_at ?? null,
    disabled_why: state?.disabled_why ?? null,
  }
}

function wordFor(state: WebhookView['state']) {
  if (state === undefined) return 'new'
  if (state.disabled_at !== null) return 'disabled'
  if (state.attempts > 0) return 'failing'
  return state.behind > 0 ? 'behind' : 'current'
}
