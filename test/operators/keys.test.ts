import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import t from 'tap'
import { createSoftwareKey, type SoftwareKey } from '../../cli/software-key.js'
import { challengeOf } from '../../server/audit/proofs/document.js'
import {
  signInOptions,
  userHandle,
  verifyAssertion,
  verifySignIn,
} from '../../server/operators/ceremonies.js'
import { putChallenge, randomChallenge, takeChallenge } from '../../server/operators/challenges.js'
import { codeHash, createEnrolmentCode, enrolmentLink, firstRunLink } from '../../server/operators/codes.js'
import type { OperatorDeps } from '../../server/operators/deps.js'
import { proposeKey } from '../../server/operators/enrolment.js'
import { keyById, keysOf, listKeys, removeKey } from '../../server/operators/keys.js'
import { createSessions } from '../../server/operators/sessions.js'
import { databaseError } from '../support/postgres.js'
import { SITE } from '../support/signing.js'
import { operator, testKeys } from './support.js'

t.test('whoever signed in with a passkey of theirs is signed out', async (t) => {
  const { deps, caller, enrol, broker } = await testKeys(t)
  const [key, second] = [await enrol('bob'), await enrol('bob')]
  const sessions = createSessions(broker, deps.newId)
  const start = async (operator: string) =>
    sessions.start({ operator, method: 'passkey', authenticatedAt: new Date() })
  const atIssuer = await sessions.start({
    operator: 'bob',
    method: 'oidc',
    authenticatedAt: new Date(),
    identity: { issuer: 'https://issuer.example.com', subject: 'bob', claims: {}, looked_at: [] },
  })
  const [asking, other, alices] = [await start('bob'), await start('bob'), await start('alice')]
  const open = async () => {
    const found = await Promise.all(
      [asking, other, alices, atIssuer].map(({ secret }) => sessions.find(secret)),
    )
    return found.map((one) => one !== undefined)
  }
  t.strictSame(await open(), [true, true, true, true])
  await removeKey(deps, { ...caller('bob'), session: asking.id }, key.id)
  t.strictSame(await open(), [true, false, true, true], 'all but the one that asks')
  const ended = async () =>
    broker.query<{ body: { session: string; by?: string } }>(
      `SELECT convert_from(body, 'UTF8')::jsonb AS body FROM writ.entry
       WHERE kind = 'operator.session_ended' AND convert_from(body, 'UTF8')::jsonb->>'why' = 'key_removed' ORDER BY idx`,
    )
  t.match(await ended(), [{ body: { session: other.id, by: undefined } }])
  await removeKey(deps, caller('dora', ['admin']), second.id)
  t.strictSame(await open(), [false, false, true, true], 'the key of somebody else, by an administrator')
  t.match(await ended(), [{}, { body: { session: asking.id, by: 'dora' } }])
})

t.test('removing', async (t) => {
  const { deps, caller, enrol, recorded } = await testKeys(t)
  const bobs = await enrol('bob')
  const second = await enrol('bob')
  const admin = caller('dora', ['admin'])
  await t.rejects(removeKey(deps, caller('alice'), bobs.id), { code: 'not_found' }, 'somebody else’s')
  await t.rejects(removeKey(deps, caller('bob', [], 301), bobs.id), { code: 'proof_stale' })
  await t.rejects(removeKey(deps, admin, 'nosuchkeyatall12'), { code: 'not_found' })
  t.strictSame(await removeKey(deps, admin, bobs.id), { of: 'bob', left: 1 })
  t.strictSame(await removeKey(deps, caller('bob'), second.id), { of: 'bob', left: 0 }, 'the last one too')
  t.strictSame(await removeKey(deps, caller('bob'), second.id), { of: 'bob', left: 0 }, 'twice is once')
  t.strictSame(await keysOf(deps, 'bob'), [])
  t.equal(await keyById(deps, bobs.id), undefined)
  t.match(
    (await recorded()).filter(({ kind }) => kind === 'operator.key_removed'),
    [{ operator: 'dora' }, { operator: 'bob' }],
  )
  t.match(await listKeys(deps, operator('bob')), [{ removed_by: 'bob' }, { removed_by: 'dora' }])
  t.match(await listKeys(deps, operator('carol', ['security']), 'bob'), [{}, {}])
  t.match(await listKeys(deps, admin.operator, 'bob'), [{}, {}])
  await t.rejects(listKeys(deps, operator('alice'), 'bob'), { code: 'operator_role' })
  const line = { kind: 'ssh-sk', public_key: 'ssh-rsa AAAA', label: 'x' } as const
  await t.rejects(proposeKey(deps, caller('bob'), line), { code: 'request_invalid' })
})

