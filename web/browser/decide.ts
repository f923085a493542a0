import { must, Refused, say, sayProblem, send } from './csrf.js'
import { sign } from './passkey.js'
import { type Asked, commitment, compared, comparedPersonal, parsed } from './signing.js'

/** What a document has that the page cannot know before: each is made for this one signature. */
const FREE = ['nonce', 'issued_at', 'expires_at']

const SAID: Readonly<Record<string, string>> = {
  granted: 'Granted. The agent can use it now.',
  denied: 'Denied. The request is over.',
  pending: 'Your approval is on record. Others have to approve too.',
}

interface Decided {
  readonly state: string
  readonly grant_id: string | null
}

/** As short as a reason may be (migrations/013-signed-decisions.sql). */
const SHORTEST_REASON = 10

const place = document.querySelector<HTMLElement>('#decision')
if (place !== null) setUp(place)

function setUp(place: HTMLElement): void {
  const said = must('#said')
  const buttons = [...document.querySelectorAll<HTMLButtonElement>('button[data-decision]')]
  for (const button of buttons) {
    button.addEventListener('click', async () => {
      for (const one of buttons) one.disabled = true
      try {
        await decide(place, said, button.dataset.decision ?? '')
      } catch (error) {
        sayProblem(said, error)
        said.scrollIntoView({ block: 'nearest' })
        for (const one of buttons) one.disabled = false
      }
    })
  }
  for (const hidden of document.querySelectorAll<HTMLElement>('#decide, #break-glass')) hidden.hidden = false
}

async function decide(place: HTMLElement, said: HTMLElement, choice: string): Promise<void> {
  const { request = '', operator = '' } = place.dataset
  const breakGlass = choice === 'break-glass'
  const decision = choice === 'deny' ? 'deny' : 'approve'
  const comment = must<HTMLTextAreaElement>(breakGlass ? '#glass-reason' : '#comment').value.trim()
  if (breakGlass && comment.length < SHORTEST_REASON) {
    throw new Refused(
      'reason_missing',
      'Breaking glass needs a reason of at least ten characters.',
      'Say why it cannot wait.',
    )
  }
  say(said, 'Asking the broker for what to sign…')
  const asked = await send<Asked>(`/console/requests/${request}/challenge`, {
    decision,
    ...(comment === '' ? {} : { comment }),
    ...(breakGlass ? { break_glass: true } : {}),
  })
  const own = {
    decision,
    approver: operator,
    break_glass: breakGlass,
    // Such a grant may be shorter than what was asked for, as its block says.
    ...(breakGlass ? { valid_seconds: Number(must('#break-glass').dataset.seconds) } : {}),
  }
  const challenge = await looked(asked, own, comment)
  say(said, 'Your device asks for your passkey now.')
  const { rp_id, allow_credentials, timeout_ms } = asked.webauthn
  if (allow_credentials.length === 0) {
    throw new Refused(
      'key_unknown',
      'You have no passkey, only keys for a terminal.',
      `Decide there: writ approve ${request}`,
    )
  }
  const proof = await sign(challenge, rp_id, allow_credentials, timeout_ms)
  say(said, 'Recording…')
  const decided = await send<Decided>(`/console/requests/${request}/decide`, {
    challenge: asked.challenge,
    proof,
  })
  say(said, `${SAID[decided.state] ?? decided.state} Loading what is on record…`, 'done')
  location.reload()
}

/** Everything that is to be signed, held against what stands in this page. Throws `Refused`. */
async function looked(
  asked: Asked,
  own: Readonly<Record<string, unknown>>,
  comment: string,
): Promise<Uint8Array<ArrayBuffer>> {
  // What the page shows under “Raw document”, read from where the human reads it.
  const shown = parsed(must('#shown').textContent)
  const fixed = shown.document as Readonly<Record<string, unknown>>
  await comparedPersonal(asked, fixed.personal, shown.personal as Readonly<Record<string, unknown>>)
  const expected = {
    ...fixed,
    ...own,
    type: 'writ.decision.v1',
    comment: comment === '' ? null : await commitment(asked.comment_salt ?? '', comment),
  }
  return compared(asked, expected, FREE)
}
