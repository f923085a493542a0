import t from 'tap'
import { startTestBroker } from '../../support/broker.js'
import { startSession } from '../../support/console.js'

/** Opened without a session: the way to one, and what pages are made of. Everything else is behind one. */
const OPEN = [
  'GET /',
  // Leads to the requests.
  'GET /console',
  'GET /console/sign-in',
  'GET /console/sign-in/start',
  'GET /console/sign-in/callback',
  'POST /console/sign-in/passkey/options',
  'POST /console/sign-in/passkey',
  'GET /console/enrol',
  // How the router prints the path of the assets.
  'GET /console*',
]

/** `METHOD /path` of every route, from the tree that the router prints. */
function routesOf(tree: string): string[] {
  const path: string[] = []
  return tree.split('\n').flatMap((line) => {
    const found = /^((?:│ {3}| {4})*)(?:├── |└── )(\S+)(?: \(([A-Z, ]+)\))?/.exec(line)
    if (found === null) return []
    const [, indent = '', segment = '', methods] = found
    path.splice(indent.length / 4, path.length, segment)
    if (methods === undefined) return []
    const whole = path.join('').replace(/(.)\/$/, '$1')
    return methods
      .split(', ')
      .filter((method) => method !== 'HEAD' && method !== 'OPTIONS')
      .map((method) => `${method} ${whole}`)
  })
}

t.test('every route of the console is behind a session, and none listens to a token', async (t) => {
  const broker = await startTestBroker(t)
  const routes = routesOf(broker.app.printRoutes({ commonPrefix: false }))
  const ours = routes.filter((route) => / \/(console|$)/.test(route))
  t.ok(ours.length > 30, `${ours.length} routes`)
  for (const open of OPEN) t.ok(ours.includes(open), `${open} is there`)
  const bob = await broker.operatorToken('bob')
  const { cookie } = await startSession(broker.sql, 'bob', new Date(), broker.origin)
  for (const route of ours.filter((one) => !OPEN.includes(one))) {
    const [method = '', path = ''] = route.split(' ')
    const url = `${broker.origin}${path.replace(/:[a-z]+/gi, '000000000000').replace('*', 'x')}`
    const send = (headers: Record<string, string>) =>
      fetch(url, {
        method,
        redirect: 'manual',
        headers: { 'content-type': 'application/json', ...headers },
        ...(method === 'POST' ? { body: '{}' } : {}),
      })
    const answers = [await send({}), await send({ authorization: `Bearer ${bob}` })]
    for (const answer of answers) {
      const away = answer.status === 303 && answer.headers.get('location')?.startsWith('/console/sign-in')
      t.ok(away || answer.status === 401, `${route}: ${answer.status}`)
    }
    if (method === 'GET') continue
    const forged = await send({ cookie, origin: 'https://evil.example.com' })
    t.equal(forged.status, 403, `${route}: from another site`)
    t.match(await forged.text(), /csrf/)
    const without = await send({ cookie, origin: broker.origin })
    t.equal(without.status, 403, `${route}: without our page's token`)
  }
})
