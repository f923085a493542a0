import fc from 'fast-check'
import type { AppendItem } from '../../../server/audit/items.js'
import { newId } from '../../../server/issuance/id.js'
import { intentItem, requestArgument } from '../../support/items.js'
import type { Ledger } from '../../support/ledger.js'

const account = (environment: string) => (environment === 'production' ? '111122223333' : '444455556666')
const role = (environment: string, name: string) =>
  `arn:aws:iam::${account(environment)}:role/writ/${environment}-${name}`

export const AGENTS = ['orders-coder', 'deploy-bot', 'report-bot']
export const ENVIRONMENTS = ['production', 'staging', 'sandbox']
export const HUMANS = ['ann', 'ben', "O'Hara <o@example.com>"]
export const ADDRESSES = ['192.0.2.1', '192.0.2.200', '198.51.100.7', '2001:db8::1', '2001:db8:1::1']
/** Scopes with the actions their documents write. */
export const SCOPES: Readonly<Record<string, readonly string[]>> = {
  'orders:read': ['s3:GetObject', 's3:List*'],
  'orders:write': ['s3:Put*'],
  'orders:purge': ['S3:delete?bject'],
  'reports:read': ['dynamodb:*'],
}
const CODES = ['grant_required', 'scope_unknown']
export const ROLES = ENVIRONMENTS.flatMap((environment) =>
  ['one', 'two'].map((name) => ({ role_arn: role(environment, name), environment, sensitivity: 'read' })),
)

/** One thing that happens; numbers pick among what is there. */
const happening = fc.record({
  what: fc.constantFrom(
    'intent',
    'intent',
    'intent',
    'outcome',
    'outcome',
    'delivery',
    'denial',
    'sign-in',
    'request',
  ),
  agent: fc.constantFrom(...AGENTS),
  role: fc.constantFrom(...ROLES),
  human: fc.option(fc.constantFrom(...HUMANS), { nil: undefined }),
  ip: fc.constantFrom(...ADDRESSES),
  scopes: fc.subarray(Object.keys(SCOPES), { minLength: 1, maxLength: 2 }),
  code: fc.constantFrom(...CODES),
  outcome: fc.constantFrom('issued', 'issued', 'failed', 'abandoned'),
  pick: fc.nat(1_000),
  known: fc.boolean(),
})
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never

export const histories = fc.array(happening, { minLength: 250, maxLength: 300 })

interface Open {
  readonly id: string
  readonly agent: string
  readonly human: string | undefined
}

/** Lets it all happen, in order. */
export async function play(ledger: Ledger, history: readonly Happening[]): Promise<void> {
  await ledger.broker.query('SELECT writ.register_roles($1::jsonb)', [JSON.stringify(ROLES)])
  const open: Open[] = []
  const issued: Open[] = []
  for (const one of history) {
    const { agent, human, ip, scopes, pick } = one
    const personal = {
      subject: `agent:${agent}`,
      source_ip: ip,
      reason: 'a test',
      ...(human === undefined ? {} : { human, human_how: 'verified' }),
    }
    const actions = scopes.flatMap((scope) => SCOPES[scope] ?? []).sort()
    const seen = { source_ip: ip, scopes, actions }
    const append = (item: AppendItem) => ledger.append(item)
    if (one.what === 'intent') {
      const { role_arn, environment } = one.role
      const id = newId()
      await append(
        intentItem({
          issuance_id: id,
          agent,
          environment,
          tier: environment,
          role_arn,
          scopes,
          payload: { role_arn, scopes, account: account(environment) },
          personal,
          seen,
        }),
      )
      open.push({ id, agent, human })
    } else if (one.what === 'outcome') {
      const [about] = open.splice(pick % Math.max(open.length, 1), 1)
      if (about === undefined) continue
      if (one.outcome === 'abandoned') await abandon(ledger, about)
      else {
        await append({
          op: 'outcome',
          issuance_id: about.id,
          ...(one.outcome === 'failed'
            ? { state: 'failed', error_code: one.code }
            : { state: 'issued', access_key_id: `ASIA${about.id}`, expires_at: '2999-01-01T00:00:00Z' }),
          seen: about.human === undefined ? {} : { human: about.human },
        })
        if (one.outcome === 'issued') issued.push(about)
      }
    } else if (one.what === 'delivery') {
      const about = issued[pick % Math.max(issued.length, 1)]
      if (about === undefined) continue
      await append({
        op: 'delivery',
        issuance_id: about.id,
        agent: about.agent,
        payload: {},
        personal,
        seen: { source_ip: ip },
      })
    } else if (one.what === 'denial') await append(denial(one))
    else if (one.what === 'sign-in') {
      await append({
        op: 'event',
        kind: 'operator.signed_in',
        fields: { operator: pick % 2 === 0 ? 'carol' : 'bob' },
        payload: {},
        personal: { subject: 'operator', source_ip: ip },
        seen: { source_ip: ip },
      })
    } else {
      const request = requestArgument({
        agent,
        environment: one.role.environment,
        tier: one.role.environment,
        role_arn: one.role.role_arn,
        scopes,
        actions,
        human: human ?? null,
        human_how: human === undefined ? null : 'verified',
        limit_pending: false,
      })
      await ledger.broker.query('SELECT writ.open_grant_request($1::jsonb)', [JSON.stringify(request)])
      const decision = await ledger.sign(request, 'bob', { decision: pick % 2 === 0 ? 'approve' : 'deny' })
      await ledger.broker.query('SELECT writ.decide_grant_request($1::jsonb)', [JSON.stringify(decision)])
    }
  }
}

