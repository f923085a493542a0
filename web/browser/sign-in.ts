import { must, say, sayProblem, send } from './csrf.js'
import { signInWith, supported } from './passkey.js'

const place = must('#passkey')
const said = must('#said')
const button = must<HTMLButtonElement>('#with-passkey')

interface Begun {
  readonly challenge: string
  readonly options: Parameters<typeof signInWith>[0]
}

async function signIn(): Promise<void> {
  say(said, 'Your device asks for your passkey now.')
  const begun = await send<Begun>('/console/sign-in/passkey/options', {})
  const credential = await signInWith(begun.options)
  const to = new URLSearchParams(location.search).get('to') ?? '/console'
  const done = await send<{ readonly to: string }>('/console/sign-in/passkey', {
    challenge: begun.challenge,
    credential,
    to,
  })
  location.assign(done.to)
}

button.addEventListener('click', async () => {
  button.disabled = true
  try {
    await signIn()
  } catch (error) {
    sayProblem(said, error)
    button.disabled = false
  }
})

place.hidden = false
if (!supported())
  say(said, 'This browser has no passkeys here: use a current one, over https or on localhost.')
