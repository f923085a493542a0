import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { consistencyProof, inclusionProof } from '../audit/merkle/proof.js'
import { parseTilePath, tileHashes } from '../audit/merkle/tiles.js'
import { exportEntries, logSize, logStart } from '../audit/queries.js'
import { WritError } from '../errors.js'
import { operatorsOnly } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { entryProof, publishedHead, publishingOf } from './log-proofs.js'
import { lineStreams } from './streaming.js'

const index = z.coerce
  .number()
  .int()
  .min(0)
  .max(2 ** 48)
const proof = z.object({
  origin: z.string(),
  size: z.number().int(),
  hashes: z.array(z.string()).describe('Base64, RFC 9162 order'),
})

/** The signed head of the log, its tiles, and proofs over them (C2SP tlog-checkpoint, tlog-tiles, tlog-proof). */
export const logRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = operatorsOnly(app, deps.auth)
  const streamOfLines = lineStreams(app)
  const config = { roles: ['security'] as const }
  const common = { tags: ['security'], security: [{ operator: [] }] }

  app.get(
    '/v1/log/checkpoint',
    {
      config,
      schema: {
        ...common,
        summary: 'The newest signed checkpoint; `note` is a C2SP signed note',
        response: { 200: z.object({ origin: z.string(), size: z.number().int(), note: z.string() }) },
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store')
      return publishedHead(publishingOf(deps))
    },
  )

  app.get(
    '/v1/log/key',
    {
      config,
      schema: {
        ...common,
        summary: 'Origin and public key of the log; get them once, by a way you trust, and keep them',
        response: { 200: z.object({ origin: z.string(), verifier_key: z.string() }) },
      },
    },
    async () => {
      const { origin, verifierKey } = publishingOf(deps)
      return { origin, verifier_key: verifierKey }
    },
  )

  app.get(
    '/v1/log/entries',
    {
      config,
      // It would read the whole log to send none of it.
      exposeHeadRoute: false,
      schema: {
        ...common,
        summary:
          'Entries in order as NDJSON, whole: index, the exact text that was hashed, leaf hash. Recorded',
        querystring: z.object({
          from: index.optional().describe('by default the first entry that is still in the database'),
          to: index.optional(),
          personal: z.stringbool().default(false).describe('also what lies beside the log, with its salt'),
        }),
      },
    },
    async (request, reply) => {
      const { operator } = callerOf(request)
      const { personal } = request.query
      const first = await logStart(deps.database)
      const from = request.query.from ?? first
      if (from < first) {
        throw new WritError(
          'entries_archived',
          `The entries before ${first} are archived, and no longer in the database.`,
        )
      }
      const to = Math.min(request.query.to ?? Number.POSITIVE_INFINITY, await logSize(deps.database))
      // Before the first line leaves: who took the record along is part of it.
      await deps.auth.record({
        op: 'event',
        kind: 'log.exported',
        fields: { operator: operator.name },
        payload: { from, to, request: request.id, personal_data: personal, format: 'whole' },
      })
      const lines = async function* () {
        for await (const entry of exportEntries(deps.database, from, to, personal))
          yield `${JSON.stringify(entry)}\n`
      }
      return reply
        .type('application/x-ndjson')
        .header('cache-control', 'no-store')
        .send(streamOfLines(lines()))
    },
  )

  app.get(
    '/v1/log/tile/*',
    {
      config,
      schema: {
        ...common,
        summary: 'A tile of hashes or a bundle of entries, by its C2SP tlog-tiles path (bytes)',
        params: z.object({ '*': z.string().max(200) }),
      },
    },
    async (request, reply) => {
      const path = `tile/${request.params['*']}`
      // Only paths of tiles: this is no way to the rest of the folder.
      const data =
        parseTilePath(path) === undefined ? undefined : await publishingOf(deps).published.read(path)
      if (data === undefined) throw new WritError('not_found', 'There is no such tile.')
      return reply.type('application/octet-stream').send(data)
    },
  )

  app.get(
    '/v1/log/proof/inclusion/:index',
    {
      config,
      schema: {
        ...common,
        summary: 'That an entry is in the newest checkpoint',
        params: z.object({ index }),
        response: { 200: proof.extend({ index: z.number().int() }) },
      },
    },
    async (request) => {
      const { size, origin } = await publishedHead(publishingOf(deps))
      const { index } = request.params
      if (index >= size) throw notYet(index, size)
      const hashes = await inclusionProof(index, size, tileHashes(publishingOf(deps).published.read, size))
      return { origin, size, index, hashes: hashes.map((hash) => hash.toString('base64')) }
    },
  )

  app.get(
    '/v1/log/proof/consistency/:from',
    {
      config,
      schema: {
        ...common,
        summary: 'That the newest checkpoint continues the one of `from` entries',
        params: z.object({ from: index.min(1) }),
        response: { 200: proof.extend({ from: z.number().int() }) },
      },
    },
    async (request) => {
      const { size, origin } = await publishedHead(publishingOf(deps))
      const { from } = request.params
      if (from > size) throw notYet(from - 1, size)
      const hashes = await consistencyProof(from, size, tileHashes(publishingOf(deps).published.read, size))
      return { origin, size, from, hashes: hashes.map((hash) => hash.toString('base64')) }
    },
  )

  app.get(
    '/v1/log/proof/entry/:index',
    {
      config,
      schema: {
        ...common,
        summary:
          'One self-contained proof of an entry: its body, path and signed checkpoint (C2SP tlog-proof)',
        params: z.object({ index }),
        response: { 200: z.object({ origin: z.string(), size: z.number().int(), proof: z.string() }) },
      },
    },
    async (request) => entryProof(publishingOf(deps), request.params.index),
  )
}

function notYet(index: number, size: number): WritError {
  return new WritError(
    'entry_not_covered',
    `Entry ${index} is not in the newest checkpoint, which has ${size}.`,
  )
}
