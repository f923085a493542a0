import { createSoftwareKey, type SoftwareKey } from '../../cli/software-key.js'
import { createRecorder } from '../../server/audit/recorder.js'
import { appendTo } from '../../server/audit/store.js'
import type { Database, Queryable } from '../../server/db/pool.js'
import { newId } from '../../server/issuance/id.js'
import { type Attempts, createAttempts } from '../../server/operators/attempts.js'
import { createEnrolmentCode } from '../../server/operators/codes.js'
import type { OperatorDeps } from '../../server/operators/deps.js'
import { codeOptions, enrolWithCode, proposalOptions, proposeKey } from '../../server/operators/enrolment.js'
import { type Caller, saidFrom } from '../../server/operators/store.js'
import type { Operator, OperatorRole } from '../../server/types.js'
import { bodyProblems } from '../support/bodies.js'
import { testLedger } from '../support/ledger.js'
import { SITE } from '../support/signing.js'

interface Tap {
  teardown(work: () => unknown): unknown
}

export interface Keys {
  readonly deps: OperatorDeps
  readonly attempts: Attempts
  readonly owner: Queryable
  readonly broker: Database
  /** Moves the broker's clock. */
  readonly later: (seconds: number) => void
  readonly caller: (name: string, roles?: readonly OperatorRole[], age?: number) => Caller
  readonly code: (operator: string, seconds?: number) => Promise<string>
  /** A passkey enrolled with a code. */
  readonly enrol: (operator: string) => Promise<SoftwareKey>
  /** Sets out to enrol; the answer finishes, with whatever changes. */
  readonly begin: (operator: string, code: string, key: SoftwareKey) => Promise<Finish>
  /** A passkey that waits for a voucher. */
  readonly propose: (operator: string) => Promise<{ readonly id: string; readonly key: SoftwareKey }>
  /** Kinds, operators and codes of what was recorded, oldest first. */
  readonly recorded: () => Promise<readonly Recorded[]>
}

type Finish = (
  change?: { readonly operator?: string; readonly code?: string } & Parameters<SoftwareKey['register']>[2],
) => Promise<{ readonly key_id: string }>

export interface Recorded {
  readonly kind: string
  readonly operator: string | null
  readonly code: string | null
}

export const challengeIn = (options: { readonly options: { readonly challenge: string } }): Buffer =>
  Buffer.from(options.options.challenge, 'base64url')

export function operator(name: string, roles: readonly OperatorRole[] = ['approver']): Operator {
  return {
    name,
    identity: { issuer: 'https://issuer.example.com', claims: new Map() },
    roles: new Set(roles),
    teams: new Set(),
    alsoKnownAs: new Set([name]),
    approves: new Set(),
  }
}

/** Operators' keys over a migrated database of the test's own. Every entry is held to its kind at the end. */
export async function testKeys(t: Tap, change: Partial<OperatorDeps> = {}): Promise<Keys> {
  const { broker, owner, superuserUrl } = await testLedger(t)
  t.teardown(async () => {
    const [malformed] = await bodyProblems(superuserUrl)
    if (malformed !== undefined) throw new Error(`an entry is not of its kind: ${malformed}`)
  })
  let skew = 0
  const now = () => new Date(Date.now() + skew)
  const deps: OperatorDeps = {
    database: broker,
    record: createRecorder(appendTo(broker)).record,
    newId,
    now,
    origin: () => SITE.origin,
    ...change,
  }
  const attempts = createAttempts(now)
  const holder = (name: string, code: string) => ({
    operator: name,
    code,
    ip: '192.0.2.1',
    request: 'request',
    said: saidFrom('192.0.2.1'),
  })
  const code = async (name: string, seconds = 60) =>
    (await createEnrolmentCode(owner, { operator: name, by: 'the test', seconds })).code
  const begin = async (name: string, given: string, key: SoftwareKey): Promise<Finish> => {
    const options = await codeOptions(deps, attempts, holder(name, given))
    return ({ operator: by = name, code: with_ = given, ...registered } = {}) =>
      enrolWithCode(deps, attempts, holder(by, with_), {
        challenge: options.challenge,
        credential: key.register(challengeIn(options), undefined, registered),
        label: 'software',
      })
  }
  const caller: Keys['caller'] = (name, roles = ['approver'], age = 0) => ({
    operator: operator(name, roles),
    authenticatedAt: new Date(now().getTime() - age * 1000),
    said: saidFrom('192.0.2.1'),
  })
  return {
    deps,
    attempts,
    owner,
    broker,
    later: (seconds) => {
      skew += seconds * 1000
    },
    caller,
    code,
    begin,
    enrol: async (name) => {
      const key = createSoftwareKey(SITE)
      await (await begin(name, await code(name), key))()
      return key
    },
    propose: async (name) => {
      const key = createSoftwareKey(SITE)
      const options = await proposalOptions(deps, caller(name))
      const { proposal } = await proposeKey(deps, caller(name), {
        kind: 'passkey',
        challenge: options.challenge,
        credential: key.register(challengeIn(options)),
        label: 'second',
      })
      return { id: proposal, key }
    },
    recorded: () => broker.query<Recorded>('SELECT kind, operator, code FROM writ.entry ORDER BY idx'),
  }
}
