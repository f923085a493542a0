import t from 'tap'
import type { EntryFact, GrantFact, IntentFact, OutcomeFact, RecordFacts } from './evidence.js'
import { judge } from './judge.js'
import type { Attempt, End, Minted, Revocation } from './ledger.js'

/** A short story in which everything is as it should be, for a test to change one thing in. */
interface Story {
  attempts: Attempt[]
  revocations: Revocation[]
  minted: Minted[]
  entries: EntryFact[]
  intents: IntentFact[]
  outcomes: OutcomeFact[]
  grants: GrantFact[]
  broken: string[]
}

const EXPIRES = '2026-11-21T13:00:00.000Z'

/** One handed out and again, one whose answer was lost, one failed, one abandoned, one on a grant that was then revoked. */
function story(): Story {
  const told: Story = {
    attempts: [],
    revocations: [{ grant: 'g', answeredAt: 95 }],
    minted: [],
    entries: [],
    intents: [],
    outcomes: [],
    grants: [{ id: 'g', uses: 1, maxUses: 1, revoked: true }],
    broken: [],
  }
  const say = (entry: Omit<EntryFact, 'index'>): number =>
    told.entries.push({ ...entry, index: told.entries.length }) - 1
  const attempt = (tag: string, at: number, end: End): void =>
    void told.attempts.push({ tag, agent: 'ant', label: tag, sentAt: at, endedAt: at + 9, end })
  const issue = (issuance: string, at: number, state: OutcomeFact['state'], grant?: string): number => {
    const on = grant === undefined ? {} : { grant }
    const intent = say({ kind: 'issuance.intended', at: at + 1, issuance, tag: issuance, ...on })
    told.intents.push({ issuance, entry: intent, ...(grant === undefined ? {} : { grant, use: 1 }) })
    if (state !== 'failed') told.minted.push({ key: `key ${issuance}`, session: issuance, at: at + 2 })
    const issued = state === 'issued' ? { key: `key ${issuance}`, expiresAt: Date.parse(EXPIRES) } : {}
    const entry = say({ kind: `issuance.${state}`, at: at + 3, issuance, ...on, ...issued })
    told.outcomes.push({ issuance, entry, state, ...('key' in issued ? { key: issued.key } : {}) })
    return entry
  }
  const handOut = (tag: string, issuance: string, at: number, entry: number, grant?: string): void =>
    attempt(tag, at, {
      kind: 'answered',
      issuance,
      entry,
      key: `key ${issuance}`,
      expiresAt: EXPIRES,
      again: tag !== issuance,
      ...(grant === undefined ? {} : { grant }),
    })

  handOut('one', 'one', 10, issue('one', 10, 'issued'))
  handOut('again', 'one', 30, say({ kind: 'issuance.delivered', at: 31, issuance: 'one', tag: 'again' }))
  issue('lost', 40, 'issued')
  attempt('lost', 40, { kind: 'lost' })
  issue('failed', 50, 'failed')
  attempt('failed', 50, { kind: 'refused', status: 503, code: 'aws_unavailable' })
  issue('abandoned', 60, 'abandoned')
  attempt('abandoned', 60, { kind: 'lost' })
  attempt('unsent', 70, { kind: 'unsent' })
  handOut('granted', 'granted', 80, issue('granted', 80, 'issued', 'g'), 'g')
  say({ kind: 'grant.revoked', at: 94, grant: 'g' })
  return told
}

function judged(change: (story: Story) => void) {
  const told = story()
  change(told)
  const { attempts, revocations, minted, ...record } = told
  const facts: RecordFacts = { ...record, root: Buffer.alloc(32) }
  return judge({ attempts, revocations }, minted, facts)
}

t.test('a record that is what was seen', async (t) => {
  const { findings, figures } = judged(() => undefined)
  t.strictSame(findings, [])
  t.match(figures, {
    'new sessions in hand': 2,
    'handed out again': 1,
    'issued, never received': 1,
    'delivered, never received': 0,
    'keys minted': 4,
    'keys minted, not issued': 1,
    failed: 1,
    abandoned: 1,
  })
})

const entryOf = (told: Story, kind: string, issuance: string): number =>
  told.entries.findIndex((entry) => entry.kind === kind && entry.issuance === issuance)
function edit<Thing>(list: Thing[], at: number, change: Partial<Thing>): void {
  const thing = list[at]
  if (thing === undefined) throw new Error('nothing to change')
  list[at] = { ...thing, ...change }
}
const attemptOf = (told: Story, tag: string): number => told.attempts.findIndex((one) => one.tag === tag)
function editAnswer(told: Story, tag: string, change: object): void {
  const at = attemptOf(told, tag)
  const end = { ...told.attempts[at]?.end, ...change } as End
  edit(told.attempts, at, { end })
}

