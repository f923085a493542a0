import { setTimeout as delay } from 'node:timers/promises'
import {
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  IAMClient,
  type IAMClientConfig,
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam'
import { WritError } from '../errors.js'
import type { AssumeRole, Iam } from '../types-aws.js'
import { containmentCredentials, partitionRegion } from './containment-role.js'
import { classify } from './errors.js'

export interface IamSettings {
  /** Absent means the default chain: environment, shared files, container, instance. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Of each account; with it no role is assumed. Absent means AWS's own endpoint. */
  readonly endpoint?: (account: string) => string
  readonly timeoutMs: number
  /** Twelve digits: the account that the broker's own credentials are of, where no role has to be assumed. */
  readonly ownAccount?: string
  /** ARN of the role to assume in every other account, with `{account}` in place of its digits. */
  readonly containmentRole?: string
  readonly assume?: AssumeRole
}

const ATTEMPTS = 3
/** As for STS: idle connections go before the other side closes them. */
const IDLE_MS = 3_000

/**
 * IAM over one client an account. The SDK's own retries are off; retried here are throttling, 5xx and lost connections,
 * with jitter, and expired credentials once. Every call may be repeated: each says how something is to be.
 */
export function createIam(settings: IamSettings): Iam {
  const clients = new Map<string, IAMClient>()
  const clientFor = (roleArn: string): IAMClient => {
    const account = accountOf(roleArn)
    let client = clients.get(account)
    if (client === undefined) {
      client = new IAMClient(clientConfig(settings, roleArn, account))
      clients.set(account, client)
    }
    return client
  }
  const forget = (account: string): void => {
    clients.get(account)?.destroy()
    clients.delete(account)
  }

  async function send<T>(
    roleArn: string,
    action: string,
    call: (client: IAMClient) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call(clientFor(roleArn))
      } catch (error) {
        if (error instanceof WritError) throw error
        const fault = classify(error)
        const expired = fault === 'expired-credentials' && attempt === 1
        const again = expired || fault === 'throttled' || fault === 'server' || fault === 'unreachable'
        if (!again || attempt === ATTEMPTS) throw toIamError(error, action, roleArn)
        // A new client asks for credentials anew.
        if (expired) forget(accountOf(roleArn))
        else await delay(Math.random() * 100 * 2 ** attempt)
      }
    }
  }
  const orNone = async <T>(work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work
    } catch (error) {
      if (error instanceof WritError && error.extra.missing === true) return undefined
      throw error
    }
  }

  return {
    role: (roleArn) =>
      orNone(
        send(roleArn, 'GetRole', async (client) => {
          const { Role } = await client.send(new GetRoleCommand({ RoleName: nameOf(roleArn) }))
          return {
            arn: Role?.Arn ?? '',
            trustPolicy: decoded(Role?.AssumeRolePolicyDocument),
            // IAM leaves it out where it was never set.
            maxSessionSeconds: Role?.MaxSessionDuration ?? 3_600,
            ...(Role?.PermissionsBoundary?.PermissionsBoundaryArn === undefined
              ? {}
              : { permissionsBoundary: Role.PermissionsBoundary.PermissionsBoundaryArn }),
          }
        }),
      ),
    inlinePolicies: (roleArn) =>
      paged(async (Marker) => {
        const answer = await send(roleArn, 'ListRolePolicies', (client) =>
          client.send(new ListRolePoliciesCommand({ RoleName: nameOf(roleArn), ...Marker })),
        )
        return { items: answer.PolicyNames ?? [], next: answer.IsTruncated ? answer.Marker : undefined }
      }),
    inlinePolicy: (roleArn, name) =>
      orNone(
        send(roleArn, 'GetRolePolicy', async (client) => {
          const input = { RoleName: nameOf(roleArn), PolicyName: name }
          const { PolicyDocument } = await client.send(new GetRolePolicyCommand(input))
          return decoded(PolicyDocument)
        }),
      ),
    attachedPolicies: (roleArn) =>
      paged(async (Marker) => {
        const answer = await send(roleArn, 'ListAttachedRolePolicies', (client) =>
          client.send(new ListAttachedRolePoliciesCommand({ RoleName: nameOf(roleArn), ...Marker })),
        )
        const items = (answer.AttachedPolicies ?? []).map(({ PolicyArn }) => PolicyArn ?? '')
        return { items, next: answer.IsTruncated ? answer.Marker : undefined }
      }),
    async putInlinePolicy(roleArn, name, document) {
      const input = { RoleName: nameOf(roleArn), PolicyName: name, PolicyDocument: document }
      await send(roleArn, 'PutRolePolicy', (client) => client.send(new PutRolePolicyCommand(input)))
    },
    async deleteInlinePolicy(roleArn, name) {
      const input = { RoleName: nameOf(roleArn), PolicyName: name }
      await orNone(
        send(roleArn, 'DeleteRolePolicy', (client) => client.send(new DeleteRolePolicyCommand(input))),
      )
    },
    close: () => {
      for (const account of [...clients.keys()]) forget(account)
    },
  }
}

