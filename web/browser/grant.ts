import { Refused, say, sayProblem, send } from './csrf.js'

/** Forms that change something without a signature: revoking, reviewing, and opening a request of one's own. */
type Work = (form: HTMLFormElement, data: FormData, button: HTMLElement | null) => Promise<string>

const text = (data: FormData, name: string): string => String(data.get(name) ?? '').trim()

const revoke: Work = async (form, data) => {
  await send(`/console/grants/${form.dataset.revoke ?? ''}/revoke`, { reason: text(data, 'reason') })
  return location.href
}

const review: Work = async (form, data, button) => {
  const verdict = button instanceof HTMLButtonElement ? button.value : ''
  const body = { verdict, comment: text(data, 'comment') }
  await send(`/console/grants/${form.dataset.review ?? ''}/review`, body)
  return location.href
}

const open: Work = async (form, data) => {
  const scopes = data.getAll('scope').map(String)
  if (scopes.length === 0) throw new Refused('scopes_missing', 'No scope is chosen.', 'Choose at least one.')
  const ticket = text(data, 'ticket')
  const { id } = await send<{ readonly id: string }>('/console/grants', {
    agent: form.dataset.agent,
    environment: form.dataset.environment,
    scopes,
    uses: Number(text(data, 'uses')),
    valid_for: Number(text(data, 'valid')),
    reason: text(data, 'reason'),
    ...(ticket === '' ? {} : { ticket }),
  })
  return `/console/requests/${encodeURIComponent(id)}`
}

function workOf(form: HTMLFormElement): Work | undefined {
  if (form.dataset.revoke !== undefined) return revoke
  if (form.dataset.review !== undefined) return review
  return form.id === 'grant-new' ? open : undefined
}

// On the document: forms in a part that is kept up to date come and go.
document.addEventListener('submit', async (event) => {
  const form = event.target
  const work = form instanceof HTMLFormElement ? workOf(form) : undefined
  if (!(form instanceof HTMLFormElement) || work === undefined) return
  event.preventDefault()
  const said = form.querySelector<HTMLElement>('[role="status"]')
  const buttons = form.querySelectorAll('button')
  if (said === null) return
  for (const button of buttons) button.disabled = true
  try {
    say(said, 'Sending…')
    const next = await work(form, new FormData(form), event.submitter)
    if (next === location.href) location.reload()
    else location.assign(next)
  } catch (error) {
    sayProblem(said, error)
    for (const button of buttons) button.disabled = false
  }
})
