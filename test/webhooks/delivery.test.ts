import { writeFileSync } from 'node:fs'
import t from 'tap'
import { bodyProblem } from '../../server/audit/bodies/registry.js'
import { leafHash } from '../../server/audit/merkle/hash.js'
import type { Webhook } from '../../server/types.js'
import { intentItem, READ_ROLE } from '../support/items.js'
import { selfSigned } from './certificate.js'
import { hook, indexes, newSecret, stage, statuses, target, verifies } from './support.js'

t.test('what is new is sent in order, signed as the specification says', async (t) => {
  const siem = await target(t)
  const secret = newSecret()
  const { ledger, webhooks, entries } = await stage(t, [hook(t, { url: siem.url }, secret)])
  const [first = -1] = await entries('policy.loaded', 3)
  await webhooks.round()
  t.strictSame(indexes(siem.received), [first, first + 1, first + 2])
  const [one] = siem.received
  if (one === undefined) return
  t.ok(verifies(secret, one))
  t.notOk(verifies(newSecret(), one), 'and by no other secret')
  t.notOk(verifies(secret, { ...one, body: `${one.body} ` }), 'nor when changed')
  t.match(one.headers, { 'content-type': 'application/json' })
  t.match(one.id, /^writ_0_[0-9a-f]{24}$/)
  t.match(one.message, {
    type: 'policy.loaded',
    timestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
    data: { index: first, entry: { v: 2, index: first, kind: 'policy.loaded', problems: 0 } },
  })
  const [row] = await ledger.broker.query<{ body: Buffer }>('SELECT body FROM writ.entry WHERE idx = $1', [
    first,
  ])
  t.equal(one.message.data.leaf_hash, leafHash(row?.body ?? Buffer.alloc(0)).toString('hex'))
  t.same(one.message.data.entry, JSON.parse(row?.body.toString('utf8') ?? ''))
  await webhooks.round()
  t.equal(siem.received.length, 3, 'and not again')
})

t.test('a webhook begins at the head, and takes only its kinds', async (t) => {
  const siem = await target(t)
  const { webhooks, entries, ledger, row } = await stage(t, [
    hook(t, { url: siem.url, kinds: ['policy.rej*', 'issuance.intended'] }),
  ])
  await entries('policy.loaded', 700)
  const [rejected] = await entries('policy.rejected')
  const [intended] = await ledger.append(intentItem({ role_arn: READ_ROLE }))
  await entries('policy.loaded', 3)
  await webhooks.round()
  t.strictSame(
    siem.received.map(({ message }) => message.type),
    ['policy.rejected', 'issuance.intended'],
  )
  t.equal(siem.received[0]?.message.data.index, rejected)
  t.match(intended, { status: 'ok' })
  t.equal((await row()).next, 705, 'and has gone past the others')

  const known: Webhook[] = []
  const late = await stage(t, known)
  const [before = -1] = await late.entries('policy.loaded')
  known.push(hook(t, { url: siem.url }))
  await late.webhooks.round()
  await late.entries('policy.loaded')
  await late.webhooks.round()
  t.strictSame(
    indexes(siem.received.slice(2)),
    [before + 1],
    'one that is new is not told what was before it',
  )
})

t.test('personal data leaves only where the document says so', async (t) => {
  const [plain, whole] = [await target(t), await target(t)]
  const { webhooks, ledger, asOwner } = await stage(t, [
    hook(t, { url: plain.url, name: 'plain' }),
    hook(t, { url: whole.url, name: 'whole', personal: true }),
  ])
  const about = {
    subject: 'agent:orders-coder',
    source_ip: '198.51.100.7',
    reason: 'Maria asked me',
    human: 'maria@example.com',
  }
  await ledger.append(intentItem({ role_arn: READ_ROLE, personal: about }))
  await webhooks.round()
  const [less] = plain.received
  const [more] = whole.received
  t.notMatch(less?.body, /maria|198\.51\.100\.7|subject/i)
  t.notOk('personal' in (less?.message.data ?? {}))
  t.same(more?.message.data.personal, about)
  t.equal(less?.id, more?.id)
  // Erased, it is gone for whoever is told later.
  await ledger.append(intentItem({ role_arn: READ_ROLE, personal: about }))
  await asOwner(
    'UPDATE writ.entry SET personal = NULL, salt = NULL, human = NULL, source_ip = NULL WHERE idx = 1',
  )
  await webhooks.round()
  t.notMatch(whole.received[1]?.body, /maria/)
})

