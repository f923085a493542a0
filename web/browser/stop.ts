import { must, Refused, say, sayProblem, send } from './csrf.js'
import { sign } from './passkey.js'
import { type Asked, compared, parsed } from './signing.js'

/** Stopping and killing, which take a reason and no signature, and signing that a stop may end. */

const text = (data: FormData, name: string): string => String(data.get(name) ?? '').trim()

async function stop(form: HTMLFormElement): Promise<void> {
  const data = new FormData(form)
  const kind = form.dataset.stop || text(data, 'kind')
  if (kind === 'everything' && text(data, 'word') !== 'EVERYTHING') {
    throw new Refused(
      'word_missing',
      'Nothing was stopped.',
      'Type EVERYTHING, in capitals, to stop everything.',
    )
  }
  const name = kind === 'everything' ? '*' : (form.dataset.name ?? text(data, 'name'))
  try {
    await send('/console/stops', { kind, name, reason: text(data, 'reason') })
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== 'no_answer') throw error
    throw new Refused(
      'no_answer',
      error.message,
      'It may be stopped and it may not. Press again: twice does no harm.',
    )
  }
}

async function kill(form: HTMLFormElement): Promise<void> {
  const reason = text(new FormData(form), 'reason')
  await send(`/console/issuances/${form.dataset.kill ?? ''}/revoke`, { reason })
}

interface Signed {
  readonly released: boolean
  readonly signed: number
  readonly needed: number
}

async function release(id: string, tell: (text: string) => void): Promise<string> {
  tell('Asking the broker for what to sign…')
  const path = `/console/stops/${id}`
  const asked = await send<Asked>(`${path}/challenge`, {})
  const expected = { ...parsed(must(`#release-${id}`).textContent), type: 'writ.release.v1' }
  const challenge = await compared(asked, expected, ['nonce', 'issued_at', 'expires_at'])
  const { rp_id, allow_credentials, timeout_ms } = asked.webauthn
  if (allow_credentials.length === 0)
    throw new Refused(
      'key_unknown',
      'You have no passkey to sign with.',
      'Sign from a terminal: writ release',
    )
  tell('Your device asks for your passkey now.')
  const proof = await sign(challenge, rp_id, allow_credentials, timeout_ms)
  tell('Recording…')
  const { released, signed, needed } = await send<Signed>(`${path}/release`, {
    challenge: asked.challenge,
    proof,
  })
  return released
    ? 'Released.'
    : `Signed: ${signed} of ${needed}. It stays stopped until somebody else signs too.`
}

document.addEventListener('submit', async (event) => {
  const form = event.target
  if (!(form instanceof HTMLFormElement)) return
  const killing = form.dataset.kill !== undefined
  if (!killing && form.dataset.stop === undefined) return
  event.preventDefault()
  const said = form.querySelector<HTMLElement>('[role="status"]')
  const button = form.querySelector('button')
  if (said === null || button === null) return
  button.disabled = true
  try {
    say(said, killing ? 'Asking…' : 'Stopping…')
    await (killing ? kill(form) : stop(form))
    say(said, 'Done. Loading what is on record…', 'done')
    location.reload()
  } catch (error) {
    sayProblem(said, error)
    button.disabled = false
  }
})

document.addEventListener('click', async (event) => {
  const button = event.target instanceof Element ? event.target.closest('button') : null
  const id = button?.dataset.release
  if (button === null || id === undefined) return
  // Looked up each time: the card is another one once somebody else has signed.
  const said = (): HTMLElement => must(`#said-${id}`)
  button.disabled = true
  try {
    const done = await release(id, (what) => say(said(), what))
    say(said(), `${done} Loading what is on record…`, 'done')
    location.reload()
  } catch (error) {
    sayProblem(said(), error)
    button.disabled = false
  }
})

for (const details of document.querySelectorAll<HTMLDetailsElement>('details.stop')) {
  details.addEventListener('toggle', () => {
    // Where more is to be filled in, the reason is not the first.
    if (details.open && details.querySelector('select') === null)
      details.querySelector<HTMLElement>('[name="reason"]')?.focus()
  })
}

const kind = document.querySelector<HTMLSelectElement>('#stop-kind')
const choose = (): void => {
  if (kind === null) return
  const all = kind.value === 'everything'
  must('[data-for="name"]').hidden = all
  must('[data-for="everything"]').hidden = !all
  const name = must<HTMLInputElement>('#stop-name')
  name.required = !all
  name.setAttribute('list', `known-${kind.value}`)
}
kind?.addEventListener('change', choose)
choose()
