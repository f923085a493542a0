import { createHash } from 'node:crypto'

/**
 * Which events were counted already: CloudTrail may deliver one twice, and folders overlap. 16 bytes of
 * SHA-256 each, in one flat table at most half full, because a Set of strings takes some 100 bytes an event.
 */
export class SeenEvents {
  #table = new BigUint64Array(2 * 1024)
  #count = 0

  /** True the first time. */
  add(id: string): boolean {
    const hash = createHash('sha256').update(id).digest()
    // Zero marks an empty slot.
    if (!insert(this.#table, hash.readBigUInt64LE(0) | 1n, hash.readBigUInt64LE(8))) return false
    this.#count++
    if (this.#count * 4 > this.#table.length) this.#grow()
    return true
  }

  #grow(): void {
    const old = this.#table
    this.#table = new BigUint64Array(old.length * 2)
    for (let at = 0; at < old.length; at += 2) {
      const high = old[at]
      if (high !== undefined && high !== 0n) insert(this.#table, high, old[at + 1] ?? 0n)
    }
  }
}

function insert(table: BigUint64Array, high: bigint, low: bigint): boolean {
  const slots = table.length / 2
  let slot = Number(low & BigInt(slots - 1))
  for (;;) {
    const found = table[slot * 2]
    if (found === 0n) {
      table[slot * 2] = high
      table[slot * 2 + 1] = low
      return true
    }
    if (found === high && table[slot * 2 + 1] === low) return false
    slot = (slot + 1) % slots
  }
}
