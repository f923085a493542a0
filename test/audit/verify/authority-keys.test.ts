import t from 'tap'
import { createSoftwareKey } from '../../../cli/software-key.js'
import { countsOf, Scribe, verdict } from './scribe.js'

const aKey = () => createSoftwareKey({ rpId: 'writ.example.com', origin: 'https://writ.example.com' })

const log = (write: (scribe: Scribe) => unknown) => {
  const scribe = new Scribe()
  write(scribe)
  return scribe.log
}

t.test('keys come by codes and vouchers', async (t) => {
  const sound = log((scribe) => {
    scribe.enrol('bob')
    scribe.vouch('ada', 'bob')
    scribe.vouch('carol', 'ada')
    scribe.vouch('bob', 'carol')
    scribe.put('operator.key_removed', { operator: 'bob', of: 'carol', key_id: scribe.key('carol').id })
    scribe.enrol('carol')
  })
  t.equal(verdict(sound), undefined)
  t.match(countsOf(sound), { keys: 5 })
})

t.test('a code is for one key of one operator, for its time', async (t) => {
  const added = { operator: 'bob', by: 'enrolment-code' }
  t.match(verdict(log((scribe) => scribe.added('bob', aKey(), added))), /without a code/)
  t.match(
    verdict(
      log((scribe) => {
        scribe.enrol('bob')
        scribe.added('bob', aKey(), added)
      }),
    ),
    /Entry 2, operator.key_added, adds a key without a code/,
  )
  t.match(
    verdict(
      log((scribe) => {
        scribe.code('ada')
        scribe.added('bob', aKey(), added)
      }),
    ),
    /without a code/,
  )
  t.match(
    verdict(
      log((scribe) => {
        scribe.code('bob', 60)
        scribe.now += 121_000
        scribe.added('bob', aKey(), added)
      }),
    ),
    /without a code/,
  )
  t.equal(
    verdict(
      log((scribe) => {
        scribe.code('bob', 3600)
        scribe.code('bob', 60)
        scribe.added('bob', aKey(), added)
        scribe.now += 600_000
        scribe.added('bob', aKey(), added)
      }),
    ),
    undefined,
    'two codes, two keys',
  )
  for (const change of [{ by: 'magic' }, { by: undefined }, { operator: 'ada' }])
    t.match(verdict(log((scribe) => scribe.enrol('bob', aKey(), change))), /nobody vouched for/)
})

t.test('a key is one person’s, once', async (t) => {
  const key = aKey()
  t.match(
    verdict(
      log((scribe) => {
        scribe.enrol('bob', key)
        scribe.enrol('ada', key)
      }),
    ),
    /there before/,
  )
  t.match(
    verdict(
      log((scribe) => {
        scribe.enrol('bob', key)
        scribe.enrol('ada', key, { key_id: 'another-id-of-the-same' })
      }),
    ),
    /there before/,
  )
  t.match(
    verdict(
      log((scribe) => {
        scribe.enrol('bob', key)
        scribe.enrol('ada', aKey(), { key_id: key.id })
      }),
    ),
    /there before/,
  )
  t.match(
    verdict(
      log((scribe) => {
        scribe.enrol('bob', key)
        scribe.put('operator.key_removed', { operator: 'bob', of: 'bob', key_id: key.id })
        scribe.enrol('bob', key)
      }),
    ),
    /there before/,
    'and never comes back',
  )
  for (const change of [{ key_id: undefined }, { public_key: undefined }, { of: undefined }])
    t.match(verdict(log((scribe) => scribe.enrol('bob', aKey(), change))), /names no key, or nobody/)
})

t.test('who vouches signs for exactly this key', async (t) => {
  const vouched = (twist: Parameters<Scribe['vouch']>[2], operator = 'ada') =>
    verdict(
      log((scribe) => {
        scribe.enrol('bob')
        scribe.vouch(operator, 'bob', twist)
      }),
    )
  t.equal(vouched({}), undefined)
  const something = /signature over something else/
  t.match(vouched({ document: { voucher: 'carol' } }), something)
  t.match(vouched({ document: { operator: 'carol' } }), something)
  t.match(vouched({ document: { proposal: '0123456789ab' } }), something)
  t.match(vouched({ document: { key_id: 'AAAAAAAAAAAAAAAAAAAAAA' } }), something)
  t.match(vouched({ document: { key_kind: 'ssh-sk' } }), something)
  t.match(vouched({ document: { public_key: aKey().publicKey } }), something)
  t.match(vouched({ document: { label: 'another' } }), something)
  t.match(vouched({ entry: { public_key: aKey().publicKey } }), something)
  t.match(vouched({ entry: { label: 'another' } }), something)
  t.match(vouched({ entry: { of: 'carol' } }), /not proposed/)
  t.match(vouched({ entry: { key_id: 'AAAAAAAAAAAAAAAAAAAAAA' } }), /not proposed/)
  t.match(vouched({ entry: { proposal: '0123456789ab' } }), /not proposed/)
  t.match(vouched({ proposal: { operator: 'carol' } }), /not proposed/)
  t.match(vouched({ proposal: { key_id: 'AAAAAAAAAAAAAAAAAAAAAA' } }), /not proposed/)
  t.match(vouched({ entry: { proof: undefined } }), /no form that is valid/)
  t.match(vouched({ entry: { proof_kind: 'ssh-sk' } }), /no form that is valid/)
  t.match(vouched({ key: aKey() }), /key that was not theirs/)
  t.match(vouched({}, 'bob'), /vouched for by its own operator/)
  t.match(vouched({}, 'Bob'), /vouched for by its own operator/)
  t.match(
    vouched({ document: { issued_at: '2026-03-01T09:00:00.000Z', expires_at: '2026-03-01T09:05:00.000Z' } }),
    /over, or not yet/,
  )
  const decision = log((scribe) => {
    scribe.enrol('bob')
    const { entry } = scribe.approve(scribe.ask(), 'bob')
    scribe.vouch('ada', 'bob', { entry: { proof: entry.proof } })
  })
  t.match(verdict(decision.filter(({ entry }) => entry.kind !== 'grant_request.approved')), something)
  const vouch = log((scribe) => {
    scribe.enrol('bob')
    scribe.vouch('ada', 'bob')
    // Taken out again: its signature was not used yet.
    const proof = scribe.log.pop()?.entry.proof
    scribe.approve(scribe.ask(), 'bob', { entry: { proof } })
  })
  t.match(verdict(vouch), /signed as something else/)
})

t.test('removing and proposing', async (t) => {
  const removal = (change: Record<string, unknown>) =>
    verdict(
      log((scribe) => {
        const key = scribe.enrol('bob')
        scribe.put('operator.key_removed', { operator: 'ada', of: 'bob', key_id: key.id, ...change })
      }),
    )
  t.equal(removal({}), undefined)
  t.match(removal({ of: 'ada' }), /removes no key of theirs/)
  t.match(removal({ key_id: 'other' }), /removes no key of theirs/)
  const proposal = { operator: 'ada', proposal: '0123456789ab', key_id: 'x', key_kind: 'passkey', label: 'x' }
  const twice = log((scribe) => [
    scribe.put('operator.key_proposed', proposal),
    scribe.put('operator.key_proposed', proposal),
  ])
  t.match(verdict(twice), /proposed already/)
})
