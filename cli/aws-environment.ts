import { devNull } from 'node:os'
import type { CredentialsAnswer } from './api.js'

/** How the command reaches its credentials. */
export type Delivery =
  | { readonly kind: 'static' }
  /** The SDK fetches them itself, and again before they end. */
  | { readonly kind: 'container'; readonly uri: string; readonly tokenFile: string }

interface Place {
  readonly localAwsUrl?: string
  /** A region the caller had set already; kept where the environment has it. */
  readonly region?: string
}

/** Keys, region and, in local mode, the endpoint. */
export function awsVariables(answered: CredentialsAnswer, place: Place): Record<string, string> {
  const { access_key_id, secret_access_key, session_token, expires_at } = answered.credentials
  return {
    AWS_ACCESS_KEY_ID: access_key_id,
    AWS_SECRET_ACCESS_KEY: secret_access_key,
    AWS_SESSION_TOKEN: session_token,
    AWS_CREDENTIAL_EXPIRATION: expires_at,
    ...placeVariables(answered, place),
  }
}

function placeVariables(
  { regions }: CredentialsAnswer,
  { localAwsUrl, region }: Place,
): Record<string, string> {
  const used = region !== undefined && regions.includes(region) ? region : regions[0]
  return {
    // boto3 reads the second name only.
    ...(used === undefined ? {} : { AWS_REGION: used, AWS_DEFAULT_REGION: used }),
    ...(localAwsUrl === undefined ? {} : { AWS_ENDPOINT_URL: localAwsUrl }),
  }
}

/** Everything by which an SDK would find other credentials, or a less narrow session, than these. */
const OTHER_CREDENTIALS = [
  'AWS_PROFILE',
  'AWS_DEFAULT_PROFILE',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_SECURITY_TOKEN',
  'AWS_CREDENTIAL_EXPIRATION',
  'AWS_CREDENTIAL_SCOPE',
  'AWS_ACCOUNT_ID',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_ROLE_ARN',
  'AWS_ROLE_SESSION_NAME',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_CONFIG_FILE',
  // The command gets AWS credentials for these scopes, not the right to ask for others or to approve.
  'WRIT_TOKEN',
  'WRIT_TOKEN_FILE',
  'WRIT_OPERATOR_TOKEN',
  'WRIT_OPERATOR_TOKEN_FILE',
]

/** The environment in which a command finds these credentials and no others. */
export function commandEnvironment(
  inherited: NodeJS.ProcessEnv,
  answered: CredentialsAnswer,
  delivery: Delivery,
  localAwsUrl: string | undefined,
): NodeJS.ProcessEnv {
  const env = { ...inherited }
  for (const name of OTHER_CREDENTIALS) delete env[name]
  if (localAwsUrl !== undefined) {
    // An endpoint for one service wins over the one for all, and would send the request out.
    for (const name of Object.keys(env)) if (name.startsWith('AWS_ENDPOINT_URL')) delete env[name]
    delete env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS
  }
  const region = inherited.AWS_REGION ?? inherited.AWS_DEFAULT_REGION
  const place = {
    ...(localAwsUrl === undefined ? {} : { localAwsUrl }),
    ...(region === undefined ? {} : { region }),
  }
  return {
    ...env,
    // The files in ~/.aws come before the container provider in every SDK's chain.
    AWS_SHARED_CREDENTIALS_FILE: devNull,
    AWS_CONFIG_FILE: devNull,
    // After a refusal an SDK would go on to the role of the machine, which nobody narrowed.
    AWS_EC2_METADATA_DISABLED: 'true',
    ...(delivery.kind === 'static'
      ? awsVariables(answered, place)
      : {
          AWS_CONTAINER_CREDENTIALS_FULL_URI: delivery.uri,
          AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: delivery.tokenFile,
          ...placeVariables(answered, place),
        }),
  }
}
