import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { FastifyPluginAsync } from 'fastify'
import { Html } from '../../../web/html.js'
import type { Assets as PageAssets } from '../../../web/layout.js'
import { WritError } from '../../errors.js'
import { packageRoot } from '../../paths.js'

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  ico: 'image/x-icon',
  woff2: 'font/woff2',
}

interface Asset {
  readonly type: string
  readonly identity: Buffer
  /** Absent where it is no smaller. */
  readonly br?: Buffer
  readonly gzip?: Buffer
}

interface AssetAnswer {
  readonly type: string
  readonly content: Buffer
  readonly encoding?: 'br' | 'gzip'
}

interface Assets {
  readonly path: string
  readonly files: ReadonlyMap<string, Asset>
  readonly style: Html
}

let loaded: Assets | undefined

/** Where this build's assets are served. Changes with any of them, so that a browser may keep each for ever. */
export const assetsPath = (): string => assets().path

export const pageAssets = (): PageAssets => ({ path: assets().path, style: assets().style })

/** `'sha256-…'`, by which the content security policy lets the style sheet of our pages through, and no other. */
export const styleHash = (): string => {
  const hash = createHash('sha256').update(assets().style.text).digest('base64')
  return `'sha256-${hash}'`
}

/** Read and compressed once: a request only picks out of a map, so no path in it leads anywhere else. */
function assets(): Assets {
  loaded ??= load()
  return loaded
}

function load(): Assets {
  const files = new Map<string, Asset>()
  const hash = createHash('sha256')
  let style = new Html('')
  for (const [name, path] of sources()) {
    const type = TYPES[name.slice(name.lastIndexOf('.') + 1)]
    // Source maps, for one, are for whoever builds.
    if (type === undefined) continue
    const content = readFileSync(path)
    if (name === STYLE) {
      // It changes with no other asset, and comes with the page: neither a name nor a place in a cache is for it.
      style = new Html(smaller(content.toString('utf8')))
      continue
    }
    hash.update(JSON.stringify([name, content.length])).update(content)
    files.set(name, { type, identity: content, ...compressed(content) })
  }
  return { path: `/console/assets/${hash.digest('hex').slice(0, 16)}`, files, style }
}

const STYLE = 'console.css'

/** Without comments and indents. No string in it may have either; a test looks. */
const smaller = (css: string): string =>
  css
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/\s*\n\s*/g, '\n')
    .trim()

/** Name and file of each, sorted. Compiled modules lie beside this compiled file: `dist/web/browser`. */
function sources(): readonly (readonly [string, string])[] {
  const root = packageRoot()
  const here = dirname(fileURLToPath(import.meta.url))
  const folders = [join(root, 'web/assets'), join(here, '../../../web/browser')]
  return folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => [name, join(folder, name)] as const))
    .filter(([name]) => /^[\w-]+(\.[\w-]+)*\.[a-z0-9]+$/.test(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

function compressed(content: Buffer): Pick<Asset, 'br' | 'gzip'> {
  const br = brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })
  const gzip = gzipSync(content, { level: 9 })
  return {
    ...(br.length < content.length ? { br } : {}),
    ...(gzip.length < content.length ? { gzip } : {}),
  }
}

/** Open to anyone, under any name: nothing in them is secret, and the sign-in page needs them. */
export const assetRoutes: FastifyPluginAsync = async (app) => {
  app.get<{ Params: { '*': string } }>(
    `${assetsPath()}/*`,
    { schema: { hide: true } as object },
    async (request, reply) => {
      const asset = assetNamed(request.params['*'], request.headers['accept-encoding'])
      if (asset === undefined) throw new WritError('not_found', 'There is no such asset.')
      reply.headers({
        'cache-control': 'public, max-age=31536000, immutable',
        'x-content-type-options': 'nosniff',
        'cross-origin-resource-policy': 'same-origin',
        vary: 'Accept-Encoding',
        ...(asset.encoding === undefined ? {} : { 'content-encoding': asset.encoding }),
      })
      return reply.type(asset.type).send(asset.content)
    },
  )
}

/** What to send for a name, compressed as well as the client takes it; undefined where there is no such asset. */
function assetNamed(name: string, acceptEncoding = ''): AssetAnswer | undefined {
  const asset = assets().files.get(name)
  if (asset === undefined) return undefined
  const encoding = (['br', 'gzip'] as const).find(
    (one) => asset[one] !== undefined && accepts(acceptEncoding, one),
  )
  const { type, identity } = asset
  return encoding === undefined
    ? { type, content: identity }
    : { type, content: asset[encoding] ?? identity, encoding }
}

/** RFC 9110 section 12.5.3, as far as browsers use it: named, and not with a weight of nothing. */
const accepts = (header: string, encoding: string): boolean =>
  header.split(',').some((each) => {
    const [name = '', weight = ''] = each.split(';')
    return name.trim().toLowerCase() === encoding && !/^\s*q=0(\.0*)?\s*$/.test(weight)
  })
