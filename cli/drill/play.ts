import { type Answer, type Ask, succeeded } from './http.js'
import type { Stage } from './stage.js'

/** One thing that was tried, and what came of it. */
export interface Attempt {
  readonly what: string
  readonly path: string
  /** What has to work, so that the refusals beside it mean something. */
  readonly control: boolean
  /** Refused with one of these; a refusal for any other reason shows nothing. */
  readonly expected: readonly string[]
  /** Whether it went as it has to. */
  readonly held: boolean
  readonly status: number
  readonly code: string | null
  readonly detail: string | null
  /** Id of the HTTP request. */
  readonly request: string | null
  /** ISO 8601, by the clock of this machine. */
  readonly at: string
  /** From sending it to the answer, milliseconds. */
  readonly answered_ms: number
}

export interface Played {
  readonly attempts: readonly Attempt[]
  /** What could not be tried, and why. */
  readonly skipped: readonly string[]
  /** What else was seen. */
  readonly notes: readonly string[]
}

export interface Scenario {
  readonly name: string
  readonly title: string
  /** What the rogue does, in a sentence. */
  readonly attack: string
  readonly play: (stage: Stage, play: Play) => Promise<void>
}

/** Collects what a scenario tries. */
export class Play implements Played {
  readonly attempts: Attempt[] = []
  readonly skipped: string[] = []
  readonly notes: string[] = []

  /** Something that has to be refused, with one of these codes. */
  async refused(what: string, expected: readonly string[], call: Promise<Answer>): Promise<Answer> {
    const answer = await call
    const held = !succeeded(answer) && expected.includes(answer.code ?? '')
    this.attempts.push({ ...seen(what, answer), control: false, expected, held })
    return answer
  }

  /** Something that has to work. Answers whether it did. */
  async works(what: string, call: Promise<Answer>): Promise<Answer | undefined> {
    const answer = await call
    const held = succeeded(answer)
    this.attempts.push({ ...seen(what, answer), control: true, expected: [], held })
    return held ? answer : undefined
  }

  /** Something that has to be so, as read from an answer. */
  found(what: string, answer: Answer, held: boolean): void {
    this.attempts.push({ ...seen(what, answer), control: false, expected: [], held })
  }
}

const seen = (what: string, { path, status, code, detail, request, sentAt, ms }: Answer) => ({
  what,
  path,
  status,
  code: code ?? null,
  detail: detail ?? null,
  request: request ?? null,
  at: sentAt.toISOString(),
  answered_ms: Math.round(ms * 10) / 10,
})

export const credentials = (ask: Ask, token: string, wish: Wish): Promise<Answer> =>
  ask('POST', '/v1/credentials', token, { reason: REASON, ttl: 60, ...wish })

interface Wish {
  readonly environment: string
  readonly scopes: readonly string[]
  readonly session?: string
  readonly reason?: string
}

/** In the record for ever: whoever reads it later must see that it was a drill. */
export const REASON = 'Drill: writ drill plays a rogue agent'
