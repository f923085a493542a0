import type { Parameters } from './parameters.js'

export type Order = 'desc' | 'asc'

/** Indexes of the log from `lo` up to and without `hi`. */
export interface Range {
  readonly lo: number
  readonly hi: number
}

/**
 * A way to find candidates in the order of the log, by an index alone. Its streams are each in order and are
 * merged by whoever asks: `= ANY (many) ORDER BY idx` would read and sort all that match.
 */
export interface Driver {
  readonly streams: number
  /** It finds what its filter asks for and nothing else. */
  readonly exact: boolean
  /** A SELECT of `stream` and `idx`: the first `most` of each stream. */
  readonly sql: (add: Parameters['add'], range: Range, order: Order, most: number) => string
}

type EntryColumn = keyof typeof TYPES

/** Columns of `writ.entry` that have an index ending in `idx`. */
const TYPES = {
  kind: 'text',
  agent: 'text',
  environment: 'text',
  human: 'text',
  operator: 'text',
  issuance_id: 'text',
  request_id: 'text',
  grant_id: 'text',
  code: 'text',
  tier: 'text',
  scope_set: 'integer',
  source_ip: 'inet',
} as const

/**
 * Ordered by the column first and compared by ANY: with `=` the planner knows the column to be the same on every
 * row, and may walk the primary key backwards instead, which for a value that is only long ago reads everything
 * since.
 */
function ordered(table: string, column: string, idx: string, order: Order, mixed = false) {
  const [down, up] = order === 'desc' ? (['DESC', 'ASC'] as const) : (['ASC', 'DESC'] as const)
  return {
    from: `SELECT ${idx} AS idx FROM ${table}`,
    by: `ORDER BY ${column} ${mixed ? up : down}, ${idx} ${down}`,
  }
}

const within = (add: Parameters['add'], idx: string, { lo, hi }: Range): string => {
  const below = `${idx} < ${add(hi)}::bigint`
  // Left out where it says nothing: without statistics the planner takes two bounds for a short stretch.
  return lo === 0 ? below : `${idx} >= ${add(lo)}::bigint AND ${below}`
}

/** Entries that say this. */
export function entriesWith(column: EntryColumn, value: string | number): Driver {
  return {
    streams: 1,
    exact: true,
    sql: (add, range, order, most) => {
      const { from, by } = ordered('writ.entry e', `e.${column}`, 'e.idx', order)
      return `SELECT 0 AS stream, d.idx FROM (${from} WHERE e.${column} = ANY (${add([value])}::${TYPES[column]}[])
        AND e.${column} IS NOT NULL AND ${within(add, 'e.idx', range)} ${by} LIMIT ${add(most)}) d`
    },
  }
}

/** Entries that say one of these; a stream each. */
export function entriesWithAny(column: EntryColumn, values: readonly (string | number)[]): Driver {
  return {
    streams: values.length,
    exact: true,
    sql: (add, range, order, most) => {
      const { from, by } = ordered('writ.entry e', `e.${column}`, 'e.idx', order)
      return `SELECT s.stream, d.idx FROM unnest(${add(values)}::${TYPES[column]}[]) WITH ORDINALITY s(value, stream),
        LATERAL (${from} WHERE e.${column} = ANY (ARRAY[s.value]) AND e.${column} IS NOT NULL
          AND ${within(add, 'e.idx', range)} ${by} LIMIT ${add(most)}) d`
    },
  }
}

/** Every entry, for what no index finds. */
export const allEntries = everyOne('writ.entry e', 'e.idx')

/** The entry of every issuance's intent. */
export const allIntents = everyOne('writ.intent i', 'i.entry_idx')

function everyOne(table: string, idx: string): Driver {
  return {
    streams: 1,
    exact: true,
    sql: (add, range, order, most) =>
      `SELECT 0 AS stream, d.idx FROM (SELECT ${idx} AS idx FROM ${table} WHERE ${within(add, idx, range)}
        ORDER BY ${idx} ${order} LIMIT ${add(most)}) d`,
  }
}

/** Intents that say this. The indexes on agent and environment run backwards in `entry_idx` alone. */
export function intentsWith(column: 'agent' | 'environment' | 'role_arn', value: string): Driver {
  return {
    streams: 1,
    exact: true,
    sql: (add, range, order, most) => {
      const mixed = column !== 'role_arn'
      const { from, by } = ordered('writ.intent i', `i.${column}`, 'i.entry_idx', order, mixed)
      return `SELECT 0 AS stream, d.idx FROM (${from} WHERE i.${column} = ANY (${add([value])}::text[])
        AND ${within(add, 'i.entry_idx', range)} ${by} LIMIT ${add(most)}) d`
    },
  }
}

/** Intents of issuances that came out like this. */
export function intentsThat(state: 'issued' | 'failed' | 'abandoned'): Driver {
  return {
    streams: 1,
    exact: true,
    sql: (add, range, order, most) => {
      const { from, by } = ordered('writ.outcome o', 'o.state', 'o.intent_idx', order)
      return `SELECT 0 AS stream, d.idx FROM (${from} WHERE o.state = ANY (${add([state])}::text[])
        AND ${within(add, 'o.intent_idx', range)} ${by} LIMIT ${add(most)}) d`
    },
  }
}

/** Intents without an outcome: none lies below `settled`. */
export function openIntents(settled: number): Driver {
  return {
    streams: 1,
    exact: true,
    sql: (add, { lo, hi }, order, most) =>
      `SELECT 0 AS stream, d.idx FROM (SELECT i.entry_idx AS idx FROM writ.intent i
        WHERE ${within(add, 'i.entry_idx', { lo: Math.max(lo, settled), hi })}
          AND (SELECT o.state FROM writ.outcome o WHERE o.issuance_id = i.issuance_id) IS NULL
        ORDER BY i.entry_idx ${order} LIMIT ${add(most)}) d`,
  }
}

/** Found by other means already; few. */
export function these(indexes: readonly number[]): Driver {
  return {
    streams: 1,
    exact: true,
    sql: (add, range, order, most) =>
      `SELECT 0 AS stream, d.idx FROM (SELECT u.idx FROM unnest(${add(indexes)}::bigint[]) u(idx)
        WHERE ${within(add, 'u.idx', range)} ORDER BY u.idx ${order} LIMIT ${add(most)}) d`,
  }
}

/** What any of these finds. */
export function either(drivers: readonly Driver[]): Driver {
  return {
    streams: drivers.reduce((sum, { streams }) => sum + streams, 0),
    exact: drivers.every(({ exact }) => exact),
    sql: (add, range, order, most) =>
      drivers
        .map((driver, n) => {
          const before = drivers.slice(0, n).reduce((sum, { streams }) => sum + streams, 0)
          return `SELECT ${before} + d${n}.stream AS stream, d${n}.idx FROM (${driver.sql(add, range, order, most)}) d${n}`
        })
        .join(' UNION ALL '),
  }
}