/** A refusal that is on no entry yet. With a scope that nobody knows its scopes are not searchable. */
export function denial({ agent, human, ip, scopes, role, code, known }: Happening): AppendItem {
  return {
    op: 'denial',
    kind: 'issuance.denied',
    key: newId(),
    fields: { agent, environment: role.environment, tier: role.environment, code },
    payload: { scopes: known ? scopes : [...scopes, 'made:up'] },
    personal: { subject: 's', source_ip: ip, reason: 'r', ...(human === undefined ? {} : { human }) },
    seen: {
      source_ip: ip,
      ...(known ? { scopes, actions: scopes.flatMap((scope) => SCOPES[scope] ?? []).sort() } : {}),
    },
  }
}

/** As the sweep does, without waiting for it. */
async function abandon({ owner }: Ledger, { id, human }: Open): Promise<void> {
  await owner.query(`DO $do$
    DECLARE c writ.log_cursor := writ.log_open(); i writ.intent;
    BEGIN
      SELECT * INTO STRICT i FROM writ.intent WHERE issuance_id = '${id}';
      INSERT INTO writ.outcome (issuance_id, entry_idx, at, state, intent_idx)
        VALUES (i.issuance_id, c.next_idx, c.at, 'abandoned', i.entry_idx);
      c := writ.log_put(c, 'issuance.abandoned', jsonb_build_object('agent', i.agent, 'environment', i.environment,
        'issuance_id', i.issuance_id), '{}', NULL, $json$${JSON.stringify({ human })}$json$::jsonb);
      PERFORM writ.log_seal(c);
    END $do$`)
}

/** Numbers pick among the ids and times that are in the log. */
const VALUES = {
  agent: [...AGENTS, 'nobody'],
  environment: ENVIRONMENTS,
  tier: ENVIRONMENTS,
  human: [...HUMANS, 'nobody'],
  scope: [...Object.keys(SCOPES), 'made:up'],
  action: [
    's3:PutObject',
    'S3:PUTOBJECT',
    's3:DeleteObject',
    's3:GetObject',
    'dynamodb:Query',
    'ec2:RunInstances',
  ],
  role: [...ROLES.map(({ role_arn }) => role_arn), 'arn:aws:iam::111122223333:role/none'],
  state: ['intended', 'issued', 'failed', 'abandoned'],
  code: CODES,
  network: [...ADDRESSES, '192.0.2.0/24', '192.0.2.5/25', '2001:db8::/32', '0.0.0.0/0', '203.0.113.0/24'],
  kind: ['issuance.intended', 'issuance.issued', 'issuance.denied', 'grant.created', 'operator.signed_in'],
  operator: ['bob', 'carol'],
  since: [0, 17, 101],
  until: [0, 17, 101],
  issuance: [0, 1, 7],
  access_key: [0, 1, 7],
  grant: [0, 1, 7],
  request: [0, 1, 7],
} as const

export type DrawnFilter = Partial<Readonly<Record<keyof typeof VALUES, string | number>>>

/** Each value of each filter alone. A few ask for what never was. */
export const alone: readonly DrawnFilter[] = [
  {},
  ...Object.entries(VALUES).flatMap(([name, values]) => values.map((value) => ({ [name]: value }))),
]

const pair = fc
  .constantFrom(...Object.entries(VALUES))
  .chain(([name, values]) =>
    fc.constantFrom<string | number>(...values).map((value) => [name, value] as const),
  )

/** Several together. */
export const together = fc.array(
  fc
    .uniqueArray(pair, { minLength: 2, maxLength: 3, selector: ([name]) => name })
    .map((pairs): DrawnFilter => Object.fromEntries(pairs)),
  { minLength: 40, maxLength: 40 },
)
