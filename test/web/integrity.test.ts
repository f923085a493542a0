import t from 'tap'
import { livedBroker, startConsole } from './support.js'

t.setTimeout(110_000)

t.test('integrity says what is, and what this replica does not know', async (t) => {
  const { broker } = await livedBroker(t)
  const { publishing } = broker
  if (publishing === undefined) throw new Error('nothing is published')
  await publishing.checkpointer.tick()
  await broker.call(
    'GET',
    '/v1/issuances/export?format=ndjson&personal=true',
    await broker.operatorToken('carol'),
  )
  const read = async (change: Parameters<typeof startConsole>[2] = {}, without = false) => {
    const { publishing: _, ...rest } = broker
    const site = await startConsole(t, without ? rest : broker, change)
    const answer = await site.get('/console/integrity')
    t.equal(answer.status, 200)
    return await answer.text()
  }

  const text = await read()
  t.match(text, /The record is what was published/)
  t.ok(text.includes(publishing.verifierKey))
  t.match(text, /with personal data/, 'who took the record along')
  t.match(text, broker.policy.current().digest)
  t.match(text, /0\.\d+\.\d+/, 'the version of a replica that started')

  const trouble = await read({
    publishing: {
      ...publishing,
      checkpointer: {
        ...publishing.checkpointer,
        trouble: () => 'entry 3 is not the one that was published',
      },
    },
  })
  t.match(trouble, /NOT TRUSTED/)
  t.match(trouble, /entry 3 is not the one/)
  t.notMatch(trouble, /The record is what was published/)

  const failing = await read({ publishing: { ...publishing, failure: () => 'ENOSPC' } })
  t.match(failing, /cannot be published now/)
  t.match(failing, /ENOSPC/)

  const unread = await read({
    publishing: {
      ...publishing,
      published: { ...publishing.published, read: async () => Buffer.from('nonsense\n') },
    },
  })
  t.match(unread, /No checkpoint to show/)
  t.notMatch(unread, /The record is what was published/)

  const none = await read({}, true)
  t.match(none, /not published here/)
  t.notMatch(none, /The record is what was published|Latest checkpoint/)

  const at = new Date('2026-01-31T08:00:00Z')
  const problems = [
    { file: 'agents/x.yaml', line: 3, column: 1, code: 'key_unknown', message: 'No such <key>.' },
  ]
  const rejected = await read({
    policyState: () => ({ digest: 'sha256:one', loadedAt: at, lastProblem: { at, problems } }),
    ready: async () => ({
      ready: false,
      checks: { clock: { ok: false, detail: '9000 ms from the database' } },
    }),
    webhooks: {
      list: async () => [
        {
          webhook: {
            name: 'pager',
            url: 'https://pager.example.com/secret',
            secretFile: '',
            kinds: [],
            personal: false,
            local: false,
          },
          state: undefined,
        },
      ],
    },
  })
  t.match(rejected, /agents\/x\.yaml:3 key_unknown: No such &lt;key&gt;\./)
  t.match(rejected, /not ready/)
  t.match(rejected, /9000 ms/)
  t.match(rejected, /https:\/\/pager\.example\.com</)
  t.notMatch(rejected, /secret/, 'a path can hold one')
})
