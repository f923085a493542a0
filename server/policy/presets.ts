import type { TrustedIssuer } from '../types.js'

/** Asymmetric only: with HS256, the issuer's public key would be the secret. */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const

interface Preset {
  readonly algorithms: readonly string[]
  readonly maxTokenAge: string
  readonly maxTokenLife: string
  readonly human?: NonNullable<TrustedIssuer['human']>
}

/** What an issuer document without a preset gets. RS256 is OIDC's default (OpenID Connect Core section 3.1.3.7). */
const GENERIC: Preset = { algorithms: ['RS256', 'ES256'], maxTokenAge: '1h', maxTokenLife: '24h' }

/** Defaults by kind of issuer; what the document says wins. */
export const PRESETS = {
  // docs.github.com/actions/reference/security/oidc: RS256; tokens live five minutes; `actor` started the run.
  'github-actions': {
    algorithms: ['RS256'],
    maxTokenAge: '15m',
    maxTokenLife: '15m',
    human: { claim: 'actor', how: 'issuer-asserted' },
  },
  // kubernetes.io ServiceAccountTokenProjection: an hour by default, renewed by the kubelet at 80 % of it.
  kubernetes: { algorithms: ['RS256'], maxTokenAge: '1h', maxTokenLife: '2h' },
  // docs.gitlab.com/ci/secrets/id_token_authentication: RS256; lives as long as the job may; `user_login` runs it.
  gitlab: {
    algorithms: ['RS256'],
    maxTokenAge: '1h',
    maxTokenLife: '24h',
    human: { claim: 'user_login', how: 'issuer-asserted' },
  },
  // cursor.com/docs/cloud-agent/identity: RS256, bound to one cloud agent; no claim is documented as its human.
  cursor: { algorithms: ['RS256'], maxTokenAge: '1h', maxTokenLife: '1h' },
  generic: GENERIC,
} as const satisfies Record<string, Preset>

export type PresetName = keyof typeof PRESETS

export const presetOf = (name: PresetName | undefined): Preset => PRESETS[name ?? 'generic']