const WRONGS: readonly (readonly [name: string, finding: RegExp, change: (told: Story) => void])[] = [
  [
    'an answer whose entry is another',
    /one \(one\) was handed out and is not entry 2/,
    (told) => editAnswer(told, 'one', { entry: 2 }),
  ],
  [
    'an answer that the record lost',
    /was handed out and is not entry 99/,
    (told) => editAnswer(told, 'granted', { entry: 99 }),
  ],
  [
    'another key than the recorded one',
    /a key that is not on record/,
    (told) => editAnswer(told, 'one', { key: 'key other' }),
  ],
  [
    'another end than the recorded one',
    /ends at another time/,
    (told) => editAnswer(told, 'one', { expiresAt: '2026-11-21T14:00:00.000Z' }),
  ],
  [
    'an answer before its entry',
    /was answered before it was recorded/,
    (told) => edit(told.attempts, attemptOf(told, 'one'), { endedAt: 12 }),
  ],
  [
    'one entry for two answers',
    /entry 1 stands for two answers/,
    (told) => void told.attempts.push({ ...(told.attempts[0] as Attempt), tag: 'one more' }),
  ],
  [
    'the answer to another request',
    /is recorded as the answer to other/,
    (told) => edit(told.entries, entryOf(told, 'issuance.delivered', 'one'), { tag: 'other' }),
  ],
  [
    'an issuance that nobody asked for',
    /for a request that nobody sent \(lost\)/,
    (told) => void told.attempts.splice(attemptOf(told, 'lost'), 1),
  ],
  [
    'an issuance for a request that reached nobody',
    /for a request that nobody sent \(lost\)/,
    (told) => edit(told.attempts, attemptOf(told, 'lost'), { end: { kind: 'unsent' } }),
  ],
  [
    'issued, and the agent was refused',
    /says issuance.issued, and the agent got refused/,
    (told) =>
      edit(told.attempts, attemptOf(told, 'lost'), {
        end: { kind: 'refused', status: 403, code: 'agent_stopped' },
      }),
  ],
  [
    'a delivery that nobody asked for',
    /says issuance.delivered, and the agent got no request/,
    (told) => void told.attempts.splice(attemptOf(told, 'again'), 1),
  ],
  [
    'an intent without outcome',
    /issuance abandoned has no outcome/,
    (told) => {
      edit(told.entries, entryOf(told, 'issuance.abandoned', 'abandoned'), { kind: 'policy.loaded' })
      told.outcomes = told.outcomes.filter((one) => one.issuance !== 'abandoned')
    },
  ],
  [
    'two outcomes',
    /issuance failed has two entries/,
    (told) => edit(told.entries, entryOf(told, 'issuance.abandoned', 'abandoned'), { issuance: 'failed' }),
  ],
  [
    'a table that says something else than the log',
    /outcome lost is not entry/,
    (told) => edit(told.outcomes, 1, { state: 'failed' }),
  ],
  [
    'a key that the record does not know of',
    /key stray was minted for nobody, which is not on record/,
    (told) => void told.minted.push({ key: 'stray', session: 'nobody', at: 5 }),
  ],
  [
    'a key minted before its intent',
    /was minted before its intent was recorded/,
    (told) => edit(told.minted, 0, { at: 10 }),
  ],
  [
    'a key on record that AWS never minted',
    /is recorded with key key one, which nobody minted/,
    (told) => void told.minted.splice(0, 1),
  ],
  [
    'a grant used too often',
    /grant g was used 2 times of 1/,
    (told) => edit(told.intents, 0, { grant: 'g', use: 2 }),
  ],
  [
    'a use that was not counted',
    /grant g counts 0 uses and has 1/,
    (told) => edit(told.grants, 0, { uses: 0 }),
  ],
  [
    'an intent after the revocation',
    /uses grant g after its revocation/,
    (told) =>
      edit(told.entries, entryOf(told, 'issuance.delivered', 'one'), { kind: 'grant.revoked', grant: 'g' }),
  ],
  [
    'an answer after the revocation was told',
    /was sent after the revocation of grant g had been answered/,
    (told) => edit(told.revocations, 0, { answeredAt: 70 }),
  ],
  [
    'a revocation that is not on record',
    /grant g was revoked, and the record does not say so/,
    (told) => void told.entries.pop(),
  ],
  [
    'a chain that does not fit',
    /batch 3/,
    (told) => void told.broken.push('batch 3 is not what its entries hash to'),
  ],
]

for (const [name, finding, change] of WRONGS) {
  t.test(name, async (t) => {
    const { findings } = judged(change)
    t.ok(
      findings.some((one) => finding.test(one)),
      `${finding} among ${JSON.stringify(findings)}`,
    )
  })
}
