import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { assetRoutes, assetsPath } from '../../../server/http/console/assets.js'
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
  const css = readFileSync(join(packageRoot(), 'web/assets/console.css'))
  const plain = await get('console.css')
  t.equal(plain.statusCode, 200)
  t.ok(plain.rawPayload.equals(css))
  t.match(plain.headers, {
    'content-type': 'text/css; charset=utf-8',
    'cache-control': 'public, max-age=31536000, immutable',
    'x-content-type-options': 'nosniff',
    vary: 'Accept-Encoding',
  })
  const br = await get('console.css', 'gzip, deflate, br')
  t.equal(br.headers['content-encoding'], 'br')
  t.ok(brotliDecompressSync(br.rawPayload).equals(css))
  const gzip = await get('console.css', 'gzip;q=1.0, br;q=0')
  t.equal(gzip.headers['content-encoding'], 'gzip')
  t.ok(gunzipSync(gzip.rawPayload).equals(css))
  t.equal((await get('console.css', 'gzip;q=0')).headers['content-encoding'], undefined)
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
  t.equal(
    (await app.inject('/console/assets/0000000000000000/console.css')).statusCode,
    404,
    'of another build',
  )
})
