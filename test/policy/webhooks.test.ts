import t from 'tap'
import { BODIES } from '../../server/audit/bodies/registry.js'
import { ENTRY_KINDS } from '../../server/policy/entry-kinds.js'
import { compiled, GOOD } from './support.js'

const SIEM = `webhook: siem
url: https://siem.example.com/hook
secret_file: /run/secrets/siem
kinds: [issuance.denied, grant.*]
`

t.test('a webhook as it is compiled', async (t) => {
  const set = await compiled({
    ...GOOD,
    'siem.yaml': SIEM,
    'try.yaml': `webhook: try\nurl: http://localhost:9000\nsecret_file: /s\nca_file: /ca\nkinds: ["*"]\npersonal: true\nlocal: true\n`,
  })
  t.strictSame(
    [...set.webhooks.values()],
    [
      {
        name: 'siem',
        url: 'https://siem.example.com/hook',
        secretFile: '/run/secrets/siem',
        kinds: ['grant.*', 'issuance.denied'],
        personal: false,
        local: false,
      },
      {
        name: 'try',
        url: 'http://localhost:9000/',
        secretFile: '/s',
        caFile: '/ca',
        kinds: ['*'],
        personal: true,
        local: true,
      },
    ],
  )
  t.ok(Object.isFrozen(set.webhooks.get('siem')))
})

t.test('it is in the digest: where alarms go is policy', async (t) => {
  const digest = async (text?: string) =>
    (await compiled(text === undefined ? GOOD : { ...GOOD, 'siem.yaml': text })).digest
  const all = [
    await digest(),
    await digest(SIEM),
    await digest(SIEM.replace('siem.example.com', 'evil.example.com')),
    await digest(SIEM.replace('issuance.denied, ', '')),
    await digest(`${SIEM}personal: true\n`),
    await digest(SIEM.replace('/run/secrets/siem', '/run/secrets/other')),
  ]
  t.equal(new Set(all).size, all.length)
})

t.test('every kind that is recorded can be asked for, and no other', async (t) => {
  t.strictSame([...ENTRY_KINDS].sort(), Object.keys(BODIES).sort())
})
