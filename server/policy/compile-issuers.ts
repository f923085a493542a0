import { LOCAL_ISSUER, type SignIn, type TrustedIssuer } from '../types.js'
import type { Parsed } from './parse.js'
import { presetOf } from './presets.js'
import type { Report } from './report.js'
import { seconds } from './tiers.js'

const DAY_SECONDS = 86_400

export function compileIssuer(document: Parsed<'issuer'>, report: Report): TrustedIssuer {
  const { value } = document
  const preset = presetOf(value.preset)
  const limit = (key: 'max_token_age' | 'max_token_life', standard: string): number => {
    const total = seconds(value[key] ?? standard)
    if (total > DAY_SECONDS) report(document, [key], 'field_invalid', `"${key}" can be at most 24h.`)
    return Math.min(total, DAY_SECONDS)
  }
  // Operators are humans themselves: nobody acts through their tokens on behalf of another.
  if (value.human !== undefined && value.for === 'operators') {
    report(
      document,
      ['human'],
      'field_invalid',
      '"human" is for issuers of agents; an operator is the human.',
      'key',
    )
  }
  checkSignIn(document, report)
  const human = value.human ?? (value.for === 'agents' ? preset.human : undefined)
  return {
    issuer: value.issuer,
    audience: value.audience,
    for: value.for,
    algorithms: value.algorithms ?? preset.algorithms,
    ...(value.jwks === undefined ? {} : { jwksUri: value.jwks }),
    maxTokenAgeSeconds: limit('max_token_age', preset.maxTokenAge),
    maxTokenLifeSeconds: limit('max_token_life', preset.maxTokenLife),
    ...(human === undefined ? {} : { human }),
    ...(value.sign_in === undefined ? {} : { signIn: signInOf(value.sign_in) }),
  }
}

const signInOf = (written: NonNullable<Parsed<'issuer'>['value']['sign_in']>): SignIn => ({
  clientId: written.client_id,
  ...(written.client_secret_file === undefined ? {} : { clientSecretFile: written.client_secret_file }),
  scopes: written.scopes ?? ['openid'],
})

function checkSignIn(document: Parsed<'issuer'>, report: Report): void {
  const { value } = document
  if (value.sign_in === undefined) return
  const fault = (path: readonly string[], message: string, part: 'key' | 'value' = 'value'): void =>
    report(document, ['sign_in', ...path], 'field_invalid', message, part)
  if (value.for === 'agents')
    fault([], '"sign_in" is for issuers of operators; no agent opens the console.', 'key')
  if (value.issuer === LOCAL_ISSUER) {
    fault(
      [],
      'Nobody can sign in at the local issuer: it has no pages. Passkeys open the console there.',
      'key',
    )
  }
  if (value.sign_in.scopes?.includes('openid') === false) {
    fault(['scopes'], '"sign_in.scopes" must have openid: without it the issuer does not say who it was.')
  }
}

/** No audience serves both sides: an agent's token would then verify on an operator's route. */
export function checkAudiences(documents: readonly Parsed<'issuer'>[], report: Report): void {
  for (const document of documents) {
    const { value } = document
    const other = documents.find(
      (one) => one.value.issuer === value.issuer && one.value.for === 'agents' && value.for === 'operators',
    )
    // The token of a sign-in has the client as its audience (OpenID Connect Core section 2).
    if (other !== undefined && other.value.audience === value.sign_in?.client_id) {
      report(
        document,
        ['sign_in', 'client_id'],
        'audience_shared',
        `Agents of this issuer have the audience "${other.value.audience}": what a human signs in with would open their routes.`,
      )
    }
    if (other?.value.audience === value.audience) {
      report(
        document,
        ['audience'],
        'audience_shared',
        `Agents of this issuer have the audience "${value.audience}" too; operators need another one.`,
      )
    }
  }
}
