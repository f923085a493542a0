import { cpSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commandOnBroker } from './support.js'

t.test('an incident from the command line', { timeout: 180_000 }, async (t) => {
  const { operator, writ, folder, broker } = await commandOnBroker(t, { alarms: true })
  const asked = await broker.call('POST', '/v1/credentials', await broker.agentToken('orders-coder'), {
    environment: 'development',
    scopes: ['orders:write'],
    reason: 'ticket 7\u202e and more'.replace('\u202e', ''),
  })
  t.equal(asked.status, 200)
  const key = join(folder, 'log.key')
  const vkey = (await broker.call('GET', '/v1/log/key', await broker.operatorToken('carol'))).body
    .verifier_key
  writeFileSync(key, `${vkey}\n`)
  const out = join(folder, 'evidence')
  const open = ['incident', 'open', 'orders-coder', '--reason', 'deletes what it should read']

  const opened = await operator('carol', [...open, '--out', out])
  t.equal(opened.code, 0, opened.stderr)
  t.match(opened.stderr, /Incident [0-9a-z]{12}\. orders-coder is stopped: issuance blocked since/)
  t.match(opened.stderr, /Live sessions: denied in IAM since .* \(8 of 8\); presumed in effect from/)
  t.match(opened.stdout, /Recorded: +entry \d+[\s\S]*Check it: +writ incident verify/)
  const id = /Incident: +(\S+)/.exec(opened.stdout)?.[1] ?? ''
  t.equal(statSync(join(out, 'entries.ndjson')).mode & 0o077, 0, 'for its owner alone')
  t.match(readFileSync(join(out, 'report.md'), 'utf8'), /# Incident .*: orders-coder[\s\S]*8 of 8/)

  await t.test('offline, with the public key alone', async (t) => {
    const args = ['incident', 'verify', out, '--key', key]
    const env = { WRIT_URL: 'http://127.0.0.1:1', WRIT_DATA_DIR: folder }
    const verified = await writ([...args, '--json'], { env })
    t.match(verified, {
      code: 0,
      json: { verified: 'evidence', incident: id, agent: 'orders-coder', sessions: 1 },
    })
    const copy = join(folder, 'copy')
    cpSync(out, copy, { recursive: true })
    writeFileSync(join(copy, 'report.md'), 'all is well\n')
    const changed = await writ(['incident', 'verify', copy, '--key', key], { env })
    t.match(changed, { code: 9, stderr: /report\.md was changed/ })
    t.match(await writ(['incident', 'verify', folder, '--key', key], { env }), { code: 2 })
    t.match(await writ(['incident', 'verify', out], { env }), { code: 2 }, 'not without a key')
    t.match(await writ([...args, '--manifest', 'ab'.repeat(32)], { env }), { code: 9 })
  })

  await t.test('steps, and what is there', async (t) => {
    const step = (who: string, stage: string) =>
      operator(who, ['incident', 'step', id, stage, '--note', 'did it'])
    t.match(await step('bob', 'assess'), { code: 3, stderr: /needs the role security/ })
    t.match(await step('bob', 'contain'), { code: 0, stdout: /Recorded as entry \d+/ })
    const shown = await operator('bob', ['incident', 'show', id])
    t.match(shown.stdout, /contain +alice, bob \(operator\) +.* bob: did it/)
    t.match(
      (await operator('bob', ['incident', 'list', '--open'])).stdout,
      new RegExp(`${id} +orders-coder +open`),
    )
    t.match((await operator('bob', ['incident', 'list', '--agent', 'report-bot'])).stdout, /No incidents/)
    t.match(await operator('bob', ['incident', 'show', '000000000000']), { code: 7 })
  })

  await t.test('who may not read the record still stops', async (t) => {
    const place = join(folder, 'no')
    const tried = await operator('bob', ['incident', 'open', 'report-bot', '--reason', 'x', '--out', place])
    t.match(tried, { code: 3, stderr: /report-bot is stopped[\s\S]*security/ })
    const agent = await broker.agentToken('report-bot')
    const refused = await broker.call('POST', '/v1/credentials', agent, {
      environment: 'development',
      scopes: ['reports:read'],
      reason: 'x',
    })
    t.match(refused.body, { code: 'agent_stopped' })
    t.notOk(existsSync(join(place, 'manifest.json')))
    const again = await operator('carol', [
      'incident',
      'evidence',
      JSON.parse((await operator('bob', ['incident', 'list', '--agent', 'report-bot', '--json'])).stdout)
        .items[0].id,
      '--out',
      place,
      '--since',
      '7d',
    ])
    t.match(again, { code: 0, stdout: /0 issued, 0 not over/ }, again.stderr)
  })

  await t.test('closing', async (t) => {
    const close = (as: string, ...more: readonly string[]) =>
      writ(['incident', 'close', id, '--evidence', out, '--as', as, ...more])
    t.match(await close('bob'), { code: 2, stderr: /no terminal to confirm/ })
    const first = await close('bob', '--yes')
    t.match(
      first,
      { code: 0, stdout: /Signed, 1 of 2/, stderr: /Nothing recorded at: +recover/ },
      first.stderr,
    )
    t.match(await close('bob', '--yes'), { code: 7, stderr: /already/ })
    t.match(await close('alice', '--yes'), { code: 0, stdout: /is closed/ })
    t.match((await operator('bob', ['incident', 'show', id])).stdout, /closed .* by alice, bob/)
    writeFileSync(join(out, 'report.md'), 'all is well\n')
    t.match(await close('bob', '--yes'), { code: 9 }, 'nobody signs over a folder that was changed')
  })
})
