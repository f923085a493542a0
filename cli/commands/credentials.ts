import { userInfo } from 'node:os'
import type { Command } from 'commander'
import type { CredentialsAnswer } from '../api.js'
import { awsVariables } from '../aws-environment.js'
import { parseDuration, sayDuration } from '../duration.js'
import { askForCredentials, type Wish } from '../issuing.js'
import { asking, type BrokerOptions, connect, onBroker } from '../options.js'
import { answer, clean, note, shellQuote } from '../output.js'

export interface AskingOptions extends BrokerOptions {
  readonly env: string
  readonly scope: readonly string[]
  readonly reason?: string
  readonly ttl?: number
  readonly ticket?: string
  readonly wait?: boolean
}

export const wishOf = (options: AskingOptions, reason: string): Wish => ({
  environment: options.env,
  scopes: options.scope,
  reason: options.reason ?? reason,
  ...(options.ttl === undefined ? {} : { ttl: options.ttl }),
  ...(options.ticket === undefined ? {} : { ticket: options.ticket }),
})

/** The two verbs that print credentials. */
export function credentialCommands(program: Command): void {
  onBroker(asking(program.command('credentials')), 'agent')
    .summary('get AWS credentials and print them')
    .description(
      'Get AWS credentials for scopes in an environment, as `export` lines for sh or as JSON. Where a human must grant it, say how to ask, or with --wait ask and wait.',
    )
    .requiredOption('--reason <text>', 'why, in words a reviewer understands')
    .option('--ttl <duration>', 'how long they should last: 900, 15m, 1h', parseDuration)
    .option('--ticket <reference>', 'reference to a ticket')
    .option('--wait', 'ask for a grant where one is needed, and wait for it')
    .addHelpText(
      'after',
      '\nExample:\n  eval "$(writ credentials --env development --scope orders:read --reason "nightly check")"',
    )
    .action(async (options: AskingOptions) => {
      const { broker, target } = connect('agent', options)
      const answered = await askForCredentials(broker, wishOf(options, ''), options.wait === true)
      if (options.json !== true) note(saying(answered))
      answer(options, answered, () => exportLines(answered, target.local?.awsUrl))
    })

  onBroker(asking(program.command('credential-process')), 'agent')
    .summary('be the credential_process of an AWS profile')
    .description(
      'Print credentials the way AWS SDKs and the AWS CLI want them from `credential_process` in ~/.aws/config. A refusal goes to stderr, where they show it.',
    )
    .option('--reason <text>', 'why; default: credential_process and the login name')
    .option('--ttl <duration>', 'how long they should last', parseDuration)
    .option('--ticket <reference>', 'reference to a ticket')
    .addHelpText(
      'after',
      '\nExample, in ~/.aws/config:\n  [profile orders-dev]\n  region = eu-west-1\n  credential_process = writ credential-process --token-file /run/token --env development --scope orders:read',
    )
    .action(async (options: AskingOptions) => {
      const { broker } = connect('agent', options)
      const reason = `credential_process of ${userInfo().username}`
      const { credentials, account } = await askForCredentials(broker, wishOf(options, reason), false)
      // AWS SDKs take Version as the integer 1 only, and the third field by this name only.
      const shape = {
        Version: 1,
        AccessKeyId: credentials.access_key_id,
        SecretAccessKey: credentials.secret_access_key,
        SessionToken: credentials.session_token,
        Expiration: credentials.expires_at,
        AccountId: account,
      }
      process.stdout.write(`${JSON.stringify(shape)}\n`)
    })
}

/** Beside credentials, for a human: what they are and until when. */
export function saying(answered: CredentialsAnswer): string {
  const seconds = Math.max(0, Math.round((Date.parse(answered.credentials.expires_at) - Date.now()) / 1000))
  const lines = [
    `# ${answered.agent} in ${answered.environment} (${answered.account}): ${answered.scopes.join(', ')}`,
    `# issuance ${answered.issuance}${answered.grant === undefined ? '' : `, on grant ${answered.grant}`}, for ${sayDuration(seconds)}`,
    ...(answered.notice === undefined ? [] : [`# ${answered.notice}`]),
  ]
  return lines.map(clean).join('\n')
}

function exportLines(answered: CredentialsAnswer, localAwsUrl: string | undefined): string {
  const variables = awsVariables(answered, { ...(localAwsUrl === undefined ? {} : { localAwsUrl }) })
  return [
    // A profile named in the environment wins over keys in it, in the JS SDK and the AWS CLI alike.
    'unset AWS_PROFILE AWS_DEFAULT_PROFILE',
    ...Object.entries(variables).map(([name, value]) => `export ${name}=${shellQuote(value)}`),
  ].join('\n')
}
