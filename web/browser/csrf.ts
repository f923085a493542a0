/** What the server refused: its code, its sentence, and what to do next. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly code: string
  readonly next: string
  constructor(code: string, text: string, next = '') {
    super(text)
    this.code = code
    this.next = next
  }
}

const token = (): string => document.querySelector<HTMLMetaElement>('meta[name="csrf"]')?.content ?? ''

/** Sends JSON as this page, and answers the JSON that comes back. Throws `Refused`. */
export async function send<T>(path: string, body: unknown, method = 'POST'): Promise<T> {
  let response: Response
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      // A redirect would be to the sign-in page: not an answer to this.
      redirect: 'error',
      headers: { 'content-type': 'application/json', accept: 'application/json', 'x-writ-csrf': token() },
      body: JSON.stringify(body),
    })
  } catch {
    throw new Refused('no_answer', 'The broker did not answer.', 'Check the connection, then try again.')
  }
  const text = await response.text()
  let answer: unknown
  try {
    answer = text === '' ? undefined : JSON.parse(text)
  } catch {
    throw new Refused('no_answer', `The answer cannot be read (status ${response.status}).`, 'Try again.')
  }
  if (response.ok) return answer as T
  const { code, detail, next } = (answer ?? {}) as Readonly<Record<string, unknown>>
  throw new Refused(
    typeof code === 'string' ? code : `status_${response.status}`,
    typeof detail === 'string' ? detail : 'The broker refused.',
    typeof next === 'string' ? next : '',
  )
}

/** Says something in a status line, as text: nothing that anybody wrote becomes markup. */
export function say(place: HTMLElement, text: string, kind: 'busy' | 'done' = 'busy'): void {
  const line = document.createElement('p')
  line.textContent = text
  if (kind === 'done') line.className = 'done'
  place.replaceChildren(line)
}

/** Says what went wrong, with its code and the next step. */
export function sayProblem(place: HTMLElement, error: unknown): void {
  const known =
    error instanceof Refused
      ? error
      : new Refused('page_error', 'Something went wrong in this page.', 'Reload it and try again.')
  if (!(error instanceof Refused)) console.error(error)
  const box = document.createElement('div')
  box.className = 'problem'
  const lines: readonly (readonly [string, string])[] = [
    ['p', known.message],
    ['p', known.next],
    ['code', known.code],
  ]
  for (const [tag, text] of lines) {
    if (text === '') continue
    const line = document.createElement(tag)
    line.textContent = text
    box.append(line)
  }
  if (AGAIN.includes(known.code)) {
    const link = document.createElement('a')
    link.className = 'button'
    link.href = `/console/sign-in?${new URLSearchParams({ again: '1', to: location.pathname })}`
    link.textContent = 'Sign in again'
    box.append(link)
  }
  place.replaceChildren(box)
}

/** Refusals that signing in mends. */
const AGAIN: readonly string[] = ['proof_stale', 'session_missing', 'csrf']

/** An element of this page that has to be there. */
export function must<T extends HTMLElement>(selector: string): T {
  const element = document.querySelector<T>(selector)
  if (element === null) throw new Error(`${selector} is missing`)
  return element
}
