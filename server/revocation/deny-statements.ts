/** Sessions of one role that are to die. */
export interface Kill {
  readonly id: number
  readonly kind: 'agent' | 'human' | 'issuance' | 'role'
  /** Value of the session tag; empty for the role. */
  readonly target: string
  /** Whole seconds since 1970: dies whose token was issued before; of an issuance, any instant after its own. */
  readonly before: number
}

export interface OwnStatement {
  readonly Sid: string
  readonly Effect: 'Deny'
  readonly Action: '*'
  readonly Resource: '*'
  readonly Condition: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>
}

const TAGS = {
  agent: 'aws:PrincipalTag/writ:agent',
  human: 'aws:PrincipalTag/writ:human',
  issuance: 'aws:PrincipalTag/writ:issuance',
} as const

/**
 * The fewest statements that hit every kill, where everything issued before `after` (seconds; -Infinity for nothing)
 * dies in any case. The same kills give the same statements, in whatever order they come.
 */
export function statementsAfter(kills: readonly Kill[], after: number): readonly OwnStatement[] {
  const left = kills.filter(({ kind, before }) => kind !== 'role' && before > after)
  const statements: OwnStatement[] = []
  if (Number.isFinite(after)) statements.push(deny('WritRole', issuedBefore(after)))
  for (const kind of ['agent', 'human'] as const) {
    const some = left.filter((kill) => kill.kind === kind)
    const cutoffs = [...new Set(some.map(({ before }) => before))].sort((a, b) => a - b)
    for (const [n, cutoff] of cutoffs.entries()) {
      const targets = some.filter(({ before }) => before === cutoff)
      const sid = kind === 'agent' ? `WritAgent${n}` : `WritHuman${n}`
      statements.push(deny(sid, { StringEquals: { [TAGS[kind]]: values(targets) }, ...issuedBefore(cutoff) }))
    }
  }
  const issuances = left.filter(({ kind }) => kind === 'issuance')
  if (issuances.length > 0)
    statements.push(deny('WritIssuance', { StringEquals: { [TAGS.issuance]: values(issuances) } }))
  return statements
}

/** Characters that they add to a document, their commas among them. */
export const ownSize = (statements: readonly OwnStatement[]): number =>
  statements.reduce((sum, statement) => sum + 1 + written(statement), 0)

const written = (statement: OwnStatement): number =>
  JSON.stringify(statement).replace(/[\u007f-\uffff]/g, '\\uffff').length

/** A whole second, later than an instant as PostgreSQL writes it: IAM knows no fractions. Seconds since 1970. */
export function secondAfter(instant: string): number {
  const whole = Date.parse(instant.replace(/\.\d+/, '')) / 1000
  return /\.\d*[1-9]/.test(instant) ? whole + 1 : whole
}

const deny = (Sid: string, Condition: OwnStatement['Condition']): OwnStatement => ({
  Sid,
  Effect: 'Deny',
  Action: '*',
  Resource: '*',
  Condition,
})

const issuedBefore = (seconds: number) => ({
  DateLessThan: { 'aws:TokenIssueTime': new Date(seconds * 1000).toISOString().replace('.000Z', 'Z') },
})

function values(kills: readonly Kill[]): string | readonly string[] {
  const targets = [...new Set(kills.map(({ target }) => target))].sort()
  const [only, ...more] = targets
  return only !== undefined && more.length === 0 ? only : targets
}
