/** What the templates of a resource are filled with. */
export interface TemplateValues {
  readonly environment: string
  readonly account: string
  readonly regions: readonly string[]
  readonly agent: string
  /** Value of `{claim.NAME}`; undefined where it cannot be used. */
  readonly claim: (name: string) => string | undefined
}

const TEMPLATE = /\{([^{}]*)\}/g
const CLAIM = /^claim\.([A-Za-z0-9_-]{1,64})$/

/** The names in braces, in order; undefined when braces or `$` stand where no template is. */
export function templatesOf(text: string): readonly string[] | undefined {
  const names = [...text.matchAll(TEMPLATE)].map(([, name = '']) => name)
  const rest = text.replace(TEMPLATE, '')
  return /[{}$]/.test(rest) ? undefined : names
}

export const isTemplate = (name: string): boolean =>
  ['environment', 'account', 'region', 'agent'].includes(name) || CLAIM.test(name)

export const claimOf = (name: string): string | undefined => CLAIM.exec(name)?.[1]

export type Filled =
  | { readonly ok: true; readonly resources: readonly string[] }
  | { readonly ok: false; readonly claim: string }

/** One ARN for each region where `{region}` stands, else one. */
export function fill(template: string, values: TemplateValues): Filled {
  let unusable: string | undefined
  const fillFor = (region: string): string =>
    template.replace(TEMPLATE, (_, name: string) => {
      const claim = claimOf(name)
      if (claim === undefined)
        return { ...values, region }[name as 'environment' | 'account' | 'agent' | 'region']
      const value = values.claim(claim)
      if (value === undefined) unusable ??= claim
      return value ?? ''
    })
  const regions = template.includes('{region}') ? values.regions : [values.regions[0] ?? '']
  const resources = regions.map(fillFor)
  return unusable === undefined ? { ok: true, resources } : { ok: false, claim: unusable }
}
