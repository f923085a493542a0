import type { Agent, Environment, Operator, PolicySet, Scope, Webhook } from '../types.js'
import { canonicalJson, sha256Hex } from './canonical.js'
import { checkRoleUse, compileAgent, type Surroundings } from './compile-agents.js'
import { checkBreakGlass, compileEnvironment } from './compile-environments.js'
import { checkNaming, compileGroup } from './compile-groups.js'
import { checkAudiences, compileIssuer } from './compile-issuers.js'
import { checkAliases, compileOperator } from './compile-operators.js'
import { compileScope } from './compile-scopes.js'
import { compileWebhook } from './compile-webhooks.js'
import { deepFreeze, frozenMap } from './freeze.js'
import { expandAction, type IamData, loadIamData, serviceOf } from './iam-data.js'
import { indexIdentities } from './match-index.js'
import { overlaps } from './overlap.js'
import type { Parsed, ParseResult } from './parse.js'
import { operatorsMatcher } from './people.js'
import { type Problem, sortProblems, suggest } from './problems.js'
import { redLineSpelling } from './red-line-names.js'
import type { RedLine } from './red-lines.js'
import { type Report, reporter } from './report.js'
import type { Kind } from './schema.js'
import { checkSizes } from './scope-size.js'

export type CompileResult =
  | { readonly ok: true; readonly policySet: PolicySet }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Part of the digest: raised when the same documents come to mean something else. */
const MEANING = 3

/**
 * Documents → the policy set that decisions are made on, or everything that is wrong with them. The order of
 * documents never matters. The result is immutable; its digest names it.
 */
export async function compile(parsed: ParseResult): Promise<CompileResult> {
  const problems: Problem[] = [...parsed.problems]
  const report = reporter(problems)
  const documents = withoutDuplicates(parsed.documents, report)
  const of = <K extends Kind>(kind: K): readonly Parsed<K>[] =>
    documents.filter((one): one is Parsed<K> => one.kind === kind)

  const data = await loadIamData(...namesIn(of('scope'), of('red_line')))
  const added = compileRedLines(of('red_line'), data, report)
  const environments = new Map(of('environment').map((one) => [one.name, compileEnvironment(one, report)]))
  const issuers = of('issuer').map((one) => compileIssuer(one, report))
  checkAudiences(of('issuer'), report)

  const scopes = new Map<string, Scope>()
  const broken = new Set(parsed.broken)
  for (const document of of('scope')) {
    const scope = compileScope(document, data, added, report)
    if (scope === undefined) broken.add(`scope ${document.name}`)
    else scopes.set(document.name, scope)
  }
  const around: Surroundings = { environments, scopes, broken }
  const agents = of('agent').map((one) => compileAgent(one, around, report))
  const operators = named<Operator>(of('operator').map((one) => compileOperator(one, around, report)))
  const people = [...operators.values()]
  const groups = of('operators').map((one) => compileGroup(one, around, report))
  const webhooks = of('webhook').map((one) => compileWebhook(one, report))
  checkRoleUse(of('agent'), report)
  checkAliases(of('operator'), report)
  checkNaming(of('operators'), report)
  checkBreakGlass(of('environment'), operators, parsed.broken, report)
  checkIdentities(of('agent'), of('issuer'), 'agents', parsed.broken, report)
  checkIdentities([...of('operator'), ...of('operators')], of('issuer'), 'operators', parsed.broken, report)
  checkOverlaps(of('agent'), agents, report)
  checkOverlaps(of('operator'), people, report)
  checkSizes(of('scope'), scopes, environments, agents, report)

  if (problems.length > 0) return { ok: false, problems: sortProblems(problems) }
  const byIssuer = (a: { issuer: string; for: string }, b: { issuer: string; for: string }): number =>
    a.issuer < b.issuer ? -1 : a.issuer > b.issuer ? 1 : a.for < b.for ? -1 : 1
  return {
    ok: true,
    policySet: deepFreeze({
      digest: digestOf(documents),
      environments: named<Environment>([...environments.values()]),
      scopes: named<Scope>([...scopes.values()]),
      agents: named<Agent>(agents),
      operators,
      issuers: [...issuers].sort(byIssuer),
      webhooks: named<Webhook>(webhooks),
      redLineAt: redLineSpelling(added, data),
      agentsMatching: indexIdentities(agents),
      operatorsMatching: operatorsMatcher(people, groups),
      operatorByName: (name: string) => operators.get(name),
    }),
  }
}

