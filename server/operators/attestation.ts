import { X509Certificate } from 'node:crypto'
import { decodeAttestationObject } from '@simplewebauthn/server/helpers'
import { StartError } from '../errors.js'
import type { AttestationRule } from './deps.js'

/** What the library has verified of an attestation: its signature, and what its format asks of the first certificate. */
export interface Attested {
  readonly fmt: string
  readonly aaguid: string
  readonly attestationObject: Uint8Array
}

/** Those in which a certificate of the maker signs the model. `none` and the key's own signature say nothing of it. */
const FORMATS = ['packed', 'tpm']

/** More than any maker's chain. */
const MOST_CERTIFICATES = 5

/**
 * Why an authenticator may not enrol, in one sentence; undefined when it may. The library takes any certificate where
 * it was given no roots, and asks their issuers over the network where it was; this looks at the chain itself and
 * stays at home. A maker's revoked certificates are thus refused by taking their model off the list.
 */
export function attestationProblem(
  attested: Attested,
  rule: AttestationRule,
  now = new Date(),
): string | undefined {
  if (!rule.aaguids.has(attested.aaguid))
    return `Authenticators of the model ${attested.aaguid} may not enrol here.`
  const chain = certificatesOf(attested)
  if (chain === undefined) return 'The authenticator does not prove its model by a certificate of its maker.'
  const roots = rule.roots.map((pem) => new X509Certificate(pem))
  return leadsTo(chain, roots, now)
    ? undefined
    : 'The certificate of the authenticator is not of a maker that is known here.'
}

function certificatesOf({ fmt, attestationObject }: Attested): readonly X509Certificate[] | undefined {
  if (!FORMATS.includes(fmt)) return undefined
  const x5c = decodeAttestationObject(Uint8Array.from(attestationObject)).get('attStmt').get('x5c')
  if (!Array.isArray(x5c) || x5c.length === 0 || x5c.length > MOST_CERTIFICATES) return undefined
  try {
    return x5c.map((der) => new X509Certificate(der))
  } catch {
    return undefined
  }
}

/** Each certificate is in date and signed by the next, which is an authority; the last by a root (RFC 5280, 6.1). */
function leadsTo(chain: readonly X509Certificate[], roots: readonly X509Certificate[], now: Date): boolean {
  if (!chain.every((one) => inDate(one, now))) return false
  const linked = chain.every((one, i) => {
    const next = chain[i + 1]
    return next === undefined || signedBy(one, next)
  })
  const last = chain.at(-1)
  if (!linked || last === undefined) return false
  return roots.some(
    (root) => inDate(root, now) && (root.fingerprint256 === last.fingerprint256 || signedBy(last, root)),
  )
}

const signedBy = (one: X509Certificate, by: X509Certificate): boolean =>
  by.ca && one.checkIssued(by) && one.verify(by.publicKey)

const inDate = (one: X509Certificate, now: Date): boolean =>
  new Date(one.validFrom) <= now && now <= new Date(one.validTo)

/** The rule of a list of models and a file of certificates (PEM, one after another). Throws `StartError`. */
export function attestationRule(aaguids: readonly string[], pem: string): AttestationRule {
  const roots = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  try {
    for (const root of roots) new X509Certificate(root)
  } catch {
    throw new StartError('WRIT_PASSKEY_ROOTS_FILE holds a certificate that cannot be read.')
  }
  if (roots.length === 0) throw new StartError('WRIT_PASSKEY_ROOTS_FILE holds no certificate (PEM).')
  return { aaguids: new Set(aaguids.map((one) => one.toLowerCase())), roots }
}
