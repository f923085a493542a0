import t from 'tap'
import { livedBroker, startConsole } from './support.js'

t.setTimeout(110_000)

t.test('agents: what they can have, hold, and were refused', async (t) => {
  const { broker, production } = await livedBroker(t)
  const site = await startConsole(t, broker)
  const page = async (path: string) => {
    const answer = await site.get(path)
    t.equal(answer.status, 200, path)
    return await answer.text()
  }

  await t.test('the list', async (t) => {
    const text = await page('/console/agents')
    const [, ofCoder = ''] = text.split('href="/console/agents/orders-coder"')
    t.match(ofCoder, /2 live.*2 refused/s, 'two sessions, two refusals')
    const rows = [...(ofCoder.split('</table>')[0] ?? '').matchAll(/<tr role="row">(.*?)<\/tr>/gs)].map(
      ([, row]) =>
        [...(row ?? '').matchAll(/<td[^>]*>(.*?)<\/td>/gs)].map(([, cell]) =>
          (cell ?? '').replace(/<[^>]+>/g, '').trim(),
        ),
    )
    t.same(rows.slice(1), [
      ['sandbox', 'alone', 'alone', 'alone'],
      ['development', 'alone', 'alone', 'never'],
      ['staging', 'alone', 'alone', 'never'],
      ['production', 'alone', 'grant', 'never'],
    ])
    t.match(text.split('href="/console/agents/report-bot"')[1], /1 waiting/)
    t.notMatch(await page('/console/agents?from=report-bot'), /orders-coder/)
  })

  await t.test('one agent', async (t) => {
    const text = await page('/console/agents/orders-coder')
    t.match(text, new RegExp(`/console/history/${production}`))
    t.match(text, /scope_unknown/)
    t.match(text, /sub = agent:orders-coder/)
    t.match(text, /<button class="danger">Stop orders-coder now/, 'how to stop it')
    t.match(text, /writ stop agent orders-coder/, 'without JavaScript too')
    t.notMatch(text, /<img|<script>alert/)
    t.match(await page('/console/agents/report-bot'), /Waiting for a human/)
  })

  await t.test('nobody of this name', async (t) => {
    const answer = await site.get('/console/agents/nobody')
    t.equal(answer.status, 404)
    t.match(await answer.text(), /No agent nobody is in the policy/)
  })

  await t.test('nobody without a session of the console', async (t) => {
    for (const path of [
      '/console/agents',
      '/console/agents/orders-coder',
      '/console/history',
      '/console/integrity',
    ]) {
      const authorization = `Bearer ${await broker.operatorToken('carol')}`
      const headers = { accept: 'text/html', authorization }
      const answer = await fetch(`${site.url}${path}`, { headers, redirect: 'manual' })
      t.equal(answer.status, 303, `${path}: a token opens no page`)
      t.match(answer.headers.get('location'), /^\/console\/sign-in\?to=/)
    }
    for (const path of [
      '/console/log/key',
      '/console/log/proof/entry/0',
      '/console/log/proof/entry/0/file',
    ]) {
      const answer = await fetch(`${site.url}${path}`, { headers: { accept: 'application/json' } })
      t.equal(answer.status, 401, path)
      t.match(await answer.json(), { code: 'session_missing' })
    }
  })
})