const named = <T extends { readonly name: string }>(all: readonly T[]): ReadonlyMap<string, T> =>
  frozenMap([...all].sort((a, b) => (a.name < b.name ? -1 : 1)).map((one) => [one.name, one] as const))

/** Sorted by kind and name, so that file names, order and comments say nothing. */
function digestOf(documents: readonly Parsed[]): string {
  const keyed = documents.map(({ kind, value, ...rest }) => ({
    key: identityOf({ kind, value, ...rest }),
    kind,
    value,
  }))
  keyed.sort((a, b) => (a.key < b.key ? -1 : 1))
  return `sha256:${sha256Hex(canonicalJson([MEANING, ...keyed.map(({ kind, value }) => [kind, value])]))}`
}

/** What may exist once: an issuer once for each side. */
function identityOf(document: Parsed): string {
  const side = document.kind === 'issuer' ? ` ${(document as Parsed<'issuer'>).value.for}` : ''
  return `${document.kind} ${document.name}${side}`
}

function withoutDuplicates(documents: readonly Parsed[], report: Report): readonly Parsed[] {
  const first = new Map<string, Parsed>()
  for (const document of documents) {
    const key = identityOf(document)
    const known = first.get(key)
    if (known === undefined) first.set(key, document)
    else {
      const { line } = known.at([])
      report(
        document,
        [document.kind],
        'name_duplicate',
        `There is already the ${key.replace('_', ' ')}, in ${known.file}:${line}.`,
      )
    }
  }
  return [...first.values()]
}

function namesIn(
  scopes: readonly Parsed<'scope'>[],
  redLines: readonly Parsed<'red_line'>[],
): [Set<string>, Set<string>] {
  const services = new Set(redLines.map((one) => serviceOf(one.value.red_line)))
  const keys = new Set<string>()
  for (const { value } of scopes) {
    for (const { actions, when } of value.allow) {
      for (const action of actions) services.add(serviceOf(action))
      for (const condition of Object.values(when ?? {}))
        for (const key of Object.keys(condition)) keys.add(key)
    }
  }
  return [services, keys]
}

function compileRedLines(
  documents: readonly Parsed<'red_line'>[],
  data: IamData,
  report: Report,
): readonly RedLine[] {
  return documents.map((document) => {
    const expansion = expandAction(document.value.red_line, data)
    if (!expansion.ok) report(document, ['red_line'], expansion.code, expansion.message)
    return { pattern: document.value.red_line, because: document.value.because }
  })
}

function checkIdentities(
  documents: readonly (Parsed<'agent'> | Parsed<'operator'> | Parsed<'operators'>)[],
  issuers: readonly Parsed<'issuer'>[],
  side: 'agents' | 'operators',
  broken: ReadonlySet<string>,
  report: Report,
): void {
  const audiences = new Map(
    issuers.filter((one) => one.value.for === side).map((one) => [one.value.issuer, one.value.audience]),
  )
  for (const document of documents) {
    const { issuer } = document.value.identity
    const audience = audiences.get(issuer)
    if (audience === undefined) {
      if (broken.has(`issuer ${issuer}`)) continue
      report(
        document,
        ['identity', 'issuer'],
        'issuer_unknown',
        `No issuer document for ${side} is "${issuer}".${suggest(issuer, audiences.keys())}`,
      )
      continue
    }
    const wanted =
      document.kind === 'agent' ? (document as Parsed<'agent'>).value.identity.audience : undefined
    if (wanted !== undefined && wanted !== audience) {
      report(
        document,
        ['identity', 'audience'],
        'audience_mismatch',
        `The issuer document for ${side} says "${audience}". Leave it out here, or make both the same.`,
      )
    }
  }
}

function checkOverlaps(
  documents: readonly Parsed[],
  compiled: readonly (Agent | Operator)[],
  report: Report,
): void {
  const byName = new Map(documents.map((document) => [document.name, document]))
  for (const [later, first] of overlaps<Agent | Operator>(compiled)) {
    const document = byName.get(later.name)
    if (document === undefined) continue
    report(
      document,
      ['identity', 'claims'],
      'identity_overlap',
      `One token could be both ${first.name} and ${later.name}: no claim tells them apart. Give both a matcher on one claim with different values.`,
      'key',
    )
  }
}
