import { must, say, sayProblem, send } from './csrf.js'
import { type CreationJson, create } from './passkey.js'

const form = must<HTMLFormElement>('#enrol')
const said = must('#said')
const operator = must<HTMLInputElement>('#operator')
const code = must<HTMLInputElement>('#code')

// From the link's fragment, and out of the address bar and the history at once: the code is a secret.
const given = new URLSearchParams(location.hash.slice(1))
if (location.hash !== '') history.replaceState(null, '', location.pathname)
operator.value = given.get('operator') ?? ''
code.value = given.get('code') ?? ''
form.hidden = false

interface Begun {
  readonly challenge: string
  readonly options: CreationJson
}

async function enrol(): Promise<void> {
  const holder = { operator: operator.value.trim(), code: code.value.trim() }
  say(said, 'Checking the code…')
  const begun = await send<Begun>('/v1/operator-keys/enrol/options', holder)
  say(said, 'Your device makes a passkey now.')
  const credential = await create(begun.options)
  const label = must<HTMLInputElement>('#label').value.trim()
  await send('/v1/operator-keys/enrol', { ...holder, challenge: begun.challenge, credential, label })
  code.value = ''
  form.hidden = true
  say(said, 'Your passkey is enrolled.', 'done')
  const link = document.createElement('a')
  link.href = '/console/sign-in'
  link.className = 'button strong'
  link.textContent = 'Sign in'
  said.append(link)
}

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const button = form.querySelector('button')
  if (button !== null) button.disabled = true
  try {
    await enrol()
  } catch (error) {
    sayProblem(said, error)
    if (button !== null) button.disabled = false
  }
})
