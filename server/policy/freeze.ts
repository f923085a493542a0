const refuse = (): never => {
  throw new TypeError('the policy set is immutable')
}

/** A map that cannot be changed: `Object.freeze` alone leaves `set` and `delete` working. */
export function frozenMap<K, V>(entries: Iterable<readonly [K, V]>): ReadonlyMap<K, V> {
  const map = new Map(entries)
  for (const value of map.values()) deepFreeze(value)
  return seal(map, ['set', 'delete', 'clear'])
}

/** A set that cannot be changed. */
export const frozenSet = <T>(values: Iterable<T>): ReadonlySet<T> =>
  seal(new Set(values), ['add', 'delete', 'clear'])

function seal<T extends object>(collection: T, mutators: readonly string[]): T {
  for (const name of mutators) Object.defineProperty(collection, name, { value: refuse })
  return Object.freeze(collection)
}

/** Freezes plain objects and arrays all the way down; maps and sets are frozen where they are made. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const one of Object.values(value)) deepFreeze(one)
  return value
}
