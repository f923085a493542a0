import t from 'tap'
import { commandOnBroker } from './support.js'

t.test('what was granted in an emergency, and what somebody else says of it', async (t) => {
  const { broker, operator } = await commandOnBroker(t)
  t.match(await operator('carol', ['break-glass', 'list']), { code: 0, stdout: 'Nothing.\n' })
  const wish = { environment: 'production', scopes: ['orders:write'], reason: 'the shop is down' }
  const asked = await broker.call('POST', '/v1/grant-requests', await broker.agentToken('orders-coder'), wish)
  const comment = 'Nobody else answers'
  const { body } = await broker.decide(asked.body.id, 'bob', { break_glass: true, comment })
  const listed = await operator('carol', ['break-glass', 'list'])
  t.match(listed.stdout, new RegExp(`${body.grant_id} +bob +orders-coder +production .* until .* ${comment}`))

  const review = ['break-glass', 'review', body.grant_id, '--comment', 'Looked at the log', '--verdict']
  t.match(await operator('bob', [...review, 'justified']), { code: 3, stderr: /review_is_own/ })
  t.match(await operator('carol', [...review, 'fine']), { code: 2, stderr: /justified, not-justified/ })
  t.match(await operator('carol', [...review, 'not-justified']), {
    code: 0,
    stdout: `Reviewed: grant ${body.grant_id} by bob was not-justified.\n`,
  })
  t.match(await operator('carol', ['break-glass', 'list']), { stdout: 'Nothing.\n' })
  const all = await operator('carol', ['break-glass', 'list', '--all', '--json'])
  t.match(all.json, { items: [{ reviewed_by: 'carol', verdict: 'not-justified' }], next: null })
})
