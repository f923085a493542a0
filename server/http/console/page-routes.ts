import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { enrolPage } from '../../../web/pages/enrol.js'
import { keysPage } from '../../../web/pages/keys.js'
import { keyCode } from '../../audit/proofs/key-code.js'
import type { OperatorDeps } from '../../operators/deps.js'
import { listKeys } from '../../operators/keys.js'
import { listProposals } from '../../operators/vouching.js'
import { pageAssets } from './assets.js'
import type { ConsoleDeps } from './deps.js'
import { type FrameDeps, frameOf } from './frame.js'
import { READERS } from './request-routes.js'
import { consoleOnly, consoleOpen } from './session.js'

export interface PageRoutesDeps extends FrameDeps {
  readonly console: ConsoleDeps
  readonly operators: OperatorDeps
}

const hide = { hide: true } as object

/** The way in, and the page of one's own keys; what changes keys is key-routes.ts. */
export const pageRoutes: FastifyPluginAsyncZod<{ deps: PageRoutesDeps }> = async (app, { deps }) => {
  await app.register(openPages, { deps })
  await app.register(ownPages, { deps })
}

const openPages: FastifyPluginAsyncZod<{ deps: PageRoutesDeps }> = async (app, { deps }) => {
  consoleOpen(app, deps.console)

  // No session: this is how the first key comes in. The page holds no secret; the code is in the fragment.
  app.get('/console/enrol', { schema: hide }, async (_request, reply) => {
    const { notice } = deps.console
    const page = enrolPage({ assets: pageAssets(), ...(notice === undefined ? {} : { notice }) })
    return reply.type('text/html; charset=utf-8').send(page)
  })

  app.get('/console', { schema: hide }, async (_request, reply) => reply.redirect('/console/requests', 302))
}

const ownPages: FastifyPluginAsyncZod<{ deps: PageRoutesDeps }> = async (app, { deps }) => {
  const callerOf = consoleOnly(app, deps.console)

  app.get('/console/keys', { config: { roles: READERS }, schema: hide }, async (request, reply) => {
    const caller = callerOf(request)
    const [keys, proposals, sessions, frame] = await Promise.all([
      listKeys(deps.operators, caller.operator),
      listProposals(deps.operators, caller.operator),
      deps.console.sessions.list(caller.operator.name),
      frameOf(deps, caller),
    ])
    const page = keysPage({
      ...frame,
      keys,
      proposals: proposals.map((one) => ({ ...one, code: keyCode(one.public_key) })),
      sessions: sessions.map(({ id, method, createdAt, seenAt }) => ({
        id,
        method,
        createdAt,
        seenAt,
        current: id === caller.session.id,
      })),
    })
    return reply.type('text/html; charset=utf-8').send(page)
  })
}
