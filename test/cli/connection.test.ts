import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { command } from './support.js'

t.setTimeout(120_000)

/** Anything that listens where a broker should. */
async function listening(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Not signed: nothing here verifies it. */
const jwt = (name: string) => `${Buffer.from('{}').toString('base64url')}.${name}.signature`

t.test('which token is sent', async (t) => {
  const { writ, folder } = command(t)
  const seen: (string | undefined)[] = []
  const url = await listening(t, (request, response) => {
    seen.push(request.headers.authorization)
    response.setHeader('content-type', 'application/json').end('{"items":[],"next":null}')
  })
  const file = (name: string, end = '') => {
    const path = join(folder, name)
    writeFileSync(path, jwt(name) + end)
    return path
  }
  const env = {
    WRIT_URL: url,
    WRIT_TOKEN: jwt('value'),
    WRIT_TOKEN_FILE: file('file', '\n'),
    WRIT_OPERATOR_TOKEN: jwt('opvalue'),
    WRIT_OPERATOR_TOKEN_FILE: file('opfile'),
  }
  const without = (...names: string[]) =>
    Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)))
  const sent = async (args: string[], given: Record<string, string>) => {
    const { code, stderr } = await writ([...args, '--json'], { env: given })
    t.equal(code, 0, stderr)
    return seen.pop()?.split('.')[1]
  }
  const agent = ['request', 'status', 'abcdefghjkmn']
  const operator = ['grants', 'list']
  t.equal(await sent([...agent, '--token-file', file('flag')], env), 'flag')
  t.equal(await sent(agent, env), 'file', "an agent's verb never shows the operator's token")
  t.equal(await sent(agent, without('WRIT_TOKEN_FILE')), 'value')
  t.equal(await sent(operator, env), 'opfile')
  t.equal(await sent(operator, without('WRIT_OPERATOR_TOKEN_FILE')), 'opvalue')
  t.equal(await sent(operator, { WRIT_URL: url, WRIT_TOKEN: jwt('value') }), 'value')
})

t.test('no token, or none that is one', async (t) => {
  const { writ, folder } = command(t)
  const none = await writ(['whoami'])
  t.equal(none.code, 5)
  t.match(none.stderr, /WRIT_TOKEN_FILE/)
  const path = join(folder, 'wrong')
  writeFileSync(path, 'secret-but-not-a-jwt')
  const wrong = await writ(['whoami', '--token-file', path, '--json'])
  t.equal(wrong.code, 5)
  t.match(wrong.json, { code: 'token_missing' })
  t.notMatch(wrong.stdout, 'secret-but', 'what is in the file is not repeated')
  t.equal((await writ(['whoami', '--token-file', join(folder, 'absent')])).code, 5)
  t.equal((await writ(['whoami', '--as', 'orders-coder'])).code, 2, '--as without a local broker')
})

t.test('where the token does not go', async (t) => {
  const { writ } = command(t)
  const env = { WRIT_TOKEN: jwt('value') }
  const plain = await writ(['whoami', '--url', 'http://writ.example.invalid'], { env })
  t.equal(plain.code, 2)
  t.match(plain.stderr, /plain http/)
  const insecure = await writ(['whoami', '--url', 'http://writ.example.invalid', '--insecure'], { env })
  t.equal(insecure.code, 6, 'tried, and not found')
  t.equal((await writ(['whoami', '--url', 'ftp://127.0.0.1'], { env })).code, 2)

  let reached = false
  const elsewhere = await listening(t, (_request, response) => {
    reached = true
    response.end('{}')
  })
  const redirecting = await listening(t, (_request, response) => {
    response.writeHead(307, { location: `${elsewhere}/v1/whoami` }).end()
  })
  const redirected = await writ(['whoami', '--url', redirecting], { env })
  t.not(redirected.code, 0)
  t.notOk(reached, 'a redirect is not followed')
})

t.test('no broker there', async (t) => {
  const { writ } = command(t)
  const env = { WRIT_TOKEN: jwt('value') }
  const closed = await listening(t, () => undefined)
  const refused = await writ(['whoami', '--json', '--url', closed.replace(/\d+$/, '1')], { env })
  t.equal(refused.code, 6)
  t.match(refused.json, { code: 'broker_unreachable', next: /writ serve/ })

  const page = await listening(t, (_request, response) => response.end('<html>Welcome</html>'))
  const html = await writ(['whoami', '--json', '--url', page], { env })
  t.equal(html.code, 1)
  t.equal(html.json.code, 'answer_not_understood')
  const gateway = await listening(t, (_request, response) => response.writeHead(502).end('Bad gateway'))
  t.equal((await writ(['whoami', '--url', gateway], { env })).code, 6)
})

t.test('text of others cannot play with the terminal', async (t) => {
  const { writ } = command(t)
  const url = await listening(t, (_request, response) => {
    const detail = 'no\u001b[2J\u202eway\r\nwrit: all is well'
    response.writeHead(403, { 'content-type': 'application/problem+json' })
    response.end(JSON.stringify({ code: 'agent_stopped', detail, next: 'ask\u0007' }))
  })
  const refused = await writ(['whoami', '--url', url], { env: { WRIT_TOKEN: jwt('value') } })
  t.equal(refused.code, 3)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not arrive
  t.notMatch(refused.stderr, /[\u001b\u0007\r\u202e]/)
  t.notMatch(refused.stderr, /^writ: all is well/m)
})

t.test('a stale note of a local broker is not believed', async (t) => {
  const { writ, folder } = command(t)
  mkdirSync(join(folder, '.writ'))
  writeFileSync(
    join(folder, '.writ/local.json'),
    '{"url":"http://127.0.0.1:1","localAwsUrl":"http://127.0.0.1:2","policies":"/nowhere","consoleUrl":"http://localhost:1"}',
  )
  const gone = await writ(['whoami', '--json'], { env: { WRIT_TOKEN: jwt('value') } })
  t.equal(gone.code, 6)
  const other = await writ(['whoami', '--url', 'http://127.0.0.1:3', '--as', 'orders-coder'])
  t.equal(other.code, 2, 'a dev token goes to the broker of its own data folder only')
})