t.test('what the database holds to by itself', async (t) => {
  const { broker, owner, enrol, caller, deps } = await testKeys(t)
  const key = await enrol('bob')
  const denied = databaseError({ sqlState: '42501' })
  await t.rejects(
    createEnrolmentCode(broker, { operator: 'bob', by: 'the broker', seconds: 60 }),
    denied,
    'the broker’s login makes no code',
  )
  for (const sql of [
    `INSERT INTO writ.enrolment_code VALUES ('${'0'.repeat(64)}', 'eve', now(), now() + interval '1 day')`,
    'SELECT * FROM writ.enrolment_code',
    "UPDATE writ.operator_key SET operator = 'eve'",
    'DELETE FROM writ.operator_key',
    "INSERT INTO writ.proposed_key VALUES ('000000000000', 'eve', '{}', now(), now() + interval '1 day')",
    'UPDATE writ.challenge SET used_at = NULL',
    "SELECT writ.take_signature('vouch', 'bob', '{}', '', 0)",
    "SELECT writ.insert_key(NULL, 'eve', '{}', NULL, '{}', '{}')",
  ]) {
    await t.rejects(broker.query(sql), denied, sql)
  }
  const final = databaseError({ sqlState: 'WR001' })
  for (const sql of [
    "UPDATE writ.operator_key SET operator = 'eve'",
    "UPDATE writ.operator_key SET public_key = 'other'",
    'UPDATE writ.operator_key SET sign_count = -1 + sign_count',
    'DELETE FROM writ.operator_key',
    'TRUNCATE writ.operator_key',
  ]) {
    await t.rejects(owner.query(sql), final, `as the owner: ${sql}`)
  }
  await removeKey(deps, caller('bob'), key.id)
  await t.rejects(
    owner.query('UPDATE writ.operator_key SET removed_at = NULL, removed_by = NULL'),
    final,
    'no way back',
  )
  const used = async (id: string, count: number) =>
    (await broker.query<{ used: boolean }>('SELECT writ.key_used($1, $2) AS used', [id, count]))[0]?.used
  t.equal(await used(key.id, 1), false, 'nobody signs in with a removed key')
  const next = await enrol('bob')
  t.strictSame(
    [await used(next.id, 0), await used(next.id, 3), await used(next.id, 3), await used(next.id, 0)],
    [true, true, false, false],
  )
})