t.test('over https, to the name and by the certificate that the document says', async (t) => {
  const tls = selfSigned('siem.example.com')
  const siem = await target(t, tls)
  const ca = t.testdir({
    'ca.pem': tls.cert,
    'other.pem': selfSigned('siem.example.com').cert,
    'long.pem': `${tls.cert}${'# more\n'.repeat(200_000)}`,
  })
  const asked: string[] = []
  const resolve = async (name: string) => {
    asked.push(name)
    return ['127.0.0.1']
  }
  const url = `https://siem.example.com:${siem.port}/hook`
  const { webhooks, entries, row, elapse } = await stage(t, [hook(t, { url, caFile: `${ca}/ca.pem` })], {
    resolve,
  })
  await entries('policy.loaded', 3)
  await webhooks.round()
  t.equal(siem.received.length, 3)
  t.equal(siem.received[0]?.headers.host, `siem.example.com:${siem.port}`)
  t.strictSame(asked, ['siem.example.com'], 'one connection, one look-up')
  t.equal((await row()).attempts, 0)
  await elapse(10)

  const cases: [string, Partial<Parameters<typeof hook>[1]>, string][] = [
    ['another name', { url: `https://evil.example.com:${siem.port}/`, caFile: `${ca}/ca.pem` }, 'tls_failed'],
    ['another authority', { url, caFile: `${ca}/other.pem` }, 'tls_failed'],
    ['the public authorities', { url }, 'tls_failed'],
    ['a file without end', { url, caFile: `${ca}/long.pem` }, 'ca_unusable'],
    ['no such file', { url, caFile: `${ca}/none.pem` }, 'ca_unusable'],
  ]
  for (const [what, change, failure] of cases) {
    const one = await stage(t, [hook(t, { url, ...change })], { resolve })
    await one.entries('policy.loaded')
    await one.webhooks.round()
    t.equal((await one.row()).last_failure, failure, what)
  }
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  t.teardown(() => {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
  })
  const lax = await stage(t, [hook(t, { url })], { resolve })
  await lax.entries('policy.loaded')
  await lax.webhooks.round()
  t.equal((await lax.row()).last_failure, 'tls_failed', 'whatever the environment says')
  t.equal(siem.received.length, 3)
})

t.test('a secret changes without a restart and without a gap', async (t) => {
  const siem = await target(t)
  const [old, next] = [newSecret(), newSecret()]
  const webhook = hook(t, { url: siem.url }, old)
  const { webhooks, entries, row, elapse } = await stage(t, [webhook])
  const verified = async (content: string) => {
    writeFileSync(webhook.secretFile, content)
    await entries('policy.loaded')
    await webhooks.round()
    const last = siem.received.at(-1)
    return last === undefined ? [] : [verifies(old, last), verifies(next, last)]
  }
  t.strictSame(await verified(`${old}\n`), [true, false])
  t.strictSame(await verified(`${next}\r\n${old}\n`), [true, true], 'both while it changes')
  t.strictSame(await verified(next), [false, true])
  const before = siem.received.length
  const unusable = [
    '',
    'whsec_',
    'whsec_c2hvcnQ=',
    old.slice(6),
    `${old}\n${next}\n${old}`,
    `${old}\nhello`,
    'x'.repeat(2_000_000),
  ]
  for (const content of unusable) {
    await verified(content)
    t.equal((await row()).last_failure, 'secret_unusable', content.slice(0, 10))
    await elapse(86_400 / 4)
  }
  t.equal(siem.received.length, before, 'nothing leaves unsigned')
  await verified(next)
  t.equal(siem.received.length, before + unusable.length + 1, 'and nothing is lost')
})

t.test('one receiver that fails keeps nobody else back', async (t) => {
  const [good, bad] = [await target(t), await target(t)]
  bad.answer = statuses(500)
  const { webhooks, entries } = await stage(t, [
    hook(t, { url: bad.url, name: 'bad' }),
    hook(t, { url: good.url, name: 'good' }),
  ])
  await entries('policy.loaded', 4)
  await webhooks.round()
  t.equal(good.received.length, 4)
  t.equal(bad.received.length, 1)
  t.strictSame(webhooks.check(), { ok: true, detail: '2 webhooks' })
  await webhooks.round()
  t.strictSame(webhooks.check(), { ok: false, detail: '2 webhooks: 0 disabled, 1 failing' })
})

t.test('nothing is sent of a record that is not what was published', async (t) => {
  const siem = await target(t)
  let trusted = false
  const { webhooks, entries } = await stage(t, [hook(t, { url: siem.url })], {}, { trusted: () => trusted })
  await entries('policy.loaded')
  await webhooks.round()
  t.equal(siem.received.length, 0)
  trusted = true
  await webhooks.round()
  t.equal(siem.received.length, 1)
})

t.test('a test event is no entry', async (t) => {
  const siem = await target(t)
  const secret = newSecret()
  const { webhooks, row } = await stage(t, [hook(t, { url: siem.url }, secret)])
  t.strictSame(await webhooks.test('siem'), { delivered: true })
  const [one] = siem.received
  t.match(one?.message, { type: 'webhook.test', data: { webhook: 'siem' } })
  t.ok(one !== undefined && verifies(secret, one))
  siem.answer = statuses(410)
  t.strictSame(await webhooks.test('siem'), { delivered: false, failure: 'answered_410' })
  t.match(await row(), { next: 0, attempts: 0, disabled_why: null }, 'and moves nothing')
  t.equal(await webhooks.test('other'), undefined)
})

t.test('what is recorded about webhooks has the shape that is documented', async (t) => {
  const siem = await target(t)
  siem.answer = statuses(410)
  const { webhooks, entries, kinds } = await stage(t, [hook(t, { url: siem.url })])
  await entries('policy.loaded')
  await webhooks.round()
  await webhooks.enable('siem', 'alice')
  const bodies = await kinds('webhook.%')
  t.equal(bodies.length, 2)
  for (const body of bodies) t.equal(bodyProblem(body, undefined), undefined)
})
