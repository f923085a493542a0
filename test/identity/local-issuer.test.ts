import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { StartError } from '../../server/errors.js'
import { loadLocalIssuer } from '../../server/identity/local-issuer.js'
import { LOCAL_ISSUER } from '../../server/types.js'
import { AUDIENCE, newKey, signClaims } from '../support/issuer.js'
import { bench } from './setup.js'

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'writ-local-issuer-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return path
}

t.test('the key is made once, kept, and readable by its owner only', async (t) => {
  const dataDir = join(await folder(t), 'not', 'yet', 'there')
  const first = await loadLocalIssuer(dataDir)
  const again = await loadLocalIssuer(dataDir)
  t.same(again.jwks(), first.jwks())
  t.equal(first.jwks(), first.jwks(), 'the same object, so that it is imported once')
  t.same(await readdir(dataDir), ['local-issuer.json'], 'no drafts are left')
  t.equal((await stat(join(dataDir, 'local-issuer.json'))).mode & 0o777, 0o600)
  t.notMatch(JSON.stringify(first.jwks()), /"d":/, 'no private member is published')
})

t.test('processes that race end up with one key', async (t) => {
  const dataDir = await folder(t)
  const module = new URL('../../server/identity/local-issuer.js', import.meta.url).href
  const script = `const { loadLocalIssuer } = await import(${JSON.stringify(module)})
    const issuers = await Promise.all([1, 2, 3].map(() => loadLocalIssuer(process.argv[1])))
    console.log(issuers.map((issuer) => issuer.jwks().keys[0].kid).join('\\n'))`
  const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, dataDir])
  const outputs = await Promise.all([run(), run(), run()])
  const kids = outputs.flatMap(({ stdout }) => stdout.trim().split('\n'))
  t.equal(kids.length, 9)
  t.equal(new Set(kids).size, 1)
  t.same(await readdir(dataDir), ['local-issuer.json'])
})

t.test('files it must not use', async (t) => {
  const dataDir = await folder(t)
  const path = join(dataDir, 'local-issuer.json')
  await loadLocalIssuer(dataDir)
  const key = await readFile(path, 'utf8')
  for (const mode of [0o644, 0o640, 0o606]) {
    await chmod(path, mode)
    await t.rejects(
      loadLocalIssuer(dataDir),
      new StartError(`The key of the local issuer can be read by others; run chmod 600 ${path}`),
    )
  }
  await chmod(path, 0o600)
  for (const text of ['', '{', 'null', '{}', key.replace('P-256', 'P-384'), key.slice(0, 60)]) {
    await writeFile(path, text)
    await t.rejects(loadLocalIssuer(dataDir), { name: 'StartError', message: /not a key/ })
    t.equal(await readFile(path, 'utf8'), text, 'and is left as it was')
  }
})

t.test('its tokens verify on this machine, without a network', async (t) => {
  const clock = new Date('2026-11-21T12:00:00Z')
  const local = await loadLocalIssuer(await folder(t), () => clock)
  const b = await bench(t, {
    trusted: { issuer: LOCAL_ISSUER, algorithms: ['ES256'] },
    verifier: { localIssuer: local, fetch: () => Promise.reject(new Error('asked the network')) },
  })
  const authTime = new Date(clock.getTime() - 60_000)
  const token = await local.sign({
    subject: 'demo-agent',
    audience: AUDIENCE,
    claims: { human: 'ada', sub: 'somebody-else', aud: 'elsewhere', exp: 1 },
    authTime,
  })
  const identity = await b.verify(token)
  t.equal(identity.subject, 'demo-agent', 'further claims do not replace the subject')
  t.equal(identity.claims.human, 'ada')
  t.same(identity.authenticatedAt, authTime)
  t.equal(identity.expiresAt.getTime() - identity.issuedAt.getTime(), 900_000)
  const short = await b.verify(await local.sign({ subject: 'x', audience: AUDIENCE, ttlSeconds: 60 }))
  t.equal(short.expiresAt.getTime() - clock.getTime(), 60_000)
  t.same(b.verifier.health(), [], 'nothing to be asked')

  const claims = b.claims({ iss: LOCAL_ISSUER })
  const kid = String(local.jwks().keys[0]?.kid)
  await b.refuses(await signClaims(claims, newKey('ES256', kid)), 'token_signature', 'another key')
  await b.refuses(await signClaims(claims, newKey('ES256', 'x')), 'token_key_unknown', 'another key id')
  const elsewhere = await loadLocalIssuer(await folder(t), () => clock)
  const foreign = await elsewhere.sign({ subject: 'x', audience: AUDIENCE })
  await b.refuses(foreign, 'token_key_unknown', 'from another machine')
})

t.test('a broker without a local issuer takes none of its tokens', async (t) => {
  const b = await bench(t)
  b.policy.issuers = [b.issuer.trusted({ issuer: LOCAL_ISSUER, jwksUri: `${b.issuer.url}/jwks` })]
  const token = await b.issuer.sign(b.claims({ iss: LOCAL_ISSUER }))
  await b.refuses(token, 'token_issuer_unknown', 'even where policy names it')
  t.same(b.issuer.requests, { discovery: 0, jwks: 0, other: 0 })
})
