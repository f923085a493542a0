import type { Html } from '../../web/html.js'
import { layout, type Section } from '../../web/layout.js'
import { type AgentView, agentPage } from '../../web/pages/agent.js'
import type { StopView } from '../../web/pages/stop-parts.js'
import { type StopsView, stopsPage } from '../../web/pages/stops.js'
import { FRAME, later, NOW, VIEWER } from '../support/pages.js'

/** A stop whose denies are all written. */
export const stopView = (change: Partial<StopView> = {}): StopView => ({
  id: '3k9d0c2x7m1p',
  kind: 'agent',
  name: 'orders-coder',
  engaged_at: later(-90),
  engaged_by: 'alice',
  automatic: false,
  index: 4711,
  cutoff: later(-30),
  reason: 'Deletes orders that nobody asked it to',
  cause: null,
  approvals_needed: 2,
  signed_by: [],
  released_at: null,
  state: 'engaged',
  denies: { asked: 8, written: 8, waiting: [] },
  sessions: { written_at: later(-80), presumed_at: later(-20), state: 'presumed' },
  ...change,
})

export const shownOf = (stop: StopView): Readonly<Record<string, unknown>> => ({
  operator: VIEWER.operator,
  stop: stop.id,
  stops: stop.kind,
  name: stop.name,
  stop_leaf: '5a'.repeat(32),
  approvals_needed: stop.approvals_needed,
})

export const stopsView = (stops: readonly StopView[], change: Partial<StopsView> = {}): StopsView => ({
  engaged: stops.filter(({ state }) => state === 'engaged').map((stop) => ({ stop, shown: shownOf(stop) })),
  released: stops.filter(({ state }) => state === 'released'),
  viewer: VIEWER,
  now: NOW,
  known: { agent: ['orders-coder'], environment: ['production'], account: ['111122223333'] },
  ...change,
})

const LONG = 'arn:aws:s3:::orders-production/a-very-long-name-that-nothing-breaks/'.repeat(3)

const agentView = (change: Partial<AgentView> = {}): AgentView => ({
  agent: {
    name: 'orders-coder',
    describe: 'Coding agent for the order service',
    owner: { kind: 'team', name: 'orders' },
    status: 'active',
    stopped: [],
    places: [],
    live: { count: 3, atLeast: false },
    denials: { count: 0, atLeast: false },
    pending: 0,
  },
  viewer: VIEWER,
  stops: [],
  now: NOW,
  identity: { issuer: 'https://issuer.example.com', claims: [] },
  scopes: [],
  live: [],
  denials: [],
  pending: [],
  ...change,
})

const page = (title: string, section: Section, body: Html): string =>
  layout({ ...FRAME, title, section, body, modules: ['live', 'stop'], notices: [NOTICE] })

const NOTICE = {
  tone: 'danger' as const,
  text: 'Stopped: agent orders-coder, environment production and 2 more.',
  href: '/console/stops',
}

const asked = stopView({
  denies: {
    asked: 8,
    written: 3,
    waiting: [
      { role: 'arn:aws:iam::111122223333:role/writ/orders-coder-read', problem: 'iam_unavailable' },
      { role: 'arn:aws:iam::111122223333:role/writ/orders-coder-write', problem: null },
    ],
  },
  cause: 'incident:4h7m2c9x0k1d',
  sessions: { written_at: null, presumed_at: null, state: 'asked' },
})
const written = stopView({
  id: '3k9d0c2x7m1q',
  kind: 'environment',
  name: 'production',
  engaged_at: later(-20),
  cutoff: later(40),
  sessions: { written_at: later(-15), presumed_at: later(45), state: 'written' },
  signed_by: ['alice'],
})
const others = [
  stopView({ id: '3k9d0c2x7m1r', kind: 'human', name: 'dana@example.com', reason: LONG, signed_by: ['bob'] }),
  stopView({ id: '3k9d0c2x7m1s', automatic: true, engaged_by: null, approvals_needed: 1, reason: null }),
  stopView({
    id: '3k9d0c2x7m1t',
    kind: 'everything',
    name: null,
    denies: { asked: 0, written: 0, waiting: [] },
    sessions: { written_at: null, presumed_at: null, state: 'none' },
  }),
]
const released = [
  stopView({ id: 'a', state: 'released', released_at: later(-5), signed_by: ['alice', 'bob'], reason: LONG }),
  stopView({ id: 'b', state: 'released', released_at: later(-5), kind: 'human', name: null, reason: null }),
]

/** Every page about stops, in all that they can say. */
export const STOP_PAGES: Readonly<Record<string, string>> = {
  '/stops': page('Stops', 'stops', stopsPage(stopsView([asked, written, ...others, ...released]))),
  '/stops-empty': page('Stops', 'stops', stopsPage(stopsView([]))),
  '/agent': page('orders-coder', 'agents', agentPage(agentView())),
  '/agent-stopped': page(
    'orders-coder',
    'agents',
    agentPage(
      agentView({
        agent: { ...agentView().agent, stopped: 'everywhere' },
        stops: [
          { stop: asked, where: undefined },
          { stop: written, where: ['production'] },
        ],
      }),
    ),
  ),
}
