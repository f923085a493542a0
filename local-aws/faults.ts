import { AwsFault } from './answer.js'

/** A call that is being held: neither answered nor cut off until the test says so. */
export interface Held {
  /** Settles when a call has been caught. */
  readonly caught: Promise<void>
  /** Lets it go on as if nothing had happened. */
  readonly release: () => void
  /** Cuts the connection without an answer. */
  readonly drop: () => void
}

export interface Faults {
  /** The next `times` calls of an operation (`AssumeRole` unless named; also S3's: `PutObject`) fail this way. */
  readonly fail: (
    kind: keyof typeof KINDS,
    options?: { readonly action?: string; readonly times?: number },
  ) => void
  /** Holds the next call: `before` anything has happened, or `after` it took effect, with the answer undelivered. */
  readonly hold: (when: 'before' | 'after', action?: string) => Held
}

/** Thrown to end a call without an answer. */
export class Dropped extends Error {
  override readonly name = 'Dropped'
}

const KINDS = {
  throttling: () => new AwsFault('Throttling', 400, 'Rate exceeded'),
  internal: () =>
    new AwsFault('InternalFailure', 500, 'The request processing has failed because of an unknown error'),
  'access-denied': () => new AwsFault('AccessDenied', 403, 'User is not authorized to perform this action'),
} as const

interface Planned {
  readonly action: string
  readonly when: 'before' | 'after'
  readonly strike: () => Promise<void>
}

export interface FaultPlan {
  readonly faults: Faults
  /** Runs a call through whatever is planned for its action. Throws AwsFault or Dropped. */
  readonly around: <T>(action: string, run: () => T) => Promise<T>
  /** Drops every held call, so that the server can close. */
  readonly dropAll: () => void
}

interface Settleable {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/** `Promise.withResolvers`, which Node 20 does not have. */
function settleable(): Settleable {
  let resolve: () => void = () => undefined
  let reject: (reason: Error) => void = () => undefined
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

export function faultPlan(): FaultPlan {
  const planned: Planned[] = []
  const held = new Set<() => void>()
  const take = (action: string, when: Planned['when']): Planned | undefined => {
    const at = planned.findIndex((one) => one.action === action && one.when === when)
    return at < 0 ? undefined : planned.splice(at, 1)[0]
  }
  const hold: Faults['hold'] = (when, action = 'AssumeRole') => {
    const caught = settleable()
    const fate = settleable()
    const drop = (): void => fate.reject(new Dropped())
    // A fate decided before any call was caught must not count as an unhandled rejection.
    fate.promise.catch(() => undefined)
    held.add(drop)
    const strike = (): Promise<void> => {
      caught.resolve()
      return fate.promise.finally(() => held.delete(drop))
    }
    planned.push({ action, when, strike })
    return { caught: caught.promise, release: () => fate.resolve(), drop }
  }
  return {
    faults: {
      fail: (kind, { action = 'AssumeRole', times = 1 } = {}) => {
        for (let n = 0; n < times; n++)
          planned.push({ action, when: 'before', strike: () => Promise.reject(KINDS[kind]()) })
      },
      hold,
    },
    around: async (action, run) => {
      await take(action, 'before')?.strike()
      const result = run()
      await take(action, 'after')?.strike()
      return result
    },
    dropAll: () => {
      for (const drop of held) drop()
    },
  }
}
