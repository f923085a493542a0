import type { Test } from 'tap'
import { type ErrorCode, WritError } from '../../server/errors.js'
import { createVerifier, type Verifier, type VerifierOptions } from '../../server/identity/verifier.js'
import type { Identity, TrustedIssuer } from '../../server/types.js'
import { startIssuer, type TestAlgorithm, type TestIssuer } from '../support/issuer.js'

export interface Bench {
  readonly issuer: TestIssuer
  readonly verifier: Verifier
  /** The clock; tests move it. */
  readonly clock: { now: Date }
  /** What policy trusts; tests replace it. */
  readonly policy: { issuers: readonly TrustedIssuer[] }
  readonly logged: unknown[]
  /** Claims that verify now. */
  claims(overrides?: Readonly<Record<string, unknown>>): Record<string, unknown>
  verify(token: string): Promise<Identity>
  /** Passes when `token` is refused with this code and the refusal repeats nothing of it. */
  refuses(token: string, code: ErrorCode, name: string): Promise<WritError | undefined>
  advance(seconds: number): void
}

export interface BenchOptions {
  readonly algorithms?: readonly TestAlgorithm[]
  readonly trusted?: Partial<TrustedIssuer>
  readonly verifier?: Partial<VerifierOptions>
}

/** A verifier in front of a real issuer, and a clock that stands still. */
export async function bench(t: Test, options: BenchOptions = {}): Promise<Bench> {
  const issuer = await startIssuer(options.algorithms)
  const clock = { now: new Date('2026-11-21T12:00:00Z') }
  const policy = { issuers: [issuer.trusted(options.trusted)] as readonly TrustedIssuer[] }
  const logged: unknown[] = []
  const verifier = createVerifier({
    issuers: () => policy.issuers,
    now: () => clock.now,
    log: { warn: (...entry) => logged.push(entry) },
    ...options.verifier,
  })
  t.teardown(async () => {
    verifier.close()
    await issuer.close()
  })
  const verify = (token: string) => verifier.verify(`Bearer ${token}`, 'agents')
  return {
    issuer,
    verifier,
    clock,
    policy,
    logged,
    claims: (overrides) => issuer.claims(clock.now, overrides),
    verify,
    refuses: (token, code, name) => refused(t, () => verify(token), code, name, token),
    advance(seconds) {
      clock.now = new Date(clock.now.getTime() + seconds * 1000)
    },
  }
}

/** Passes when `call` throws this code, and nothing the caller sees repeats a part of `token`. */
export async function refused(
  t: Test,
  call: () => Promise<unknown>,
  code: ErrorCode,
  name: string,
  token = '',
): Promise<WritError | undefined> {
  try {
    await call()
  } catch (error) {
    if (!(error instanceof WritError)) {
      t.fail(`${name}: threw something else`, { error })
      return undefined
    }
    t.equal(error.code, code, name)
    t.equal(leakOf(error, token), undefined, `${name}: repeats nothing of the token`)
    return error
  }
  t.fail(`${name}: was accepted`)
  return undefined
}

/** The part of the token that an error repeats. Parts of a few characters occur by chance. */
export function leakOf(error: WritError, token: string): string | undefined {
  const shown = [
    error.message,
    error.stack,
    JSON.stringify(error),
    String(error.cause),
    JSON.stringify(error.extra),
  ]
  const text = shown.join('\n')
  return [token, ...token.split('.')].find((part) => part.length >= 8 && text.includes(part))
}
