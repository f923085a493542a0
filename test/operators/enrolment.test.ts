import t from 'tap'
import { createSoftwareKey } from '../../cli/software-key.js'
import { createAttempts } from '../../server/operators/attempts.js'
import { codeHash } from '../../server/operators/codes.js'
import { codeOptions, proposalOptions, proposeKey } from '../../server/operators/enrolment.js'
import { keysOf } from '../../server/operators/keys.js'
import { saidFrom } from '../../server/operators/store.js'
import { databaseError } from '../support/postgres.js'
import { SITE } from '../support/signing.js'
import { softwareSk } from '../support/software-sk.js'
import { challengeIn, testKeys } from './support.js'

t.test('a first key, with a one-time code', async (t) => {
  const { deps, attempts, begin, code, recorded, broker } = await testKeys(t)
  const key = createSoftwareKey(SITE)
  const one = await code('bob')
  t.match(one, /^([0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}$/)
  const finish = await begin('bob', one, key)
  t.match(await finish(), { key_id: key.id })
  t.match(await keysOf(deps, 'bob'), [
    {
      id: key.id,
      operator: 'bob',
      kind: 'passkey',
      public_key: key.publicKey,
      sign_count: 0,
      transports: ['internal'],
    },
  ])
  await t.rejects(finish(), { code: 'code_unusable' }, 'used once')
  await t.rejects(
    begin('bob', one, createSoftwareKey(SITE)),
    { code: 'code_unusable' },
    'and for options too',
  )

  const options = await codeOptions(deps, attempts, {
    operator: 'bob',
    code: ` ${(await code('bob')).toLowerCase().replaceAll('-', ' ')} `,
    ip: '192.0.2.1',
    request: 'r',
    said: saidFrom('192.0.2.1'),
  })
  t.match(options.options, {
    rp: { id: 'writ.example.com' },
    user: { name: 'bob' },
    attestation: 'none',
    authenticatorSelection: { userVerification: 'required', residentKey: 'preferred' },
    excludeCredentials: [{ id: key.id }],
    pubKeyCredParams: [{ alg: -7 }, { alg: -8 }, { alg: -257 }],
  })
  t.equal(challengeIn(options).length, 32)
  t.notMatch(Buffer.from(options.options.user.id, 'base64url').toString(), /bob/)
  t.match(await recorded(), [
    { kind: 'operator.code_issued', operator: 'bob' },
    { kind: 'operator.key_added', operator: 'bob' },
    { kind: 'operator.refused', operator: null, code: 'code_unusable' },
    { kind: 'operator.code_issued', operator: 'bob' },
  ])
  const [added] = await broker.query<{ text: string; personal: object; ip: string }>(
    `SELECT convert_from(body, 'UTF8') AS text, convert_from(personal, 'UTF8')::jsonb AS personal, host(source_ip) AS ip
     FROM writ.entry WHERE kind = 'operator.key_added'`,
  )
  t.match(added, { personal: { source_ip: '192.0.2.1' }, ip: '192.0.2.1' })
  t.match(JSON.parse(added?.text ?? ''), {
    of: 'bob',
    key_id: key.id,
    by: 'enrolment-code',
    label: 'software',
  })
  const dumped = JSON.stringify(
    await broker.query(`SELECT convert_from(body, 'UTF8'), convert_from(personal, 'UTF8') FROM writ.entry`),
  )
  t.notMatch(dumped, one, 'the code is nowhere')
  t.notMatch(dumped, codeHash(one) ?? 'x', 'and its hash not in the record')
})

t.test('codes that open nothing', async (t) => {
  const { deps, attempts, begin, code, later, owner } = await testKeys(t)
  const key = createSoftwareKey(SITE)
  const refused = { code: 'code_unusable' }
  await t.rejects(begin('bob', 'AAAA', key), refused, 'not a code at all')
  await t.rejects(begin('bob', '0000-0000-0000-0000-0000-0000-0000', key), refused, 'wrong')
  const alices = await code('alice')
  await t.rejects(begin('bob', alices, key), refused, "somebody else's")
  const bobs = await code('bob')
  const finish = await begin('bob', bobs, key)
  await t.rejects(finish({ code: alices }), refused, 'swapped between the steps')
  await t.rejects((await begin('alice', alices, key))({ operator: 'bob', code: bobs }), {
    code: 'challenge_over',
  })
  t.ok(await begin('bob', bobs, key), 'a mistake in the ceremony leaves the code')
  const newer = await code('bob')
  await t.rejects(begin('bob', bobs, key), refused, 'another was made since')
  const late = await begin('bob', newer, key)
  await owner.query('UPDATE writ.enrolment_code SET expires_at = clock_timestamp() WHERE used_at IS NULL')
  await t.rejects(late(), refused, 'ran out between the steps')
  t.strictSame(await keysOf(deps, 'bob'), [])

  for (let i = 0; i < 4; i++) await t.rejects(begin('bob', newer, key), refused)
  const full = await begin('bob', newer, key).catch((error: unknown) => error)
  t.match(full, { code: 'code_attempts', extra: { retryAfterSeconds: Number } }, 'ten a minute')
  const good = await code('bob')
  await t.rejects(begin('bob', good, key), { code: 'code_attempts' }, 'a right one has to wait as well')
  const elsewhere = {
    operator: 'bob',
    code: good,
    ip: '192.0.2.2',
    request: 'r',
    said: saidFrom('192.0.2.2'),
  }
  t.ok(await codeOptions(deps, attempts, elsewhere), 'another address need not')
  later(61)
  t.ok(await begin('bob', good, key))
})

t.test('addresses that count as one', async (t) => {
  const attempts = createAttempts(() => new Date(0))
  for (let i = 0; i < 10; i++) attempts.begin(`2001:db8:1:2::${i}`)
  t.throws(() => attempts.begin('2001:db8:1:2:3:4:5:6'), { code: 'code_attempts' }, 'all of a /64')
  t.doesNotThrow(() => attempts.begin('2001:db8:1:3::1'))
  for (let i = 0; i < 20; i++) attempts.begin('::1')()
  t.doesNotThrow(() => attempts.begin('::1'), 'right codes do not count')
  for (let i = 0; i < 10; i++) attempts.begin('::ffff:192.0.2.1')
  t.doesNotThrow(() => attempts.begin('::ffff:192.0.2.2'), 'IPv4 in IPv6 is one address')
})

t.test('one code on two connections at once: one wins', async (t) => {
  const { deps, begin, code } = await testKeys(t)
  const one = await code('bob')
  const finishes = await Promise.all([1, 2, 3].map(() => begin('bob', one, createSoftwareKey(SITE))))
  const done = await Promise.allSettled(finishes.map((finish) => finish()))
  t.equal(done.filter(({ status }) => status === 'fulfilled').length, 1)
  t.equal((await keysOf(deps, 'bob')).length, 1)
})

t.test('a key is one person’s, for ever', async (t) => {
  const { deps, begin, code, caller, enrol, broker } = await testKeys(t)
  const key = await enrol('bob')
  const alices = await code('alice')
  const finish = await begin('alice', alices, key)
  await t.rejects(finish(), { code: 'key_taken' }, 'the same credential under another name')
  const twin = { ...createSoftwareKey(SITE), publicKey: key.publicKey }
  await t.rejects(
    broker.query("SELECT writ.insert_key(NULL, 'alice', '{}', NULL, '{}', '{}')"),
    databaseError({ sqlState: '42501' }),
    'nor past the functions',
  )
  const [row] = await broker.query<{ answer: { code: string } }>(
    'SELECT writ.add_key_with_code($1) AS answer',
    [
      JSON.stringify({
        operator: 'alice',
        code_sha256: codeHash(alices),
        key: { id: twin.id, kind: 'passkey', public_key: twin.publicKey, label: 'twin' },
      }),
    ],
  )
  t.match(row?.answer, { code: 'key_taken' }, 'the same public key under another id')
  t.ok(await begin('alice', alices, createSoftwareKey(SITE)), 'the code is as good as before')
  const options = await proposalOptions(deps, caller('alice'))
  const credential = key.register(challengeIn(options))
  const proposed = { kind: 'passkey', challenge: options.challenge, credential, label: 'x' } as const
  await t.rejects(proposeKey(deps, caller('alice'), proposed), { code: 'key_taken' })
})

t.test('a ceremony that is not ours', async (t) => {
  const { begin, code, deps, caller, broker } = await testKeys(t)
  const one = await code('bob')
  const tries = {
    'without user verification': { userVerified: false },
    'without user presence': { userPresent: false },
    'at another origin': { origin: 'https://writ.example.com.evil.example' },
    'for another site': { rpId: 'evil.example' },
    'within another page': { crossOrigin: true },
    'an assertion': { type: 'webauthn.get' },
    'another challenge': { challenge: Buffer.alloc(32) },
  }
  for (const [what, change] of Object.entries(tries)) {
    const finish = await begin('bob', one, createSoftwareKey(SITE))
    await t.rejects(finish(change), { code: 'signature_invalid' }, what)
    await t.rejects(finish(), { code: 'challenge_over' }, `${what}: its challenge is used up`)
  }
  const options = await proposalOptions(deps, caller('bob'))
  await broker.query('SELECT 1')
  const key = createSoftwareKey(SITE)
  const credential = key.register(challengeIn(options))
  const proposed = { kind: 'passkey', challenge: options.challenge, credential, label: 'x' } as const
  await t.rejects(
    proposeKey(deps, caller('alice'), proposed),
    { code: 'challenge_over' },
    'for somebody else',
  )
})

t.test('proposing takes a fresh sign-in, and three wait at most', async (t) => {
  const { deps, caller, propose } = await testKeys(t)
  const stale = caller('bob', ['operator'], 301)
  await t.rejects(proposalOptions(deps, stale), { code: 'proof_stale' })
  const ssh = softwareSk('ed25519')
  const key = { kind: 'ssh-sk', public_key: `${ssh.publicKey} bob@laptop`, label: 'blue' } as const
  await t.rejects(proposeKey(deps, stale, key), { code: 'proof_stale' })
  const silent = { ...stale, authenticatedAt: undefined }
  await t.rejects(proposeKey(deps, silent, key), { code: 'proof_stale' }, 'an issuer that does not say')
  t.match(await proposeKey(deps, caller('bob'), key), { key_id: ssh.keyId })
  await t.rejects(
    proposeKey(deps, caller('bob'), { ...key, public_key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA' }),
    { code: 'request_invalid' },
    'a key that is a file',
  )
  await propose('bob')
  await propose('bob')
  await t.rejects(propose('bob'), { code: 'keys_pending' })
  await propose('alice')
})
