import { deflateRawSync } from 'node:zlib'
import { AwsFault } from './answer.js'
import { constraint, invalid } from './request.js'

export interface AssumeRoleParameters {
  readonly roleArn: string
  readonly sessionName: string
  readonly durationSeconds: number
  readonly policy?: string | undefined
  readonly sourceIdentity?: string | undefined
  readonly externalId?: string | undefined
  readonly tags: Readonly<Record<string, string>>
}

const KNOWN =
  /^(Action|Version|RoleArn|RoleSessionName|DurationSeconds|Policy|SourceIdentity|ExternalId|Tags\.member\.\d+\.(Key|Value))$/
const NAME = /^[\w+=,.@-]*$/
const TAG = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u

/** Every limit of the service model. Throws ValidationError and its kin. STS API, "AssumeRole". */
export function readAssumeRole(parameters: ReadonlyMap<string, string>): AssumeRoleParameters {
  // A parameter that is not understood could narrow the session: it is never skipped.
  for (const name of parameters.keys())
    if (!KNOWN.test(name)) throw invalid(`Local AWS does not support ${name}`)
  const read = (name: string, shortest: number, longest: number, pattern?: RegExp): string | undefined => {
    const value = parameters.get(name)
    const field = name.charAt(0).toLowerCase() + name.slice(1)
    if (value === undefined) return undefined
    if (value.length < shortest) throw constraint(field, `have length greater than or equal to ${shortest}`)
    if (value.length > longest) throw constraint(field, `have length less than or equal to ${longest}`)
    if (pattern !== undefined && !pattern.test(value))
      throw constraint(field, `satisfy regular expression pattern: ${pattern.source}`)
    return value
  }
  const roleArn = read('RoleArn', 20, 2048)
  const sessionName = read('RoleSessionName', 2, 64, NAME)
  if (roleArn === undefined) throw constraint('roleArn', 'not be null')
  if (sessionName === undefined) throw constraint('roleSessionName', 'not be null')
  const sourceIdentity = read('SourceIdentity', 2, 64, NAME)
  if (sourceIdentity?.toLowerCase().startsWith('aws:'))
    throw invalid('SourceIdentity may not start with aws:')
  return {
    roleArn,
    sessionName,
    durationSeconds: readDuration(parameters.get('DurationSeconds') ?? '3600'),
    policy: read('Policy', 1, 2048, /^[\t\n\r -\u00ff]+$/),
    sourceIdentity,
    externalId: read('ExternalId', 2, 1224, /^[\w+=,.@:/-]*$/),
    tags: readTags(parameters),
  }
}

function readDuration(text: string): number {
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (!(seconds >= 900)) throw constraint('durationSeconds', 'have value greater than or equal to 900')
  if (seconds > 43_200) throw constraint('durationSeconds', 'have value less than or equal to 43200')
  return seconds
}

function readTags(parameters: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  const count = new Set(
    [...parameters.keys()].flatMap((name) => /^Tags\.member\.(\d+)\./.exec(name)?.[1] ?? []),
  ).size
  if (count > 50) throw constraint('tags', 'have length less than or equal to 50')
  const tags: [string, string][] = []
  for (let n = 1; n <= count; n++) {
    const key = parameters.get(`Tags.member.${n}.Key`)
    const value = parameters.get(`Tags.member.${n}.Value`)
    if (key === undefined || value === undefined) throw constraint(`tags.${n}.member`, 'not be null')
    if (key.length < 1 || key.length > 128) throw constraint(`tags.${n}.member.key`, 'have length 1 to 128')
    if (value.length > 256)
      throw constraint(`tags.${n}.member.value`, 'have length less than or equal to 256')
    if (!TAG.test(key) || !TAG.test(value))
      throw constraint(`tags.${n}.member`, `satisfy regular expression pattern: ${TAG.source}`)
    if (key.toLowerCase().startsWith('aws:')) throw invalid(`Tag keys may not start with aws:`)
    tags.push([key, value])
  }
  if (new Set(tags.map(([key]) => key.toLowerCase())).size !== tags.length)
    throw new AwsFault(
      'InvalidParameterValue',
      400,
      'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
    )
  return Object.fromEntries(tags)
}

/** Bytes that stand for 100 %: an assumption, AWS publishes neither its packing nor its size. */
const PACKED_BYTES = 1024

/**
 * A percentage like AWS's PackedPolicySize: grows with policy and tags, falls with repetition. Throws
 * PackedPolicyTooLarge above 100.
 */
export function packedPolicySize(policy: string | undefined, tags: Readonly<Record<string, string>>): number {
  const packed = policy === undefined ? 0 : deflateRawSync(policy).length
  const tagged = Object.entries(tags).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key + value) + 2,
    0,
  )
  const percent = Math.ceil((100 * (packed + tagged)) / PACKED_BYTES)
  if (percent > 100)
    throw new AwsFault(
      'PackedPolicyTooLarge',
      400,
      `Packed size of session tags and policy consumes ${percent}% of the allotted space.`,
    )
  return percent
}
