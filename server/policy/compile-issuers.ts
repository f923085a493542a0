import type { TrustedIssuer } from '../types.js'
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
  }
}

/** No audience serves both sides: an agent's token would then verify on an operator's route. */
export function checkAudiences(documents: readonly Parsed<'issuer'>[], report: Report): void {
  for (const document of documents) {
    const { value } = document
    const other = documents.find(
      (one) => one.value.issuer === value.issuer && one.value.for === 'agents' && value.for === 'operators',
    )
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
