import { fetchEvents } from '../audit/review/events.js'
import type { Database } from '../db/pool.js'
import { type ErrorCode, WritError } from '../errors.js'
import { listStops, type StopView } from '../revocation/stop-store.js'
import type { OperatorRole, PolicySet } from '../types.js'
import {
  type Boundary,
  boundaries,
  CLOSERS,
  closers,
  type GrantsAgain,
  grantsAgain,
  type Stage,
} from './boundary.js'

/** An incident in a list. Instants are ISO 8601 UTC. */
export interface IncidentSummary {
  readonly id: string
  readonly agent: string
  readonly state: 'open' | 'closed'
  readonly opened_at: string
  readonly opened_by: string
  readonly stop: string
  readonly closed_at: string | null
  readonly closed_by: readonly string[] | null
  /** SHA-256 of the manifest of the evidence that those who closed it had read. */
  readonly evidence: string | null
}

export interface StepView {
  /** Of the entry `incident.step`. */
  readonly entry: number
  readonly at: string
  readonly by: string
  /** Null once erased. */
  readonly note: string | null
  readonly evidence: string | null
}

/** One Deny that the stop asked for in one role. */
export interface DenyView {
  readonly role: string
  readonly kind: 'agent' | 'human' | 'issuance' | 'role'
  readonly target: string
  readonly asked_at: string
  /** When IAM had it, read back; null before. */
  readonly written_at: string | null
  /** Written for the whole role, for want of room. */
  readonly widened: boolean
  /** When the last session it is against is over by itself. */
  readonly ends: string
}

/** The agent as policy has it now. */
export interface AgentNow {
  readonly digest: string
  readonly owner: { readonly kind: 'team' | 'human'; readonly name: string }
  readonly environments: readonly {
    readonly environment: string
    readonly tier: string
    readonly account: string
    readonly regions: readonly string[]
    readonly scopes: readonly string[]
  }[]
}

export interface IncidentView extends Omit<IncidentSummary, 'stop'> {
  /** Of the entry `incident.opened`. */
  readonly entry: number
  /** Null once erased. */
  readonly reason: string | null
  readonly stop: StopView
  readonly denies: readonly DenyView[]
  readonly stages: readonly (Boundary & { readonly steps: readonly StepView[] })[]
  /** Who may grant the agent something again, where that takes a human. */
  readonly grants_again: readonly GrantsAgain[]
  readonly closing: {
    readonly needed: 2
    readonly roles: readonly OperatorRole[]
    readonly names: readonly string[]
    readonly signed: readonly { readonly operator: string; readonly at: string; readonly evidence: string }[]
  }
  /** Null where policy has no such agent any more. */
  readonly policy: AgentNow | null
  /** Entries of the log when this was read. */
  readonly log_size: number
}

export interface IncidentFilter {
  readonly id?: string | undefined
  readonly agent?: string | undefined
  readonly state?: 'open' | 'closed' | undefined
}

export interface IncidentPage {
  readonly limit: number
  readonly before?: { readonly at: string; readonly id: string }
}

/** Newest first; `before` is the last item of the page before. */
export async function listIncidents(
  database: Pick<Database, 'query'>,
  filter: IncidentFilter,
  page: IncidentPage,
): Promise<readonly IncidentSummary[]> {
  const rows = await database.query<{ view: IncidentSummary }>(
    `SELECT jsonb_build_object('id', id, 'agent', agent, 'state', CASE WHEN closed_at IS NULL THEN 'open' ELSE 'closed' END,
       'opened_at', opened_at, 'opened_by', opened_by, 'stop', stop_id, 'closed_at', closed_at, 'closed_by', closed_by,
       'evidence', evidence) AS view
     FROM writ.incident
     WHERE ($1::text IS NULL OR id = $1) AND ($2::text IS NULL OR lower(agent) = lower($2))
       AND ($3::text IS NULL OR (closed_at IS NULL) = ($3 = 'open'))
       AND ($4::timestamptz IS NULL OR (opened_at, id) < ($4, $5))
     ORDER BY opened_at DESC, id DESC LIMIT $6`,
    [
      filter.id ?? null,
      filter.agent ?? null,
      filter.state ?? null,
      page.before?.at ?? null,
      page.before?.id ?? null,
      page.limit,
    ],
  )
  return rows.map(({ view }) => view)
}

interface Row {
  readonly opened_idx: string
  readonly steps: readonly {
    readonly stage: Stage
    readonly entry: number
    readonly at: string
    readonly by: string
    readonly evidence: string | null
  }[]
  readonly signed: IncidentView['closing']['signed']
  readonly denies: readonly DenyView[]
  readonly size: string
}

