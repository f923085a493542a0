import { CONTAINMENT_KINDS } from '../server/audit/reconcile/containment.js'
import { type InputProblem, listTrailFiles, readTrailFile } from '../server/audit/reconcile/files.js'
import { BookBuilder, type IssuanceBook } from '../server/audit/reconcile/issuances.js'
import { Reconciliation } from '../server/audit/reconcile/reconcile.js'
import { type Report, report } from '../server/audit/reconcile/report.js'
import { roleKey } from '../server/audit/reconcile/roles.js'
import { globMatches } from '../server/policy/evaluate.js'
import { namesOf } from '../server/policy/human-names.js'
import type { Issuance, LogEvent, Page } from './api.js'
import type { BrokerClient, Query } from './client.js'
import { CliError, EXIT, usageError } from './exit.js'
import { type BrokerOptions, connect } from './options.js'
import { loadPolicies } from './policies.js'

export interface ReconcileQuestion {
  readonly files: readonly string[]
  readonly policies: string
  readonly roles: readonly string[]
  /** Milliseconds. */
  readonly since?: number
  readonly until?: number
  readonly source: { readonly broker: BrokerOptions } | { readonly file: string }
}

/** Longest session STS gives, 43,200 s, and an hour: issuances before that have no calls in the period. */
const LONGEST_SESSION_MS = (43_200 + 3_600) * 1000

/** Reads policies, issuances and logs, in this order, and compares. Throws `CliError`. */
export async function reconcileFiles(question: ReconcileQuestion): Promise<Report> {
  const { since, until, source } = question
  for (const arn of question.roles) {
    if (roleKey(arn) === undefined) throw usageError(`${arn} is not the ARN of a role.`)
  }
  const policySet = await loadPolicies(question.policies)
  const builder = new BookBuilder((human) => namesOf(policySet, human))
  const book =
    'file' in source
      ? await bookOfFile(builder, source.file)
      : await bookOfBroker(builder, source.broker, since)
  const agents = [...policySet.agents.values()]
  const environments = agents.flatMap((agent) => [...agent.environments.values()])
  const reconciliation = new Reconciliation(book, {
    roles: [...question.roles, ...environments.flatMap(({ roles }) => Object.values(roles))],
    agents: agents.map(({ name }) => name),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  })
  const { files, skipped, problems } = await listTrailFiles(question.files)
  const problem = (one: InputProblem) => reconciliation.problem(one)
  problems.forEach(problem)
  let digestFiles = 0
  for (const file of files) {
    const { digest } = await readTrailFile(file, (value, place) => reconciliation.take(value, place), problem)
    if (digest) digestFiles++
  }
  reconciliation.finish()
  return report(reconciliation, {
    files: files.length,
    digestFiles,
    skipped,
    policySet,
    // IAM compares actions without regard to case (IAM JSON policy elements: Action).
    matches: (pattern, action) => globMatches(pattern.toLowerCase(), action.toLowerCase()),
  })
}

/** A record read in part would raise false alarms and hide real ones: the first problem ends it. */
async function bookOfFile(builder: BookBuilder, file: string): Promise<IssuanceBook> {
  const problems: InputProblem[] = []
  await readTrailFile(
    file,
    (item, place) => {
      const wrong = builder.add(item)
      if (wrong !== undefined) problems.push({ ...place, problem: wrong })
    },
    (one) => problems.push(one),
  )
  const [first] = problems
  if (first !== undefined) {
    const line = first.record === undefined ? '' : `, line ${first.record}`
    throw unusable(`${file}${line}: ${first.problem}`)
  }
  return finished(builder, file)
}

/** Newest first, and no further back than calls of the period can come from. */
async function bookOfBroker(
  builder: BookBuilder,
  options: BrokerOptions,
  since: number | undefined,
): Promise<IssuanceBook> {
  const { broker, target } = connect('operator', options)
  const oldest = since === undefined ? undefined : since - LONGEST_SESSION_MS
  const add = (item: unknown) => {
    const wrong = builder.add(item)
    if (wrong !== undefined) throw unusable(`${target.url}: ${wrong}`)
  }
  // Events first: an issuance made in between is then known without its network rather than not at all.
  for (const kind of ['issuance.intended', ...CONTAINMENT_KINDS]) {
    await eachItem<LogEvent>(broker, '/v1/events', { kind }, (event) => {
      add(event)
      return tooOld(event.body.at, oldest)
    })
  }
  await eachItem<Issuance>(broker, '/v1/issuances', {}, (issuance) => {
    add(issuance)
    return tooOld(issuance.at, oldest)
  })
  return finished(builder, target.url)
}

const tooOld = (at: unknown, oldest: number | undefined): boolean =>
  oldest !== undefined && typeof at === 'string' && Date.parse(at) < oldest

/** Every item of a listing, page by page, until `each` answers true. */
async function eachItem<T>(
  broker: BrokerClient,
  path: string,
  query: Query,
  each: (item: T) => boolean,
): Promise<void> {
  let before: string | undefined
  for (;;) {
    const page: Page<T> = await broker.get<Page<T>>(path, { ...query, limit: 500, before })
    for (const item of page.items) if (each(item)) return
    if (page.next === null || page.next === before) return
    before = page.next
  }
}

function finished(builder: BookBuilder, from: string): IssuanceBook {
  const { book, problems } = builder.build()
  if (problems[0] !== undefined) throw unusable(`${from}: ${problems[0]}`)
  return book
}

const unusable = (detail: string): CliError =>
  new CliError(EXIT.unexpected, {
    title: 'Issuances cannot be read',
    code: 'issuances_unreadable',
    detail,
    next: 'Nothing was compared. Give the items of GET /v1/issuances, one a line.',
  })
