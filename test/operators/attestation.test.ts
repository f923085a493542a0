import t from 'tap'
import { attestationProblem, attestationRule } from '../../server/operators/attestation.js'
import {
  type RegistrationJson,
  registrationOptions,
  verifyRegistration,
} from '../../server/operators/ceremonies.js'
import { randomChallenge } from '../../server/operators/challenges.js'
import type { AttestationRule } from '../../server/operators/deps.js'
import { proposeKey } from '../../server/operators/enrolment.js'
import { SITE } from '../support/signing.js'
import { softwareSk } from '../support/software-sk.js'
import { type Authority, attested, certificate } from './attested.js'
import { testKeys } from './support.js'

const MODEL = Buffer.from('cb69481e8ff7403993ec0a2729a154a8', 'hex')
const OTHER = Buffer.from('ee882879721c491397753dfcce97072a', 'hex')
const root = certificate('Maker root', undefined, { ca: true })
const between = certificate('Maker batch', root, { ca: true })
const leaf = certificate('Key', between, { aaguid: MODEL })
const RULE: AttestationRule = {
  aaguids: new Set(['cb69481e-8ff7-4039-93ec-0a2729a154a8']),
  roots: [certificate('Somebody else', undefined, { ca: true }).pem, root.pem],
}

const challenge = randomChallenge()
const enrol = (aaguid: Buffer, chain: readonly Authority[], rule: AttestationRule | null = RULE) =>
  verifyRegistration(SITE, attested(challenge, aaguid, chain), challenge, 'key', rule ?? undefined)

const objectOf = ({ response }: RegistrationJson) => Buffer.from(response.attestationObject, 'base64url')

t.test('with a list, an authenticator proves its model', async (t) => {
  const good = { aaguid: 'cb69481e-8ff7-4039-93ec-0a2729a154a8', label: 'key', transports: ['usb'] }
  t.match(await enrol(MODEL, [leaf, between]), good)
  t.match(await enrol(MODEL, [leaf, between, root]), good, 'with the root in the chain')
  const options = { operator: 'bob', challenge, seconds: 300, have: [] }
  t.match(await registrationOptions(SITE, { ...options, attestation: RULE }), { attestation: 'direct' })
  t.match(await registrationOptions(SITE, { ...options, attestation: undefined }), { attestation: 'none' })

  const parts = {
    aaguid: good.aaguid,
    attestationObject: objectOf(attested(challenge, MODEL, [leaf, between])),
  }
  t.equal(attestationProblem({ ...parts, fmt: 'packed' }, RULE), undefined)
  t.match(
    attestationProblem({ ...parts, fmt: 'fido-u2f' }, RULE),
    /does not prove/,
    'a format that signs no model',
  )

  const refused = { code: 'authenticator_not_allowed' }
  await t.rejects(
    enrol(OTHER, [certificate('Key', between, { aaguid: OTHER }), between]),
    refused,
    'another model',
  )
  await t.rejects(enrol(MODEL, []), refused, 'by its own key only: any program can')
  const none = attested(challenge, MODEL, [], 'none')
  await t.rejects(verifyRegistration(SITE, none, challenge, 'key', RULE), refused, 'none at all')
  const forged = certificate('Maker root', undefined, { ca: true })
  await t.rejects(
    enrol(MODEL, [certificate('Key', forged, { aaguid: MODEL }), forged]),
    refused,
    'a root of its own',
  )
  const borrowed = { ...certificate('Key', leaf, { aaguid: MODEL }) }
  await t.rejects(
    enrol(MODEL, [borrowed, leaf, between]),
    refused,
    'by a key’s certificate, which is no authority',
  )
  await t.rejects(enrol(MODEL, [leaf]), refused, 'a link is missing')
  await t.rejects(enrol(MODEL, [leaf, root]), refused, 'a link that does not fit')
  const old = certificate('Maker batch', root, { ca: true, over: true })
  await t.rejects(
    enrol(MODEL, [certificate('Key', old, { aaguid: MODEL }), old]),
    refused,
    'a link out of date',
  )
  const invalid = { code: 'signature_invalid' }
  await t.rejects(
    enrol(MODEL, [certificate('Key', between, { aaguid: OTHER }), between]),
    invalid,
    'another’s certificate',
  )
  const stolen = { ...leaf, key: between.key }
  await t.rejects(enrol(MODEL, [stolen, between]), invalid, 'a certificate without its key')
})

t.test('without a list nobody asks for the model', async (t) => {
  t.match(await enrol(MODEL, [], null), { label: 'key' })
  const { deps, caller } = await testKeys(t, { attestation: RULE })
  const { publicKey } = softwareSk('ed25519')
  await t.rejects(
    proposeKey(deps, caller('bob'), { kind: 'ssh-sk', public_key: publicKey, label: 'x' }),
    { code: 'authenticator_not_allowed' },
    'and with one, an SSH key cannot say it',
  )
})

t.test('the rule as it is configured', async (t) => {
  const rule = attestationRule(['CB69481E-8FF7-4039-93EC-0A2729A154A8'], `# makers\n${RULE.roots.join('\n')}`)
  t.match(await enrol(MODEL, [leaf, between], rule), { label: 'key' })
  t.throws(() => attestationRule([], ''), { name: 'StartError' })
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'
  t.throws(() => attestationRule([], broken), { name: 'StartError' })
})
