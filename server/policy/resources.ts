import { hasWildcard } from './glob.js'
import type { ProblemCode } from './problems.js'
import { nearest } from './problems.js'
import { claimOf, isTemplate, templatesOf } from './template.js'

interface Flaw {
  readonly code: ProblemCode
  readonly message: string
}

const flaw = (code: ProblemCode, message: string): Flaw => ({ code, message })

/** What is wrong with one resource of a scope, if anything. `*` alone is judged by the scope's actions, not here. */
export function resourceFlaw(text: string): Flaw | undefined {
  const names = templatesOf(text)
  if (names === undefined) {
    return flaw(
      'resource_invalid',
      `"${text}" has braces or a $ that are no template; policy variables are not supported.`,
    )
  }
  const unknown = names.find((name) => !isTemplate(name))
  if (unknown !== undefined) {
    const near = nearest(unknown, ['environment', 'account', 'region', 'agent'])
    const hint =
      near === undefined
        ? 'There is: environment, account, region, agent, claim.NAME.'
        : `Did you mean {${near}}?`
    return flaw('resource_invalid', `{${unknown}} is no template. ${hint}`)
  }
  if (!/^[!#-[\]-~]*$/.test(text)) {
    return flaw(
      'resource_invalid',
      `"${text}" has a space, a quote, a backslash or a character beyond ASCII.`,
    )
  }
  // A claim value may be anything its pattern allows, so it stands for itself only; `#` cannot be in a name.
  const marked = text.replace(/\{claim\.[^}]*\}/g, '#').replace(/\{(account|region)\}/g, '@$1')
  return partsFlaw(text, marked)
}

function partsFlaw(text: string, marked: string): Flaw | undefined {
  const [arn, partition = '', service = '', region = '', account = '', ...rest] = marked.split(':')
  const resource = rest.join(':')
  if (arn !== 'arn' || resource === '') {
    return flaw('resource_invalid', `"${text}" is not an ARN: arn:partition:service:region:account:resource.`)
  }
  for (const part of [partition, service, region, account]) {
    if (hasWildcard(part))
      return flaw('resource_too_wide', `"${text}" has a wildcard before its resource part.`)
  }
  if (!/^aws(-cn|-us-gov)?$/.test(partition) || !/^[a-z0-9-]+$/.test(service)) {
    return flaw('resource_invalid', `"${text}" is not an ARN: its partition or service does not exist.`)
  }
  if (!/^(@region|[a-z0-9-]*)$/.test(region)) {
    return flaw('resource_invalid', `The region in "${text}" must be {region}, the name of one, or empty.`)
  }
  if (!/^(@account|\d{12}|aws|)$/.test(account)) {
    return flaw('resource_invalid', `The account in "${text}" must be {account}, twelve digits, or empty.`)
  }
  if (!/[^*?]/.test(resource)) {
    return flaw('resource_too_wide', `"${text}" is everything of ${service}. Name what the scope is about.`)
  }
  return service === 's3' && account === '' ? bucketFlaw(text, resource) : undefined
}

/** Bucket ARNs name no account: a wildcard in a bucket's name reaches buckets that others own. */
function bucketFlaw(text: string, resource: string): Flaw | undefined {
  const bucket = resource.split('/', 1)[0] ?? ''
  if (hasWildcard(bucket)) {
    return flaw(
      'resource_too_wide',
      `"${text}" has a wildcard in the bucket's name, which reaches other accounts' buckets.`,
    )
  }
  if (!/[^#]/.test(bucket)) {
    return flaw('resource_too_wide', `"${text}" lets a claim alone choose the bucket.`)
  }
  return undefined
}

/** The account that a resource names in digits. */
export const accountIn = (text: string): string | undefined =>
  /^arn:[^:]*:[^:]*:[^:]*:(\d{12}):/.exec(text)?.[1]

/** The claims that some resources are filled with. */
export const claimsIn = (resources: readonly string[]): readonly string[] =>
  resources.flatMap((text) => (templatesOf(text) ?? []).flatMap((name) => claimOf(name) ?? []))
