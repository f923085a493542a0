import { isIPv6 } from 'node:net'
import { LRUCache } from 'lru-cache'
import { WritError } from '../errors.js'

const MOST_WRONG = 10
const WINDOW_MS = 60_000
/** Addresses remembered at once; who has more of them to spare than that is not held up by this. */
const REMEMBERED = 10_000

/** Wrong codes from each address, on this replica. */
export interface Attempts {
  /** Counts an attempt; the answer takes it back, for one that was right. Throws `WritError` code_attempts. */
  readonly begin: (address: string) => () => void
}

/**
 * At most ten wrong codes a minute from one address. No guess comes near 140 bits; this keeps guessing from filling
 * the record. Counted before the code is looked at, so that many at once do not all find room.
 */
export function createAttempts(now: () => Date): Attempts {
  const seen = new LRUCache<string, { count: number; readonly until: number }>({ max: REMEMBERED })
  return {
    begin: (address) => {
      const network = networkOf(address)
      const at = now().getTime()
      const before = seen.get(network)
      const here = before !== undefined && at < before.until ? before : { count: 0, until: at + WINDOW_MS }
      if (here.count >= MOST_WRONG) {
        throw new WritError('code_attempts', 'Too many wrong codes came from your address.', {
          retryAfterSeconds: Math.ceil((here.until - at) / 1000),
        })
      }
      here.count += 1
      seen.set(network, here)
      return () => {
        here.count -= 1
      }
    },
  }
}

/** Whoever has an IPv6 address has its whole /64. */
function networkOf(address: string): string {
  const [plain = ''] = address.split('%', 1)
  if (!isIPv6(plain) || /^::ffff:\d+\./i.test(plain)) return plain
  const [head = '', tail] = plain.split('::', 2)
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  return [...left, ...Array<string>(zeros).fill('0'), ...right].slice(0, 4).join(':')
}
