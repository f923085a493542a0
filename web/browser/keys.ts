import { must, Refused, say, sayProblem, send } from './csrf.js'
import { type CreationJson, create, sign } from './passkey.js'
import { type Asked, compared, parsed } from './signing.js'

const said = must('#said')

/** One thing at a time; what goes wrong is said, and can be tried again. */
async function run(button: HTMLButtonElement | null, work: () => Promise<string>): Promise<void> {
  if (button !== null) button.disabled = true
  try {
    say(said, await work(), 'done')
    location.reload()
  } catch (error) {
    sayProblem(said, error)
    said.scrollIntoView({ block: 'nearest' })
    if (button !== null) button.disabled = false
  }
}

async function add(label: string): Promise<string> {
  say(said, 'Asking the broker…')
  const begun = await send<{ readonly challenge: string; readonly options: CreationJson }>(
    '/console/keys/options',
    {},
  )
  say(said, 'Your device makes a passkey now.')
  const credential = await create(begun.options)
  await send('/console/keys', { kind: 'passkey', challenge: begun.challenge, credential, label })
  return 'Proposed. Now somebody else has to vouch for it.'
}

async function vouch(id: string): Promise<string> {
  say(said, 'Asking the broker for what to sign…')
  const asked = await send<Asked>(`/console/keys/proposals/${id}/challenge`, {})
  const expected = { ...parsed(must(`#vouch-${id}`).textContent), type: 'writ.vouch.v1' }
  const challenge = await compared(asked, expected, ['nonce', 'issued_at', 'expires_at'])
  const { rp_id, allow_credentials, timeout_ms } = asked.webauthn
  if (allow_credentials.length === 0)
    throw new Refused(
      'key_unknown',
      'You have no passkey to sign with.',
      'Vouch from a terminal: writ keys vouch',
    )
  say(said, 'Your device asks for your passkey now.')
  const proof = await sign(challenge, rp_id, allow_credentials, timeout_ms)
  await send(`/console/keys/proposals/${id}/vouch`, { challenge: asked.challenge, proof })
  return 'Vouched. The key is theirs now.'
}

async function withdraw(id: string): Promise<string> {
  await send(`/console/keys/proposals/${id}/withdraw`, {})
  return 'It waits no more.'
}

async function remove(key: string): Promise<string> {
  await send('/console/keys/remove', { key_id: key })
  return 'Removed.'
}

async function end(session: string): Promise<string> {
  await send(`/console/sessions/${session}/end`, {})
  return 'Ended.'
}

document.addEventListener('click', (event) => {
  const button = event.target instanceof Element ? event.target.closest('button') : null
  if (button === null) return
  const { vouch: vouched, withdraw: withdrawn, remove: removed, end: ended } = button.dataset
  if (vouched !== undefined) void run(button, () => vouch(vouched))
  else if (withdrawn !== undefined) void run(button, () => withdraw(withdrawn))
  else if (removed !== undefined) void run(button, () => remove(removed))
  else if (ended !== undefined) void run(button, () => end(ended))
})

document.querySelector<HTMLFormElement>('#add')?.addEventListener('submit', (event) => {
  event.preventDefault()
  const form = event.currentTarget as HTMLFormElement
  const label = must<HTMLInputElement>('#label').value.trim()
  void run(form.querySelector('button'), () => add(label))
})