/** All of one incident, and who may do what about it. Throws `WritError` not_found. */
export async function findIncident(
  database: Database,
  policySet: PolicySet,
  id: string,
): Promise<IncidentView> {
  const [summary] = await listIncidents(database, { id }, { limit: 1 })
  const [row] = await database.query<Row>(
    `SELECT i.opened_idx, h.size,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('stage', s.stage, 'entry', s.idx, 'at', s.at, 'by', s.by, 'evidence', s.evidence)
          ORDER BY s.idx), '[]') FROM writ.incident_step s WHERE s.incident = i.id) AS steps,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('operator', c.operator, 'at', c.at, 'evidence', c.evidence)
          ORDER BY c.at, c.operator), '[]') FROM writ.incident_close c WHERE c.incident = i.id) AS signed,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('role', k.role_arn, 'kind', k.kind, 'target', k.target, 'asked_at', k.asked_at,
          'written_at', k.written_at, 'widened', k.widened, 'ends', k.ends) ORDER BY k.role_arn, k.kind, k.target), '[]')
          FROM writ.kill k WHERE k.id = ANY (t.kills)) AS denies
     FROM writ.incident i JOIN writ.stop t ON t.id = i.stop_id, writ.log_head h WHERE i.id = $1`,
    [id],
  )
  const [stop] = summary === undefined ? [] : await listStops(database, { id: summary.stop }, { limit: 1 })
  if (summary === undefined || row === undefined || stop === undefined) throw refusedIncident('not_found')
  const entry = Number(row.opened_idx)
  const said = await wordsOf(database, [entry, ...row.steps.map((step) => step.entry)])
  return {
    ...summary,
    entry,
    reason: said(entry, 'reason'),
    stop,
    denies: row.denies,
    stages: boundaries(policySet).map((boundary) => ({
      ...boundary,
      steps: row.steps
        .filter(({ stage }) => stage === boundary.stage)
        .map(({ stage: _, ...step }) => ({ ...step, note: said(step.entry, 'note') })),
    })),
    grants_again: grantsAgain(policySet, policySet.agents.get(summary.agent)),
    closing: { needed: 2, roles: CLOSERS, names: closers(policySet), signed: row.signed },
    policy: agentNow(policySet, summary.agent),
    log_size: Number(row.size),
  }
}

/** What lies beside entries, checked against their hash of it; null once erased. */
async function wordsOf(
  database: Database,
  indexes: readonly number[],
): Promise<(index: number, field: string) => string | null> {
  const events = new Map((await fetchEvents(database, indexes)).map((event) => [event.index, event.personal]))
  return (index, field) => {
    const word = events.get(index)?.[field]
    return typeof word === 'string' ? word : null
  }
}

function agentNow(policySet: PolicySet, name: string): AgentNow | null {
  const agent = policySet.agents.get(name)
  if (agent === undefined) return null
  return {
    digest: policySet.digest,
    owner: agent.owner,
    environments: [...agent.environments.values()].flatMap(({ environment, scopes }) => {
      const place = policySet.environments.get(environment)
      if (place === undefined) return []
      const { tier, account, regions } = place
      return [{ environment, tier, account, regions, scopes }]
    }),
  }
}

export type IncidentAnswer<T> =
  | ({ readonly status: 'ok' } & T)
  | { readonly status: 'refused'; readonly code: string }

/** Calls one of the functions of migrations/017-incidents.sql. Throws `WritError` for what it refuses. */
export async function callIncidentFunction<T>(
  database: Pick<Database, 'query'>,
  name: 'open_incident' | 'incident_step' | 'close_incident',
  argument: Readonly<Record<string, unknown>>,
): Promise<T> {
  const [row] = await database.query<{ answer: IncidentAnswer<T> }>(
    `SELECT writ.${name}($1::jsonb) AS answer`,
    [JSON.stringify(argument)],
  )
  if (row === undefined) throw new Error('the database answered nothing')
  if (row.answer.status === 'refused') throw refusedIncident(row.answer.code)
  return row.answer
}

const SENTENCES: Readonly<Record<string, string>> = {
  not_found: 'There is no such incident.',
  not_stopped: 'The agent was released while the incident was being opened.',
  incident_closed: 'The incident is closed: nothing is added to it.',
  already_decided: 'You signed over this evidence already; a second person has to.',
  signed_something_else: 'What was signed is not this incident with evidence that was collected for it.',
  key_unknown: 'This is not a key that you hold.',
  signature_invalid: 'The count of this key went backwards: there may be a copy of it.',
  challenge_over: 'The challenge was answered, or its time is over.',
}

/** A refusal of the database as an error. */
export const refusedIncident = (code: string): WritError =>
  new WritError(code as ErrorCode, SENTENCES[code] ?? 'That is not possible.')