t.test('past the broker’s own checks, the database refuses the same', async (t) => {
  const { broker, owner, enrol, propose, code, deps } = await testKeys(t)
  const call = async (name: string, argument: object) => {
    const text = JSON.stringify(argument)
    return (await broker.query<{ answer: object }>(`SELECT writ.${name}($1) AS answer`, [text]))[0]?.answer
  }
  const bobs = await code('bob')
  const soft = createSoftwareKey(SITE)
  const key = { id: soft.id, kind: 'passkey', public_key: soft.publicKey, label: 'x' }
  const unusable = { status: 'refused', code: 'code_unusable' }
  const with_ = { code_sha256: codeHash(bobs), key }
  t.match(await call('add_key_with_code', { ...with_, operator: 'eve' }), unusable, 'a code of another')
  await owner.query('UPDATE writ.enrolment_code SET expires_at = clock_timestamp()')
  t.match(await call('add_key_with_code', { ...with_, operator: 'bob' }), unusable, 'an old code')

  const alices = await enrol('alice')
  const sign = async (proposal: string, name: string, by: SoftwareKey) => {
    const { document, id } = await vouchFor(deps, proposal, name)
    const proof = { ...by.sign(challengeOf(document)), document, public_key: by.publicKey }
    return { proposal, operator: name, challenge: id, proof, sign_count: 0 }
  }
  const own = await propose('alice')
  t.match(await call('vouch_for_key', await sign(own.id, 'alice', alices)), { code: 'voucher_is_owner' })
  const signed = await sign((await propose('bob')).id, 'alice', alices)
  await owner.query('UPDATE writ.challenge SET used_at = clock_timestamp()')
  t.match(await call('vouch_for_key', signed), { code: 'challenge_over' }, 'answered before')
  await owner.query('UPDATE writ.challenge SET used_at = NULL, expires_at = created_at')
  t.match(await call('vouch_for_key', signed), { code: 'challenge_over' }, 'too late')
  t.strictSame(await keysOf(deps, 'bob'), [])
  t.match(await call('vouch_for_key', await sign(signed.proposal, 'alice', alices)), { status: 'ok' })
})

/** As `vouchChallenge` does, for whomever. */
async function vouchFor(deps: OperatorDeps, proposal: string, voucher: string) {
  const [row] = await deps.database.query<{ operator: string; key: Record<string, string> }>(
    'SELECT operator, key FROM writ.proposed_key WHERE id = $1',
    [proposal],
  )
  const { id: key_id, kind: key_kind, public_key, label } = row?.key ?? {}
  const about = { proposal, voucher, operator: row?.operator, key_id, key_kind, public_key, label }
  const from = Date.now()
  const dates = {
    issued_at: new Date(from).toISOString(),
    expires_at: new Date(from + 300_000).toISOString(),
  }
  const document = JSON.stringify({ type: 'writ.vouch.v1', ...about, ...dates })
  const { id } = await putChallenge(deps, { purpose: 'vouch', operator: voucher, document })
  return { id, document }
}

t.test('challenges are used once, for what they are', async (t) => {
  const { deps, owner } = await testKeys(t)
  const wanted = { purpose: 'sign-in', document: randomChallenge().toString('base64url') } as const
  const { id, expiresAt } = await putChallenge(deps, wanted)
  t.ok(Math.abs(expiresAt.getTime() - Date.now() - 120_000) < 10_000, 'two minutes to sign in')
  await t.rejects(takeChallenge(deps, id, 'register'), { code: 'challenge_over' })
  const taken = await Promise.allSettled([1, 2, 3].map(() => takeChallenge(deps, id, 'sign-in')))
  t.equal(taken.filter(({ status }) => status === 'fulfilled').length, 1)
  const late = await putChallenge(deps, wanted)
  await owner.query('UPDATE writ.challenge SET expires_at = created_at')
  await t.rejects(takeChallenge(deps, late.id, 'sign-in'), { code: 'challenge_over' })
})

