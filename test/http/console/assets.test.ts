import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { assetRoutes, assetsPath, pageAssets, styleHash } from '../../../server/http/console/assets.js'
import { sendProblem } from '../../../server/http/problems.js'
import { packageRoot } from '../../../server/paths.js'

async function server(t: Test) {
  const app = Fastify()
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  await app.register(assetRoutes)
  t.teardown(() => app.close())
  const get = (name: string, encoding = '') =>
    app.inject({ url: `${assetsPath()}/${name}`, headers: { 'accept-encoding': encoding } })
  return { app, get }
}

t.test('assets are small, typed and kept for ever', async (t) => {
  const { get } = await server(t)
  t.match(assetsPath(), /^\/console\/assets\/[0-9a-f]{16}$/)
  const plain = await get('live.js')
  t.equal(plain.statusCode, 200)
  t.match(plain.headers, {
    'content-type': 'text/javascript; charset=utf-8',
    'cache-control': 'public, max-age=31536000, immutable',
    'x-content-type-options': 'nosniff',
    vary: 'Accept-Encoding',
  })
  const br = await get('live.js', 'gzip, deflate, br')
  t.equal(br.headers['content-encoding'], 'br')
  t.ok(brotliDecompressSync(br.rawPayload).equals(plain.rawPayload))
  const gzip = await get('live.js', 'gzip;q=1.0, br;q=0')
  t.equal(gzip.headers['content-encoding'], 'gzip')
  t.ok(gunzipSync(gzip.rawPayload).equals(plain.rawPayload))
  t.equal((await get('live.js', 'gzip;q=0')).headers['content-encoding'], undefined)
})

t.test('the style sheet is in the page, whole, and has nothing that ends it early', async (t) => {
  const css = readFileSync(join(packageRoot(), 'web/assets/console.css'), 'utf8')
  const style = pageAssets().style.text
  t.notMatch(style, /<|-->/)
  t.notMatch(css, /(["']).*(\/\*| {2}).*\1/, 'no string that taking comments and indents out would change')
  const bare = (text: string) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\s/g, '')
  t.equal(bare(style), bare(css))
  t.equal(styleHash(), `'sha256-${createHash('sha256').update(style).digest('base64')}'`)
})

t.test('every browser module is served, and nothing else', async (t) => {
  const { app, get } = await server(t)
  const modules = readdirSync(join(packageRoot(), 'web/browser')).filter((name) => name.endsWith('.ts'))
  t.ok(modules.length > 0)
  for (const name of modules) {
    const answer = await get(name.replace(/ts$/, 'js'))
    t.equal(answer.statusCode, 200, name)
    t.match(answer.headers['content-type'], 'text/javascript')
  }
  for (const name of [
    'times.ts',
    'times.js.map',
    'tsconfig.json',
    'nothing.js',
    '',
    'console.css',
    '..%2fconsole.css',
    '..%2f..%2f..%2fpackage.json',
    '%2e%2e/%2e%2e/package.json',
    '../../../../package.json',
    '..\\..\\package.json',
    '/etc/passwd',
    '%2fetc%2fpasswd',
    'console.css%00',
    '__proto__',
    'constructor',
  ]) {
    t.equal((await get(name)).statusCode, 404, name)
  }
  t.equal((await app.inject('/console/assets/0000000000000000/live.js')).statusCode, 404, 'of another build')
})
