/**
 * Checks the entries of a page against the signed log, in this browser: what the page shows, its place in the tree,
 * the signed root, and that the log's key is the one that this browser has seen before.
 */
import { type LogKey, ProofFailure, parseKey, type Verified, verifyEntry } from './merkle.js'

const REMEMBERED = 'writ-log-key'
/** A log is published every second to a folder, every ten seconds to a bucket. */
const TRY_AGAIN_MS = 2_000
const MOST_TRIES = 8

type State = 'checking' | 'verified' | 'unsigned' | 'waiting' | 'failed' | 'unreachable'

interface Outcome {
  readonly state: State
  readonly why: string
  readonly checkpoint?: Verified
}

const WORDS: Readonly<Record<State, readonly [text: string, tone: string]>> = {
  checking: ['checking…', 'quiet'],
  verified: ['✓ verified', 'ok'],
  unsigned: ['hashes verified', 'warn'],
  waiting: ['not yet covered', 'info'],
  failed: ['✗ FAILED', 'danger'],
  unreachable: ['could not be checked', 'warn'],
}

interface Remembered {
  readonly key: string
  readonly since: string
}

const panel = document.querySelector<HTMLElement>('#proof')
const again = panel?.querySelector<HTMLButtonElement>('[data-proof-again]')
again?.addEventListener('click', () => void checkAll())
/** Runs one after the other: the end of one whose key is not the one any more must not be told after the next began. */
let running: Promise<void> = Promise.resolve()
if (panel !== null) void checkAll()

function checkAll(): Promise<void> {
  running = running.then(checkOnce)
  return running
}

async function checkOnce(): Promise<void> {
  if (again) again.hidden = true
  say('Checking in this browser…')
  alarm()
  const lines = [...document.querySelectorAll<HTMLElement>('[data-proof]')]
  for (const line of lines) show(line, { state: 'checking', why: '' })
  try {
    const key = await logKey()
    const outcomes: Outcome[] = []
    for (const line of lines) outcomes.push(await checkLine(line, key))
    conclude(outcomes, key)
  } catch (error) {
    // Without the key there is nothing to check against.
    for (const line of lines) show(line, outcomeOf(error))
    conclude([outcomeOf(error)])
  }
  if (again) again.hidden = false
}

/** The key that counts: the remembered one. Another one from the server is shown as what it is. */
async function logKey(): Promise<LogKey> {
  const { verifier_key: served } = await get<{ verifier_key: string }>('/console/log/key')
  const key = await parseKey(served)
  const known = remembered()
  const kept = known === undefined && remember(served)
  showKey(served, known, kept)
  return known === undefined || known.key === served ? key : parseKey(known.key)
}

async function checkLine(line: HTMLElement, key: LogKey): Promise<Outcome> {
  const index = Number(line.dataset.proof)
  const shown = document.querySelector(`[data-entry="${index}"]`)?.textContent ?? undefined
  for (let tries = 1; ; tries++) {
    const outcome = await check(index, shown, key)
    show(line, outcome)
    if (outcome.state !== 'waiting' || tries === MOST_TRIES) return outcome
    await new Promise((done) => setTimeout(done, TRY_AGAIN_MS))
  }
}

async function check(index: number, shown: string | undefined, key: LogKey): Promise<Outcome> {
  try {
    const { proof } = await get<{ proof: string }>(`/console/log/proof/entry/${index}`)
    const checkpoint = await verifyEntry(proof, key, { index, shown })
    const path = `hashed here; in the log of ${number(checkpoint.size)} entries`
    return checkpoint.signature === 'verified'
      ? { state: 'verified', why: `${path} that was signed`, checkpoint }
      : { state: 'unsigned', why: `${path}; this browser cannot check its Ed25519 signature`, checkpoint }
  } catch (error) {
    return outcomeOf(error)
  }
}

class Refused extends Error {
  readonly code: string
  constructor(code: string, detail: string) {
    super(detail)
    this.code = code
  }
}

async function get<T>(path: string): Promise<T> {
  const response = await fetch(path, { headers: { accept: 'application/json' }, redirect: 'error' })
  const body = (await response.json()) as T & { readonly code?: string; readonly detail?: string }
  if (!response.ok)
    throw new Refused(body.code ?? '', body.detail ?? `The broker answered ${response.status}.`)
  return body
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof ProofFailure) return { state: 'failed', why: error.message }
  if (error instanceof Refused)
    return { state: error.code === 'entry_not_covered' ? 'waiting' : 'unreachable', why: error.message }
  const insecure = !('subtle' in crypto)
  return {
    state: 'unreachable',
    why: insecure
      ? 'This browser hashes on https pages only.'
      : `The broker was not reached, or its answer could not be read${error instanceof Error ? ` (${error.name})` : ''}.`,
  }
}