async function paged(
  page: (Marker: { Marker?: string }) => Promise<{ items: readonly string[]; next: string | undefined }>,
): Promise<readonly string[]> {
  const all: string[] = []
  let next: string | undefined
  do {
    const answer = await page(next === undefined ? {} : { Marker: next })
    all.push(...answer.items)
    next = answer.next
  } while (next !== undefined)
  return all
}

function clientConfig(settings: IamSettings, roleArn: string, account: string): IAMClientConfig {
  const { endpoint, timeoutMs } = settings
  const credentials = credentialsFor(settings, account)
  return {
    region: partitionRegion(roleArn),
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: 1_000,
      requestTimeout: timeoutMs,
      throwOnRequestTimeout: true,
      httpAgent: { keepAlive: true, maxSockets: 64, timeout: IDLE_MS },
      httpsAgent: { keepAlive: true, maxSockets: 64, timeout: IDLE_MS },
    },
    ...(endpoint === undefined ? {} : { endpoint: endpoint(account) }),
    ...(credentials === undefined ? {} : { credentials }),
  }
}

function credentialsFor(settings: IamSettings, account: string): IAMClientConfig['credentials'] {
  const { credentials, endpoint, ownAccount, containmentRole, assume } = settings
  if (endpoint !== undefined || account === ownAccount) return credentials
  if (containmentRole === undefined || assume === undefined) {
    throw new WritError(
      'iam_unavailable',
      `The broker has no way into the IAM of account ${account}: no containment role is configured.`,
    )
  }
  return containmentCredentials(assume, containmentRole, account)
}

/** The error a caller sees. AWS's own message stays in the log: it can name principals and policies. */
function toIamError(error: unknown, action: string, roleArn: string): WritError {
  const name = error instanceof Error ? error.name.replace(/Exception$/, '') : 'unknown'
  const fault = classify(error)
  const about = `${action} on ${roleArn}`
  const out =
    fault === 'throttled'
      ? new WritError('aws_throttled', `IAM is throttling ${action}.`, { retryAfterSeconds: 5 })
      : fault !== 'refused'
        ? new WritError('aws_unavailable', `IAM did not do ${about}: ${name}.`, { retryAfterSeconds: 5 })
        : REFUSED_US.test(name)
          ? new WritError('iam_unavailable', `IAM refuses the broker ${about}: ${name}.`)
          : new WritError('aws_refused', `IAM refused ${about}: ${name}.`, {
              ...(name === 'LimitExceeded' ? { limit: true } : {}),
              ...(name === 'NoSuchEntity' ? { missing: true } : {}),
            })
  out.cause = error
  return out
}

/** Who we are, or what we may do, and not what was asked. */
const REFUSED_US =
  /^(AccessDenied|UnauthorizedOperation|InvalidClientTokenId|SignatureDoesNotMatch|IncompleteSignature|MissingAuthenticationToken|OptInRequired|CredentialsProviderError)$/

/** IAM answers documents encoded (RFC 3986). */
const decoded = (document = ''): string => decodeURIComponent(document)

const accountOf = (roleArn: string): string => roleArn.split(':')[4] ?? ''

/** The last part: a path is no part of a role's name. */
const nameOf = (roleArn: string): string => roleArn.split('/').at(-1) ?? ''
