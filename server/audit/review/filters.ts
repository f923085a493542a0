import { isIP } from 'node:net'
import type { Database } from '../../db/pool.js'
import {
  allEntries,
  allIntents,
  type Driver,
  either,
  entriesWith,
  entriesWithAny,
  intentsThat,
  intentsWith,
  openIntents,
  type Range,
  these,
} from './drivers.js'
import {
  addressesIn,
  boundsOf,
  environmentOf,
  intentsOn,
  issuanceOfKey,
  issuancesOn,
  MOST_STREAMS,
  scopeSets,
} from './facts.js'
import type { Condition, Search } from './search.js'

export type IssuanceState = 'intended' | 'issued' | 'failed' | 'abandoned'

/** What both listings can be narrowed by; all of it has to hold. Values are already of their shape. */
interface CommonFilter {
  readonly agent?: string | undefined
  readonly environment?: string | undefined
  readonly human?: string | undefined
  readonly tier?: string | undefined
  /** Among the scopes asked for. */
  readonly scope?: string | undefined
  /** An IAM action that a scope asked for allows. */
  readonly action?: string | undefined
  /** ARN. */
  readonly role?: string | undefined
  readonly state?: IssuanceState | undefined
  readonly grant?: string | undefined
  readonly access_key?: string | undefined
  /** An address or a CIDR block. */
  readonly network?: string | undefined
  readonly code?: string | undefined
  /** ISO 8601, inclusive. */
  readonly since?: string | undefined
  /** ISO 8601, exclusive. */
  readonly until?: string | undefined
}

export type IssuanceFilter = CommonFilter

export interface EventFilter extends CommonFilter {
  readonly kind?: string | undefined
  readonly operator?: string | undefined
  readonly issuance?: string | undefined
  readonly request?: string | undefined
}

/** Collects what a filter asks for; `undefined` asks for nothing. */
class Asked {
  readonly conditions: Condition[] = []
  readonly drivers: Driver[] = []
  nothing = false

  /** A condition, and what finds it, if anything does in order. */
  add(condition: Condition, driver?: Driver): void {
    this.conditions.push(condition)
    if (driver !== undefined) this.drivers.push(driver)
  }

  search(of: Search['of'], range: Search['range'], all: Driver): Search {
    const drivers = this.drivers.length === 0 ? [all] : this.drivers
    const exact =
      drivers.length === 1 &&
      drivers[0]?.exact === true &&
      this.conditions.length === (drivers[0] === all ? 0 : 1)
    return { of, range, conditions: this.conditions, drivers, exact, nothing: this.nothing }
  }
}

/** Entries of the log. `role`, `state` and `access_key` select all entries of the issuances they fit. */
export async function searchEvents(database: Database, filter: EventFilter): Promise<Search> {
  const { range, settled } = await boundsOf(database, filter)
  const asked = new Asked()
  const columns = [
    ['kind', filter.kind],
    ['agent', filter.agent],
    ['environment', filter.environment],
    ['human', filter.human],
    ['operator', filter.operator],
    ['issuance_id', filter.issuance],
    ['request_id', filter.request],
    ['grant_id', filter.grant],
    ['code', filter.code],
    ['tier', filter.tier],
  ] as const
  for (const [column, value] of columns) {
    if (value !== undefined) asked.add((add) => `e.${column} = ${add(value)}`, entriesWith(column, value))
  }
  await addScopes(database, filter, asked, true)
  await addNetwork(database, filter, range, asked, true)
  const { access_key, role, state } = filter
  if (access_key !== undefined) {
    const issuance = await issuanceOfKey(database, access_key)
    if (issuance === undefined) asked.nothing = true
    else {
      asked.add((add) => `e.issuance_id = ${add(issuance.id)}`, entriesWith('issuance_id', issuance.id))
    }
  }
  if (role !== undefined) {
    const environment = await environmentOf(database, role)
    if (environment === undefined) asked.nothing = true
    else {
      const few = await issuancesOn(database, role)
      asked.add(
        (add) => `(SELECT i.role_arn FROM writ.intent i WHERE i.issuance_id = e.issuance_id) = ${add(role)}`,
        few === undefined
          ? { ...entriesWith('environment', environment), exact: false }
          : entriesWithAny('issuance_id', few),
      )
      if (few?.length === 0) asked.nothing = true
    }
  }
  if (state !== undefined) {
    asked.add(
      (add) => `(SELECT v.state FROM writ.issuance v WHERE v.issuance_id = e.issuance_id) = ${add(state)}`,
      state === 'intended' ? openIntents(settled) : entriesOf(state),
    )
  }
  return asked.search('events', range, allEntries)
}