t.test('the link of a first run', async (t) => {
  const { owner, enrol, deps, caller, begin } = await testKeys(t)
  const link = await firstRunLink(owner, 'http://localhost:8420', 'alice')
  const url = new URL(link ?? '')
  t.equal(url.pathname, '/console/enrol')
  t.equal(url.search, '', 'nothing of it is sent to a server')
  const said = new URLSearchParams(url.hash.slice(1))
  t.equal(said.get('operator'), 'alice')
  t.ok(await begin('alice', said.get('code') ?? '', createSoftwareKey(SITE)))
  const key = await enrol('alice')
  t.equal(await firstRunLink(owner, 'http://localhost:8420', 'bob'), undefined, 'once there is a key')
  await removeKey(deps, caller('alice'), key.id)
  t.equal(await firstRunLink(owner, 'http://localhost:8420', 'bob'), undefined, 'or was one')
  t.match(enrolmentLink('https://w', 'email:a+b@c.d', 'X'), /#operator=email%3Aa%2Bb%40c.d&code=X$/)
})

t.test('signing in', async (t) => {
  const rp = SITE
  const challenge = randomChallenge()
  const options = await signInOptions(rp, challenge, 120)
  t.match(options, {
    rpId: rp.rpId,
    challenge: challenge.toString('base64url'),
    userVerification: 'required',
    allowCredentials: [],
    timeout: 120_000,
  })
  const soft = createSoftwareKey(rp)
  const key = { id: soft.id, operator: 'bob', public_key: soft.publicKey, sign_count: 2 }
  const signIn = (
    change: Parameters<SoftwareKey['sign']>[1] = {},
    handle: Buffer | undefined = userHandle('bob'),
  ) => verifySignIn(key, soft.authenticate(challenge, handle, { counter: 3, ...change }), challenge, rp)
  t.strictSame(await signIn(), { signCount: 3 })
  t.strictSame(
    await verifySignIn(key, soft.authenticate(challenge, undefined, { counter: 3 }), challenge, rp),
    {
      signCount: 3,
    },
  )
  const invalid = { code: 'signature_invalid' }
  await t.rejects(signIn({}, userHandle('alice')), invalid, 'another operator’s handle')
  await t.rejects(signIn({ userVerified: false }), invalid)
  await t.rejects(signIn({ crossOrigin: true }), invalid)
  await t.rejects(signIn({ counter: 2 }), { ...invalid, message: /copy/ })
  await t.rejects(signIn({ counter: 0 }), { ...invalid, message: /copy/ }, 'a counter that went away')
  await t.rejects(
    signIn({ counter: 1, wrongKey: true }),
    { ...invalid, message: /does not hold/ },
    'not ours to warn of',
  )
  await t.rejects(verifySignIn({ ...key, id: 'other' }, soft.authenticate(challenge), challenge, rp), invalid)
})

t.test('every algorithm that may enrol signs', async (t) => {
  const warned: string[] = []
  const listen = (warning: Error) => warned.push(warning.message)
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  const soft = createSoftwareKey(SITE)
  const challenge = randomChallenge()
  const kinds: readonly [string, KeyObject, Buffer, string | null][] = [ed25519(), rsa()]
  for (const [name, privateKey, cose, hash] of kinds) {
    const key = { id: soft.id, public_key: cose.toString('base64url'), sign_count: 0 }
    // The bytes are those of the software key, signed anew.
    const made = soft.sign(challenge)
    const signed = async (data: string) => {
      const over = Buffer.concat([Buffer.from(made.authenticator_data, 'base64url'), await sha256(data)])
      return sign(hash, over, privateKey).toString('base64url')
    }
    const good = { ...made, signature: await signed(made.client_data) }
    t.match(await verifyAssertion(key, good, challenge, SITE), { signCount: 0 }, name)
    const bad = { ...made, signature: await signed('AAAA') }
    await t.rejects(verifyAssertion(key, bad, challenge, SITE), { code: 'signature_invalid' }, name)
  }
  t.strictSame(warned, [])
})

async function sha256(base64url: string): Promise<Buffer> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(base64url, 'base64url')))
}

function ed25519(): [string, KeyObject, Buffer, null] {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const x = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url')
  return [
    'EdDSA',
    privateKey,
    Buffer.concat([Buffer.from('a401010327200621 5820'.replace(' ', ''), 'hex'), x]),
    null,
  ]
}

function rsa(): [string, KeyObject, Buffer, string] {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const n = Buffer.from(publicKey.export({ format: 'jwk' }).n ?? '', 'base64url')
  const cose = Buffer.concat([
    Buffer.from('a401030339010020590100', 'hex'),
    n,
    Buffer.from('2143010001', 'hex'),
  ])
  return ['RS256', privateKey, cose, 'sha256']
}