function conclude(outcomes: readonly Outcome[], key?: LogKey): void {
  const all = (state: State) => outcomes.filter((outcome) => outcome.state === state)
  const failed = all('failed')
  const newest = outcomes.reduce<Verified | undefined>(
    (best, { checkpoint }) => (best === undefined || (checkpoint?.size ?? 0) > best.size ? checkpoint : best),
    undefined,
  )
  panel?.classList.toggle('ok', outcomes.every(({ state }) => state === 'verified') && !keyChanged())
  panel?.classList.toggle(
    'warn',
    failed.length === 0 && (all('unsigned').length > 0 || all('unreachable').length > 0),
  )
  if (failed.length > 0) {
    alarm(
      `${failed.length === 1 ? 'An entry on this page is' : `${failed.length} entries on this page are`} not proven by the signed log: ${failed[0]?.why ?? ''} Do not rely on this page. Keep what you see, and follow docs/operations.md for a record that is not trusted.`,
    )
    say('The check FAILED.')
    return
  }
  const parts = [
    part(all('verified').length, 'is in the signed log, unaltered', 'are in the signed log, unaltered'),
    part(
      all('unsigned').length,
      'hashes rightly; nobody checked the signature',
      'hash rightly; nobody checked the signature',
    ),
    part(all('waiting').length, 'is not yet covered by a checkpoint', 'are not yet covered by a checkpoint'),
    part(all('unreachable').length, 'could not be checked', 'could not be checked'),
  ].filter((text) => text !== '')
  const where =
    newest === undefined
      ? (all('waiting')[0]?.why ?? all('unreachable')[0]?.why ?? '')
      : `Checked in this browser against the checkpoint of ${number(newest.size)} entries, root ${newest.root.slice(0, 16)}…, of ${key?.name ?? ''}.`
  say(`${parts.join('; ')}. ${where}`)
}

const part = (n: number, one: string, many: string): string =>
  n === 0 ? '' : n === 1 ? `One entry ${one}` : `${n} entries ${many}`

const number = (value: number): string => value.toLocaleString('en')

// --- what the page says -----------------------------------------------------------------------------

function show(line: HTMLElement, { state, why }: Outcome): void {
  const [text, tone] = WORDS[state]
  const badge = line.querySelector('[data-proof-state]')
  if (badge !== null) {
    badge.className = `badge ${tone}`
    badge.textContent = text
  }
  const place = line.querySelector('[data-proof-why]')
  if (place !== null) place.textContent = `entry ${line.dataset.proof}${why === '' ? '' : `: ${why}`}`
}

function say(text: string): void {
  const place = panel?.querySelector('[data-proof-summary]')
  if (place) place.textContent = text
}

function alarm(text?: string): void {
  const place = panel?.querySelector<HTMLElement>('[data-proof-alarm]')
  if (!place) return
  if (text !== undefined && !place.hidden) place.textContent += ` ${text}`
  else place.textContent = text ?? ''
  place.hidden = text === undefined
  panel?.classList.toggle('danger', text !== undefined)
}

let changed = false
const keyChanged = (): boolean => changed

function showKey(served: string, known: Remembered | undefined, kept: boolean): void {
  const place = panel?.querySelector<HTMLElement>('[data-proof-key]')
  if (!place) return
  changed = known !== undefined && known.key !== served
  place.hidden = false
  const since = known === undefined ? '' : new Date(known.since).toLocaleString()
  place.replaceChildren(
    line('The log’s public key, to compare with one that you hold:', served),
    line(
      known === undefined
        ? `This browser sees it for the first time, and ${kept ? 'remembers it from now on' : 'can keep nothing: compare it each time'}.`
        : changed
          ? `This browser remembers another one since ${since}, and checks with that:`
          : `It is the one that this browser remembers since ${since}.`,
      changed ? known?.key : undefined,
    ),
  )
  if (!changed) return
  alarm(
    'THE KEY OF THE LOG IS NOT THE ONE THIS BROWSER KNOWS. Unless somebody you trust announced a new key by another way, somebody shows you another log.',
  )
  const accept = document.createElement('button')
  accept.type = 'button'
  accept.textContent = 'I compared the new key with one I got by another way: remember it'
  accept.addEventListener('click', () => {
    remember(served)
    void checkAll()
  })
  place.append(accept)
}

function line(text: string, code?: string): HTMLElement {
  const paragraph = document.createElement('p')
  paragraph.append(text)
  if (code !== undefined) {
    const element = document.createElement('code')
    element.textContent = code
    paragraph.append(' ', element)
  }
  return paragraph
}

function remembered(): Remembered | undefined {
  try {
    const value = JSON.parse(localStorage.getItem(REMEMBERED) ?? 'null') as Partial<Remembered> | null
    return typeof value?.key === 'string' ? { key: value.key, since: String(value.since) } : undefined
  } catch {
    return undefined
  }
}

/** False where the browser keeps nothing: then every visit is the first one. */
function remember(key: string): boolean {
  try {
    localStorage.setItem(REMEMBERED, JSON.stringify({ key, since: new Date().toISOString() }))
    return true
  } catch {
    return false
  }
}
