import { type Evaluation, evaluate, globMatches, type RequestContext } from '../policy/evaluate.js'
import { list } from '../policy/evaluate-conditions.js'
import type { IamData } from '../policy/iam-data.js'
import type { PolicyDocument, PolicyStatement } from '../types.js'
import { ANYTHING, actionsIn } from './data.js'
import { alike, contextsOf, meeting, resourcesOf } from './witness.js'

/** Questions for one group of actions at most: what is left out could only repeat what a role lacks. */
const MOST_QUESTIONS = 20_000
/** Pairs of patterns that are looked at for what both match. */
const MOST_PAIRS = 400

export interface NamedPolicy {
  readonly name: string
  readonly document: PolicyDocument
}

/** Where a role and its document answer differently. */
export interface Drift {
  readonly kind: 'wider' | 'narrower'
  /** `*`: every action there is. */
  readonly actions: readonly string[]
  /** The pattern of the statement that decides. */
  readonly resource: string
  /** In which circumstances; absent where nothing special has to hold. */
  readonly when?: string
  /** Policies of the role that allow too much, or deny. */
  readonly policies: readonly string[]
}

/**
 * Where the real policies of a role differ from the document, found by asking the evaluator about both: the same
 * policy in other words is no difference. Asked is every action that either speaks of, on names that their patterns
 * match or nearly match, in circumstances on both sides of every condition. Whatever is answered is a difference.
 */
export function compare(
  wanted: PolicyDocument,
  real: readonly NamedPolicy[],
  data: IamData,
  base: RequestContext,
): readonly Drift[] {
  const documents = real.map(({ document }) => document)
  const statements = [wanted, ...documents].flatMap(({ Statement }) => Statement)
  const drifts: Drift[] = []
  for (const actions of alike(actionsIn([wanted, ...documents], data), statements)) {
    // What `*` stands for: an action that no scope can have.
    const action = actions[0] === ANYTHING ? 'iam:CreateUser' : (actions[0] ?? '')
    const speaking = statements.filter(({ Action }) => list(Action).some((one) => names(one, action)))
    for (const { resource, context } of questionsOf(speaking, base)) {
      const ask = (some: readonly PolicyDocument[]): Evaluation | undefined =>
        answerOf(some, action, resource, context)
      const [should, does] = [ask([wanted]), ask(documents)]
      if (should === undefined || does === undefined || should.allowed === does.allowed) continue
      const when = circumstances(base, context)
      drifts.push({
        kind: does.allowed ? 'wider' : 'narrower',
        actions,
        resource: patternOf(does.allowed ? does : should, resource),
        ...(when === undefined ? {} : { when }),
        policies: real
          .filter(({ document }) => {
            const alone = ask([document])
            return does.allowed ? alone?.allowed : alone?.why === 'explicit-deny'
          })
          .map(({ name }) => name),
      })
    }
  }
  return told(drifts)
}

/** Whether a policy allows anything of what is wanted; one that does not is somebody else's. */
export function serves(
  policy: PolicyDocument,
  wanted: PolicyDocument,
  data: IamData,
  base: RequestContext,
): boolean {
  const statements = wanted.Statement
  return alike(actionsIn([wanted], data), statements).some(([action = '']) =>
    questionsOf(
      statements.filter(({ Action }) => list(Action).some((one) => names(one, action))),
      base,
    ).some(
      ({ resource, context }) =>
        answerOf([wanted], action, resource, context)?.allowed === true &&
        answerOf([policy], action, resource, context)?.allowed === true,
    ),
  )
}

const names = (pattern: string, action: string): boolean =>
  globMatches(pattern.toLowerCase(), action.toLowerCase())

function answerOf(
  documents: readonly PolicyDocument[],
  action: string,
  resource: string,
  context: RequestContext,
): Evaluation | undefined {
  try {
    return evaluate({ identityPolicies: documents, action, resource, context })
  } catch {
    // The documents are sound: it is our made-up circumstances that do not fit some operator.
    return undefined
  }
}

function questionsOf(
  statements: readonly PolicyStatement[],
  base: RequestContext,
): readonly { readonly resource: string; readonly context: RequestContext }[] {
  const found = new Set(statements.flatMap(({ Resource }) => list(Resource).flatMap(resourcesOf)))
  for (const name of crossings(statements)) found.add(name)
  const own = statements.map((statement) => contextsOf(statement, base, () => false))
  const holding = own.map(([first]) => first ?? base)
  // All conditions of all statements at once, as far as they agree.
  const all = Object.assign({}, ...[base, ...holding]) as RequestContext
  const contexts = [...new Map([base, all, ...own.flat()].map((one) => [JSON.stringify(one), one])).values()]
  return contexts
    .slice(0, Math.ceil(MOST_QUESTIONS / Math.max(1, found.size)))
    .flatMap((context) => [...found].map((resource) => ({ resource, context })))
}

/** What an Allow and a Deny both match: names chosen for each alone would pass the other by. */
function crossings(statements: readonly PolicyStatement[]): readonly string[] {
  const patterns = (effect: 'Allow' | 'Deny') => [
    ...new Set(
      statements
        .filter(({ Effect }) => Effect === effect)
        .flatMap(({ Resource }) => list(Resource))
        .filter((one) => one !== '*'),
    ),
  ]
  const pairs = patterns('Allow').flatMap((one) => patterns('Deny').map((other) => [one, other] as const))
  return pairs.slice(0, MOST_PAIRS).flatMap(([one, other]) => meeting(one, other) ?? [])
}

const patternOf = ({ statement }: Evaluation, resource: string): string =>
  list(statement?.Resource).find((pattern) => globMatches(pattern, resource)) ?? resource

function circumstances(base: RequestContext, context: RequestContext): string | undefined {
  const keys = new Set([...Object.keys(base), ...Object.keys(context)])
  const said = [...keys].flatMap((key) => {
    const value = context[key]?.[0]
    if (value === base[key]?.[0]) return []
    return [value === undefined ? `${key} is absent` : `${key} is ${value}`]
  })
  return said.length === 0 ? undefined : said.join(' and ')
}

/** One for what differs alike; what differs anyway is not told again for special circumstances. */
function told(drifts: readonly Drift[]): readonly Drift[] {
  const keyOf = ({ kind, resource, policies }: Drift) => JSON.stringify([kind, resource, policies])
  const anyway = new Set(
    drifts
      .filter((one) => one.when === undefined)
      .flatMap((one) => one.actions.map((action) => keyOf(one) + action)),
  )
  const groups = new Map<string, { drift: Drift; actions: Set<string> }>()
  const seen = new Set<string>()
  for (const drift of drifts) {
    const actions = drift.actions.filter((action) => {
      const key = keyOf(drift) + action
      if (drift.when === undefined) return true
      // The first circumstances that show it are enough.
      if (anyway.has(key) || seen.has(key)) return false
      seen.add(key)
      return true
    })
    if (actions.length === 0) continue
    const key = keyOf(drift) + (drift.when ?? '')
    const group = groups.get(key) ?? { drift, actions: new Set<string>() }
    for (const action of actions) group.actions.add(action)
    groups.set(key, group)
  }
  return [...groups.values()].map(({ drift, actions }) => ({ ...drift, actions: [...actions].sort() }))
}
