/** Decisions that a seed repeats. Not for secrets. */
export interface Random {
  /** At least 0, less than 1. */
  readonly next: () => number
  readonly between: (from: number, to: number) => number
  readonly chance: (probability: number) => boolean
  readonly pick: <T>(list: readonly T[]) => T
  readonly weighted: <Name extends string>(weights: Readonly<Record<Name, number>>) => Name
  /** Another stream, so that what one part draws leaves the others' draws alone. */
  readonly fork: (name: string) => Random
}

export function seeded(seed: number): Random {
  let state = seed >>> 0
  // mulberry32: 32 bits of state are plenty for choosing whom to kill.
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 15), z | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
  const pick = <T>(list: readonly T[]): T => {
    const one = list[Math.floor(next() * list.length)]
    if (one === undefined) throw new Error('nothing to pick from')
    return one
  }
  return {
    next,
    between: (from, to) => from + next() * (to - from),
    chance: (probability) => next() < probability,
    pick,
    weighted: <Name extends string>(weights: Readonly<Record<Name, number>>): Name => {
      const all = Object.entries<number>(weights) as [Name, number][]
      let at = next() * all.reduce((sum, [, weight]) => sum + weight, 0)
      for (const [name, weight] of all) {
        at -= weight
        if (at < 0) return name
      }
      return pick(all)[0]
    },
    fork: (name) => {
      let hash = seed >>> 0
      for (const char of name) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0
      return seeded(hash)
    },
  }
}