/** The intent, the outcome, and each time an issued session was handed out again. */
function entriesOf(state: Exclude<IssuanceState, 'intended'>): Driver {
  const kinds = state === 'issued' ? ['issuance.issued', 'issuance.delivered'] : [`issuance.${state}`]
  return either([intentsThat(state), ...kinds.map((kind) => entriesWith('kind', kind))])
}

/** Issuances, in the order of their intents. */
export async function searchIssuances(database: Database, filter: IssuanceFilter): Promise<Search> {
  const { range, settled } = await boundsOf(database, filter)
  const asked = new Asked()
  const columns = [
    ['agent', filter.agent],
    ['environment', filter.environment],
    ['role_arn', filter.role],
  ] as const
  for (const [column, value] of columns) {
    if (value !== undefined) asked.add((add) => `i.${column} = ${add(value)}`, intentsWith(column, value))
  }
  for (const column of ['human', 'tier'] as const) {
    const value = filter[column]
    // Other entries of these find no issuance: only the entry of an intent does.
    if (value !== undefined)
      asked.add((add) => `e.${column} = ${add(value)}`, { ...entriesWith(column, value), exact: false })
  }
  await addScopes(database, filter, asked, false)
  await addNetwork(database, filter, range, asked, false)
  const { access_key, state, grant, code } = filter
  if (access_key !== undefined) {
    const issuance = await issuanceOfKey(database, access_key)
    if (issuance === undefined) asked.nothing = true
    else asked.add((add) => `i.issuance_id = ${add(issuance.id)}`, these([issuance.idx]))
  }
  if (grant !== undefined) {
    const intents = await intentsOn(database, grant)
    asked.add((add) => `i.grant_id = ${add(grant)}`, these(intents))
  }
  if (state !== undefined) {
    asked.add(
      (add) => `coalesce(o.state, 'intended') = ${add(state)}`,
      state === 'intended' ? openIntents(settled) : intentsThat(state),
    )
  }
  if (code !== undefined) {
    asked.add((add) => `o.error_code = ${add(code)}`, { ...intentsThat('failed'), exact: false })
  }
  return asked.search('issuances', range, allIntents)
}

async function addScopes(database: Database, filter: CommonFilter, asked: Asked, exact: boolean) {
  if (filter.scope === undefined && filter.action === undefined) return
  const sets = await scopeSets(database, filter)
  if (sets.length === 0) asked.nothing = true
  const driver = sets.length > MOST_STREAMS ? undefined : entriesWithAny('scope_set', sets)
  asked.add(
    (add) => `e.scope_set = ANY (${add(sets)}::integer[])`,
    driver === undefined ? undefined : { ...driver, exact },
  )
}

async function addNetwork(
  database: Database,
  { network }: CommonFilter,
  range: Range,
  asked: Asked,
  exact: boolean,
) {
  if (network === undefined) return
  if (isIP(network) > 0) {
    asked.add((add) => `e.source_ip = ${add(network)}::inet`, {
      ...entriesWith('source_ip', network),
      exact,
    })
    return
  }
  const addresses = await addressesIn(database, network, range)
  if (addresses?.length === 0) asked.nothing = true
  asked.add(
    (add) => `e.source_ip <<= ${add(network)}::inet`,
    addresses === undefined ? undefined : { ...entriesWithAny('source_ip', addresses), exact },
  )
}
