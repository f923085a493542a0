import t from 'tap'
import { formatProblem, nearest, PROBLEM_CODES, type ProblemCode } from '../../server/policy/problems.js'
import { AUDIENCE, GOOD, ISSUER, problemsWith } from './support.js'

interface Case {
  readonly what: string
  /** File of the good set (or a new one) and its new text. */
  readonly file: string
  readonly text: string
  readonly code: ProblemCode
  readonly line: number
  readonly column?: number
  readonly says: RegExp
}

const good = (file: string): string => GOOD[file] ?? ''
const change = (file: string, from: string, to: string): string => {
  const text = good(file)
  if (!text.includes(from)) throw new Error(`${file} has no ${from}`)
  return text.replace(from, to)
}

const scope = (body: string): string => `scope: extra:scope\ndescribe: Extra\nallow:\n${body}`
const action = (pattern: string, resource = 'arn:aws:s3:::orders-{environment}/*'): string =>
  scope(`  - actions: ["${pattern}"]\n    resources: ["${resource}"]\n`)
const condition = (operator: string, key: string, value: string): string =>
  scope(
    `  - actions: [s3:GetObject]\n    resources: ["arn:aws:s3:::orders/*"]\n    when:\n      ${operator}:\n        ${key}: ${value}\n`,
  )
const claims = (matcher: string): string =>
  change('coder.yaml', 'claims: { repository_id: "4711" }', `claims:\n    repository_id: ${matcher}`)
const bind = (blocks: string): string =>
  change(
    'coder.yaml',
    'scopes: [orders:read, orders:write]\n  prod',
    `scopes: [orders:read, orders:write]\n    bind: { network: ${blocks} }\n  prod`,
  )

const CASES: readonly Case[] = [
  // --- YAML
  {
    what: 'broken YAML',
    file: 'dev.yaml',
    text: 'environment: [dev\n',
    code: 'yaml_syntax',
    line: 2,
    says: /./,
  },
  {
    what: 'a key twice',
    file: 'dev.yaml',
    text: `${good('dev.yaml')}tier: production\n`,
    code: 'yaml_duplicate_key',
    line: 5,
    column: 1,
    says: /twice/,
  },
  {
    what: 'a custom tag',
    file: 'dev.yaml',
    text: change('dev.yaml', 'tier: development', 'tier: !!js/function development'),
    code: 'yaml_syntax',
    line: 2,
    says: /tag/i,
  },
  {
    what: 'a merge key',
    file: 'dev.yaml',
    text: `${good('dev.yaml')}<<: { describe: x }\n`,
    code: 'yaml_syntax',
    line: 5,
    says: /merge/i,
  },
  {
    what: 'a __proto__ key',
    file: 'coder.yaml',
    text: claims('"4711"\n    __proto__: "x"'),
    code: 'yaml_syntax',
    line: 7,
    says: /__proto__/,
  },
  {
    what: 'aliases that multiply',
    file: 'laugh.yaml',
    text: `a: &a [x, x]\n${[...'bcdefghi'].map((c, n) => `${c}: &${c} [*${'abcdefgh'[n]}, *${'abcdefgh'[n]}, *${'abcdefgh'[n]}]\n`).join('')}`,
    code: 'yaml_alias',
    line: 1,
    says: /memory/,
  },
  {
    what: 'too many aliases',
    file: 'many.yaml',
    text: `a: &a x\nb:\n${'  - *a\n'.repeat(101)}`,
    code: 'yaml_alias',
    line: 103,
    says: /at most 100/,
  },
  {
    what: 'brackets without end',
    file: 'deep.yaml',
    text: '['.repeat(50_000),
    code: 'yaml_syntax',
    line: 1,
    says: /./,
  },
  // --- kind and keys
  {
    what: 'a list',
    file: 'dev.yaml',
    text: '- environment: dev\n',
    code: 'kind_unknown',
    line: 1,
    says: /mapping/,
  },
  {
    what: 'a misspelt kind',
    file: 'dev.yaml',
    text: change('dev.yaml', 'environment:', 'enviroment:'),
    code: 'kind_unknown',
    line: 1,
    column: 1,
    says: /Did you mean "environment"/,
  },
  {
    what: 'the kind not first',
    file: 'dev.yaml',
    text: 'tier: development\nenvironment: dev\n',
    code: 'kind_unknown',
    line: 1,
    says: /move "environment" to the top/,
  },
  {
    what: 'a misspelt key',
    file: 'dev.yaml',
    text: change('dev.yaml', 'tier:', 'teir:'),
    code: 'key_unknown',
    line: 2,
    column: 1,
    says: /Did you mean "tier"/,
  },
  {
    what: 'a misspelt inner key',
    file: 'coder.yaml',
    text: change('coder.yaml', 'scopes:', 'scope:'),
    code: 'key_unknown',
    line: 11,
    column: 5,
    says: /Did you mean "scopes"/,
  },
  {
    what: 'NotAction',
    file: 'x.yaml',
    text: scope(
      '  - actions: [s3:GetObject]\n    resources: ["arn:aws:s3:::o/*"]\n    NotAction: [s3:PutObject]\n',
    ),
    code: 'key_unknown',
    line: 6,
    says: /never what is not/,
  },
  {
    what: 'not_resources',
    file: 'x.yaml',
    text: scope('  - actions: [s3:GetObject]\n    resources: ["arn:aws:s3:::o/*"]\n    NotResource: x\n'),
    code: 'key_unknown',
    line: 6,
    says: /never what is not/,
  },
  {
    what: 'NotPrincipal',
    file: 'x.yaml',
    text: scope('  - actions: [s3:GetObject]\n    resources: ["arn:aws:s3:::o/*"]\n    NotPrincipal: x\n'),
    code: 'key_unknown',
    line: 6,
    says: /never what is not/,
  },
  // --- fields
  {
    what: 'a missing field',
    file: 'dev.yaml',
    text: change('dev.yaml', 'tier: development\n', ''),
    code: 'field_missing',
    line: 1,
    says: /"tier" is missing/,
  },
  {
    what: 'an empty field',
    file: 'dev.yaml',
    text: change('dev.yaml', 'tier: development', 'tier:'),
    code: 'field_missing',
    line: 2,
    says: /"tier" is missing|empty/,
  },
  {
    what: 'an account without quotes',
    file: 'dev.yaml',
    text: change('dev.yaml', '"222233334444"', '022233334444'),
    code: 'field_type',
    line: 3,
    column: 10,
    says: /in quotes: "022233334444"/,
  },
  {
    what: 'a claim number without quotes',
    file: 'coder.yaml',
    text: claims('4711'),
    code: 'field_type',
    line: 6,
    says: /in quotes: "4711"/,
  },
  {
    what: 'a boolean where text is meant',
    file: 'coder.yaml',
    text: claims('true'),
    code: 'field_type',
    line: 6,
    says: /in quotes: "true"/,
  },
  {
    what: 'text where a list is meant',
    file: 'dev.yaml',
    text: change('dev.yaml', '[eu-west-1]', 'eu-west-1'),
    code: 'field_type',
    line: 4,
    says: /must be a list/,
  },
  {
    what: 'no region',
    file: 'dev.yaml',
    text: change('dev.yaml', '[eu-west-1]', '[]'),
    code: 'field_invalid',
    line: 4,
    says: /must not be empty/,
  },
  {
    what: 'a region that is none',
    file: 'dev.yaml',
    text: change('dev.yaml', 'eu-west-1', 'Europe'),
    code: 'field_invalid',
    line: 4,
    says: /AWS region/,
  },
  {
    what: 'a misspelt tier',
    file: 'dev.yaml',
    text: change('dev.yaml', 'development', 'developement'),
    code: 'field_invalid',
    line: 2,
    column: 7,
    says: /Did you mean "development"/,
  },
  {
    what: 'a short account',
    file: 'dev.yaml',
    text: change('dev.yaml', '222233334444', '1234'),
    code: 'field_invalid',
    line: 3,
    says: /twelve digits/,
  },
  {
    what: 'a bad name',
    file: 'x.yaml',
    text: 'operator: Bob Smith\nidentity: { issuer: https://login.example.com, claims: { sub: x } }\nroles: [security]\n',
    code: 'field_invalid',
    line: 1,
    says: /a-z/,
  },
  {
    what: 'an environment name that is too long',
    file: 'x.yaml',
    text: change('dev.yaml', 'environment: dev', `environment: ${'d'.repeat(33)}`),
    code: 'field_invalid',
    line: 1,
    says: /32/,
  },
  {
    what: 'a bad scope name',
    file: 'x.yaml',
    text: action('s3:GetObject').replace('extra:scope', 'Extra'),
    code: 'field_invalid',
    line: 1,
    says: /joined by :/,
  },
  {
    what: 'a bad environment name as key',
    file: 'coder.yaml',
    text: change('coder.yaml', '  dev:', '  De_v:'),
    code: 'field_invalid',
    line: 7,
    says: /a-z/,
  },
  {
    what: 'an invisible character',
    file: 'x.yaml',
    text: action('s3:GetObject').replace('Extra', '"Ex\\u202Etra"'),
    code: 'field_invalid',
    line: 2,
    says: /invisible/,
  },
  {
    what: 'a duration without unit',
    file: 'dev.yaml',
    text: `${good('dev.yaml')}max_session: { read: "15" }\n`,
    code: 'field_invalid',
    line: 5,
    says: /duration/,
  },
  {
    what: 'both kinds of owner',
    file: 'coder.yaml',
    text: change('coder.yaml', '{ team: orders }', '{ team: orders, human: eve }'),
    code: 'field_invalid',
    line: 2,
    says: /exactly one/,
  },
  {
    what: 'no owner at all',
    file: 'coder.yaml',
    text: change('coder.yaml', '{ team: orders }', '{}'),
    code: 'field_invalid',
    line: 2,
    says: /exactly one/,
  },
  {
    what: 'HS256',
    file: 'issuer.yaml',
    text: `${good('issuer.yaml')}algorithms: [HS256]\n`,
    code: 'field_invalid',
    line: 5,
    says: /must be one of RS256/,
  },
  {
    what: 'the algorithm none',
    file: 'issuer.yaml',
    text: `${good('issuer.yaml')}algorithms: [none]\n`,
    code: 'field_invalid',
    line: 5,
    says: /must be one of RS256/,
  },
  {
    what: 'a token age beyond a day',
    file: 'issuer.yaml',
    text: `${good('issuer.yaml')}max_token_age: 25h\n`,
    code: 'field_invalid',
    line: 5,
    says: /at most 24h/,
  },
  {
    what: 'a human claim for operators',
    file: 'staff.yaml',
    text: `${good('staff.yaml')}human: { claim: sub, how: verified }\n`,
    code: 'field_invalid',
    line: 4,
    says: /issuers of agents/,
  },
  {
    what: 'approves without the role',
    file: 'bob.yaml',
    text: change('bob.yaml', '[approver]', '[operator]'),
    code: 'field_invalid',
    line: 6,
    says: /needs the role approver/,
  },
  {
    what: 'a session that is too short',
    file: 'dev.yaml',
    text: `${good('dev.yaml')}max_session: { read: 5s }\n`,
    code: 'field_invalid',
    line: 5,
    says: /at least 60s/,
  },
  // --- references
  {
    what: 'a name twice',
    file: 'z.yaml',
    text: good('dev.yaml'),
    code: 'name_duplicate',
    line: 1,
    says: /already the environment dev, in dev.yaml:1/,
  },
  {
    what: 'an issuer twice for one side',
    file: 'z.yaml',
    text: good('issuer.yaml'),
    code: 'name_duplicate',
    line: 1,
    says: /issuer.yaml:1/,
  },
  {
    what: 'an unknown environment',
    file: 'coder.yaml',
    text: change('coder.yaml', '  prod:', '  prodd:'),
    code: 'environment_unknown',
    line: 12,
    column: 3,
    says: /Did you mean "prod"/,
  },
  {
    what: 'an unknown environment to approve for',
    file: 'bob.yaml',
    text: change('bob.yaml', '[prod]', '[prd]'),
    code: 'environment_unknown',
    line: 6,
    column: 12,
    says: /Did you mean "prod"/,
  },
  {
    what: 'an unknown scope',
    file: 'coder.yaml',
    text: change('coder.yaml', 'orders:write]\n  prod', 'orders:wirte]\n  prod'),
    code: 'scope_unknown',
    line: 11,
    column: 27,
    says: /Did you mean "orders:write"/,
  },
  {
    what: 'an unknown issuer',
    file: 'coder.yaml',
    text: change('coder.yaml', ISSUER, `${ISSUER}/`),
    code: 'issuer_unknown',
    line: 4,
    says: /Did you mean/,
  },
  {
    what: "an agent with the operators' issuer",
    file: 'coder.yaml',
    text: change('coder.yaml', ISSUER, 'https://login.example.com'),
    code: 'issuer_unknown',
    line: 4,
    says: /for agents/,
  },
  {
    what: 'another audience',
    file: 'coder.yaml',
    text: change(
      'coder.yaml',
      `issuer: ${ISSUER}`,
      `issuer: ${ISSUER}\n  audience: https://other.example.com`,
    ),
    code: 'audience_mismatch',
    line: 5,
    says: new RegExp(AUDIENCE),
  },
  {
    what: 'one audience for both sides',
    file: 'z.yaml',
    text: change('issuer.yaml', 'for: agents', 'for: operators').replace('preset: github-actions\n', ''),
    code: 'audience_shared',
    line: 3,
    says: /another one/,
  },
  {
    what: 'an http issuer',
    file: 'x.yaml',
    text: 'issuer: http://login.example.org\nfor: agents\naudience: x\n',
    code: 'url_insecure',
    line: 1,
    says: /https/,
  },
  {
    what: 'an http key set',
    file: 'issuer.yaml',
    text: `${good('issuer.yaml')}jwks: http://keys.example.com/jwks\n`,
    code: 'url_insecure',
    line: 5,
    says: /https/,
  },
  {
    what: 'a URL with a password',
    file: 'issuer.yaml',
    text: `${good('issuer.yaml')}jwks: https://a:b@keys.example.com/jwks\n`,
    code: 'url_insecure',
    line: 5,
    says: /user name/,
  },
  // --- floors of the tiers
  {
    what: 'a longer session than the tier',
    file: 'prod.yaml',
    text: `${good('prod.yaml')}max_session: { write: 16m }\n`,
    code: 'session_loosened',
    line: 5,
    says: /15m of the tier production/,
  },
  {
    what: 'a longer session than the environment',
    file: 'coder.yaml',
    text: `${good('coder.yaml')}    max_session: { write: 20m }\n`,
    code: 'session_loosened',
    line: 17,
    says: /the environment prod/,
  },
  {
    what: 'fewer approvals for deleting',
    file: 'prod.yaml',
    text: `${good('prod.yaml')}approvals: { delete: 1 }\n`,
    code: 'approvals_loosened',
    line: 5,
    says: /at least 2/,
  },
  {
    what: 'no approval at all',
    file: 'prod.yaml',
    text: `${good('prod.yaml')}approvals: { write: 0 }\n`,
    code: 'field_invalid',
    line: 5,
    says: /at least 1/,
  },
  {
    what: 'approvals where nobody is asked',
    file: 'dev.yaml',
    text: `${good('dev.yaml')}approvals: { write: 1 }\n`,
    code: 'approvals_loosened',
    line: 5,
    says: /Nobody is asked/,
  },
  {
    what: 'allow_delete in development',
    file: 'dev.yaml',
    text: `${good('dev.yaml')}allow_delete: true\n`,
    code: 'delete_not_allowed',
    line: 5,
    says: /production only/,
  },
  {
    what: 'allow_delete: false',
    file: 'prod.yaml',
    text: `${good('prod.yaml')}allow_delete: false\n`,
    code: 'field_invalid',
    line: 5,
    says: /must be true/,
  },
  {
    what: 'deleting in development',
    file: 'coder.yaml',
    text: change('coder.yaml', 'orders:write]\n  prod', 'orders:purge]\n  prod'),
    code: 'delete_not_allowed',
    line: 11,
    says: /No document can change that/,
  },
  {
    what: 'deleting in production without the opt-in',
    file: 'coder.yaml',
    text: good('coder.yaml').replace(/orders:write\]\n$/, 'orders:purge]\n'),
    code: 'delete_not_allowed',
    line: 16,
    says: /allow_delete: true/,
  },
  // --- actions
  {
    what: 'every action',
    file: 'x.yaml',
    text: action('*'),
    code: 'action_invalid',
    line: 4,
    column: 15,
    says: /Name the service/,
  },
  {
    what: 'a wildcard service',
    file: 'x.yaml',
    text: action('*:GetObject'),
    code: 'action_invalid',
    line: 4,
    says: /in the action only/,
  },
  {
    what: 'a half wildcard service',
    file: 'x.yaml',
    text: action('s?:GetObject'),
    code: 'action_invalid',
    line: 4,
    says: /in the action only/,
  },
  {
    what: 'no service',
    file: 'x.yaml',
    text: action('GetObject'),
    code: 'action_invalid',
    line: 4,
    says: /service:Action/,
  },
  {
    what: 'a misspelt action',
    file: 'x.yaml',
    text: action('s3:GetObjekt'),
    code: 'action_unknown',
    line: 4,
    says: /Did you mean "s3:GetObject"/,
  },
  {
    what: 'a misspelt service',
    file: 'x.yaml',
    text: action('dynamdb:GetItem'),
    code: 'action_unknown',
    line: 4,
    says: /Did you mean "dynamodb"/,
  },
  {
    what: 'a pattern that matches nothing',
    file: 'x.yaml',
    text: action('s3:Frobnicate*'),
    code: 'action_unknown',
    line: 4,
    says: /matches no action/,
  },
  {
    what: 'a red line',
    file: 'x.yaml',
    text: action('iam:PassRole', 'arn:aws:iam::{account}:role/x'),
    code: 'red_line',
    line: 4,
    says: /iam:PassRole/,
  },
  {
    what: 'red lines by wildcard',
    file: 'x.yaml',
    text: action('s3:*'),
    code: 'red_line',
    line: 4,
    says: /s3:.*and \d+ more/,
  },
  {
    what: 'a red line in other letters',
    file: 'x.yaml',
    text: action('S3:putbucketpolicy'),
    code: 'red_line',
    line: 4,
    says: /red line/,
  },
  {
    what: 'a red line that a document adds',
    file: 'x.yaml',
    text: `red_line: s3:GetObjectAttr*\nbecause: it is frozen for the audit\n---\n${action('s3:GetObjectAttributes')}`,
    code: 'red_line',
    line: 7,
    says: /frozen for the audit/,
  },
  {
    what: 'an added red line that is no action',
    file: 'x.yaml',
    text: 'red_line: s3:Nonsense\nbecause: typo\n',
    code: 'action_unknown',
    line: 1,
    says: /no action/,
  },
  // --- resources
  {
    what: 'every resource',
    file: 'x.yaml',
    text: action('s3:GetObject', '*'),
    code: 'resource_too_wide',
    line: 5,
    says: /s3:GetObject does/,
  },
  {
    what: 'every bucket',
    file: 'x.yaml',
    text: action('s3:GetObject', 'arn:aws:s3:::*'),
    code: 'resource_too_wide',
    line: 5,
    says: /everything of s3/,
  },
  {
    what: 'every bucket and object',
    file: 'x.yaml',
    text: action('s3:GetObject', 'arn:aws:s3:::*/*'),
    code: 'resource_too_wide',
    line: 5,
    says: /bucket's name/,
  },
  {
    what: 'every bucket that begins so',
    file: 'x.yaml',
    text: action('s3:GetObject', 'arn:aws:s3:::orders-*/x'),
    code: 'resource_too_wide',
    line: 5,
    says: /other accounts/,
  },
  {
    what: 'every bucket, one letter at a time',
    file: 'x.yaml',
    text: action('s3:GetObject', 'arn:aws:s3:::?*'),
    code: 'resource_too_wide',
    line: 5,
    says: /everything/,
  },
  {
    what: 'a bucket that a claim chooses',
    file: 'x.yaml',
    text: action('s3:GetObject', 'arn:aws:s3:::{claim.bucket}/*'),
    code: 'resource_too_wide',
    line: 5,
    says: /claim alone/,
  },
  {
    what: 'every table',
    file: 'x.yaml',
    text: action('dynamodb:GetItem', 'arn:aws:dynamodb:{region}:{account}:*'),
    code: 'resource_too_wide',
    line: 5,
    says: /everything of dynamodb/,
  },
  {
    what: 'every account',
    file: 'x.yaml',
    text: action('dynamodb:GetItem', 'arn:aws:dynamodb:{region}:*:table/x'),
    code: 'resource_too_wide',
    line: 5,
    says: /before its resource part/,
  },
  {
    what: 'every service',
    file: 'x.yaml',
    text: action('s3:GetObject', 'arn:aws:*:::x'),
    code: 'resource_too_wide',
    line: 5,
    says: /wildcard/,
  },
  {
    what: 'no ARN',
    file: 'x.yaml',
    text: action('s3:GetObject', 'orders/*'),
    code: 'resource_invalid',
    line: 5,
    says: /not an ARN/,
  },
  {
    what: 'an unknown template',
    file: 'x.yaml',
    text: action('s3:GetObject', 'arn:aws:s3:::o-{enviroment}/*'),
    code: 'resource_invalid',
    line: 5,
    says: /Did you mean \{environment\}/,
  },
  {
    what: 'a policy variable',
    file: 'x.yaml',
    text: action('s3:GetObject', 'arn:aws:s3:::o/$' + '{aws:username}/*'),
    code: 'resource_invalid',
    line: 5,
    says: /policy variables/,
  },
  {
    what: 'a lone brace',
    file: 'x.yaml',
    text: action('s3:GetObject', 'arn:aws:s3:::o/{environment'),
    code: 'resource_invalid',
    line: 5,
    says: /braces/,
  },
  {
    what: 'a claim in the account',
    file: 'x.yaml',
    text: action('dynamodb:GetItem', 'arn:aws:dynamodb:{region}:{claim.account}:table/x'),
    code: 'resource_invalid',
    line: 5,
    says: /account/,
  },
  {
    what: 'a quote',
    file: 'x.yaml',
    text: action('s3:GetObject', 'arn:aws:s3:::o/a\\"b'),
    code: 'resource_invalid',
    line: 5,
    says: /quote/,
  },
  {
    what: 'an ARN for an action without resources',
    file: 'x.yaml',
    text: action('s3:ListAllMyBuckets'),
    code: 'resource_invalid',
    line: 4,
    says: /knows no resource/,
  },
  {
    what: "another environment's account",
    file: 'read.yaml',
    text: change(
      'read.yaml',
      '"arn:aws:s3:::orders-{environment}/*"',
      '"arn:aws:s3:eu-west-1:111122223333:accesspoint/o/object/*"',
    ),
    code: 'account_foreign',
    line: 11,
    says: /prod, not dev/,
  },
  // --- conditions
  {
    what: 'an unknown operator',
    file: 'x.yaml',
    text: condition('StringEqual', 'aws:SourceVpc', 'vpc-1'),
    code: 'condition_unknown',
    line: 7,
    says: /Did you mean "StringEquals"/,
  },
  {
    what: 'an IfExists operator',
    file: 'x.yaml',
    text: condition('StringEqualsIfExists', 'aws:SourceVpc', 'vpc-1'),
    code: 'condition_unknown',
    line: 7,
    says: /no condition operator/,
  },
  {
    what: 'an unknown key',
    file: 'x.yaml',
    text: condition('StringNotEquals', 's3:prefixx', 'x'),
    code: 'condition_unknown',
    line: 8,
    says: /Did you mean "s3:prefix"/,
  },
  {
    what: 'a date that is none',
    file: 'x.yaml',
    text: condition('DateLessThan', 'aws:CurrentTime', 'tomorrow'),
    code: 'condition_invalid',
    line: 8,
    says: /not a date/,
  },
  {
    what: 'a network that is none',
    file: 'x.yaml',
    text: condition('IpAddress', 'aws:SourceIp', '10.0.0.0/99'),
    code: 'condition_invalid',
    line: 8,
    says: /network/,
  },
  {
    what: 'a template in a condition',
    file: 'x.yaml',
    text: condition('StringLike', 's3:prefix', '"{agent}/*"'),
    code: 'condition_invalid',
    line: 8,
    says: /not supported/,
  },
  {
    what: 'a policy variable in a condition',
    file: 'x.yaml',
    text: condition('StringLike', 's3:prefix', `"$${'{aws:userid}'}/*"`),
    code: 'condition_invalid',
    line: 8,
    says: /not supported/,
  },
  {
    what: 'a scope that is too large',
    file: 'x.yaml',
    text: scope(
      `  - actions: [s3:GetObject]\n    resources:\n${Array.from({ length: 40 }, (_, n) => `      - "arn:aws:s3:::orders-{environment}/folder-${n}/*"\n`).join('')}`,
    ),
    code: 'scope_too_large',
    line: 1,
    says: /1448 are left/,
  },
  // --- matchers
  {
    what: 'no matcher',
    file: 'coder.yaml',
    text: change('coder.yaml', '{ repository_id: "4711" }', '{}'),
    code: 'matcher_missing',
    line: 5,
    says: /at least one matcher/,
  },
  {
    what: 'no claims',
    file: 'coder.yaml',
    text: change('coder.yaml', '  claims: { repository_id: "4711" }\n', ''),
    code: 'field_missing',
    line: 3,
    says: /claims" is missing/,
  },
  {
    what: 'a star',
    file: 'coder.yaml',
    text: claims('"4*"'),
    code: 'matcher_invalid',
    line: 6,
    says: /literally.*prefix/,
  },
  {
    what: 'a question mark in a list',
    file: 'coder.yaml',
    text: claims('{ in: ["a", "b?"] }'),
    code: 'matcher_invalid',
    line: 6,
    says: /literally/,
  },
  {
    what: 'a variable',
    file: 'coder.yaml',
    text: claims(`{ equals: "$${'{x}'}" }`),
    code: 'matcher_invalid',
    line: 6,
    says: /literally/,
  },
  {
    what: 'a prefix without delimiter',
    file: 'coder.yaml',
    text: claims('{ prefix: "repo:acme" }'),
    code: 'matcher_invalid',
    line: 6,
    column: 30,
    says: /delimiter/,
  },
  {
    what: 'a prefix of delimiters',
    file: 'coder.yaml',
    text: claims('{ prefix: "::" }'),
    code: 'matcher_invalid',
    line: 6,
    says: /more than delimiters/,
  },
  {
    what: 'two kinds of matcher',
    file: 'coder.yaml',
    text: claims('{ equals: a, prefix: "a/" }'),
    code: 'matcher_invalid',
    line: 6,
    says: /exactly one/,
  },
  {
    what: 'an empty list',
    file: 'coder.yaml',
    text: claims('{ in: [] }'),
    code: 'field_invalid',
    line: 6,
    says: /must not be empty/,
  },
  {
    what: 'an empty text',
    file: 'coder.yaml',
    text: claims('""'),
    code: 'field_invalid',
    line: 6,
    says: /must not be empty/,
  },
  {
    what: 'a misspelt matcher',
    file: 'coder.yaml',
    text: claims('{ equal: a }'),
    code: 'key_unknown',
    line: 6,
    says: /Did you mean "equals"/,
  },
  // --- roles, networks, people
  {
    what: 'a role that is none',
    file: 'coder.yaml',
    text: change('coder.yaml', 'arn:aws:iam::222233334444:role/writ/coder-read', 'coder-read'),
    code: 'role_invalid',
    line: 9,
    says: /one IAM role/,
  },
  {
    what: 'a role with a wildcard',
    file: 'coder.yaml',
    text: change('coder.yaml', '222233334444:role/writ/coder-read', '222233334444:role/writ/*'),
    code: 'role_invalid',
    line: 9,
    says: /wildcards/,
  },
  {
    what: 'a role of another account',
    file: 'coder.yaml',
    text: change('coder.yaml', '222233334444:role/writ/coder-write', '111122223333:role/writ/coder-x'),
    code: 'role_account',
    line: 10,
    says: /account 111122223333, but dev is 222233334444/,
  },
  {
    what: 'one role for both kinds',
    file: 'coder.yaml',
    text: change('coder.yaml', '222233334444:role/writ/coder-write', '222233334444:role/writ/coder-read'),
    code: 'role_conflict',
    line: 10,
    says: /read role of coder in dev/,
  },
  {
    what: 'no role for a kind',
    file: 'coder.yaml',
    text: change('coder.yaml', '      write: "arn:aws:iam::222233334444:role/writ/coder-write"\n', ''),
    code: 'role_missing',
    line: 10,
    says: /orders:write is a write scope/,
  },
  {
    what: 'a network that is none',
    file: 'coder.yaml',
    text: bind('["10.0.0.0/33"]'),
    code: 'network_invalid',
    line: 12,
    says: /CIDR/,
  },
  {
    what: 'a network of everything',
    file: 'coder.yaml',
    text: bind('["0.0.0.0/0"]'),
    code: 'network_invalid',
    line: 12,
    says: /every address/,
  },
  {
    what: 'every IPv6 address',
    file: 'coder.yaml',
    text: bind('["::/0"]'),
    code: 'network_invalid',
    line: 12,
    says: /every address/,
  },
  {
    what: 'an alias of two',
    file: 'z.yaml',
    text: `${change('bob.yaml', 'operator: bob', 'operator: bert').replace('sub: bob', 'sub: bert')}also_known_as: [bob]\n`,
    code: 'alias_conflict',
    line: 7,
    says: /already a name of bob/,
  },
  {
    what: 'agents that overlap',
    file: 'z.yaml',
    text: change('coder.yaml', 'agent: coder', 'agent: coder-two')
      .replaceAll('writ/coder', 'writ/coder2')
      .replace('"4711" }', '"4711", ref: main }'),
    code: 'identity_overlap',
    line: 5,
    says: /both coder and coder-two/,
  },
  {
    what: 'agents that nothing tells apart',
    file: 'z.yaml',
    text: change('coder.yaml', 'agent: coder', 'agent: coder-two')
      .replaceAll('writ/coder', 'writ/coder2')
      .replace('repository_id: "4711"', 'ref: main'),
    code: 'identity_overlap',
    line: 5,
    says: /no claim tells them apart/,
  },
  {
    what: 'operators that overlap',
    file: 'z.yaml',
    text: change('bob.yaml', 'operator: bob', 'operator: zoe'),
    code: 'identity_overlap',
    line: 4,
    says: /both bob and zoe/,
  },
]

t.test('the good set has no problems', async (t) => {
  t.same((await problemsWith({})).map(formatProblem), [])
})

for (const one of CASES) {
  t.test(one.what, async (t) => {
    const problems = await problemsWith({ [one.file]: one.text })
    const found = problems.find((problem) => problem.code === one.code)
    if (found === undefined) {
      t.fail(`no ${one.code} in:\n${problems.map(formatProblem).join('\n')}`)
      return
    }
    t.match(found.message, one.says)
    t.match(found.message, /[.?]$/, 'a whole sentence')
    const where = one.code === 'account_foreign' ? 'coder.yaml' : one.file
    t.equal(found.line, one.line, formatProblem(found))
    t.equal(found.file, where, formatProblem(found))
    if (one.column !== undefined) t.equal(found.column, one.column, formatProblem(found))
  })
}

t.test('every problem is told, not only the first', async (t) => {
  const problems = await problemsWith({
    'dev.yaml': 'environment: dev\ntier: developement\naccount: 222233334444\nregions: []\nextra: 1\n',
    'x.yaml': action('s3:GetObjekt', 'arn:aws:s3:::*'),
  })
  const codes = problems.map((problem) => `${problem.file}:${problem.line} ${problem.code}`)
  t.same(codes, [
    'dev.yaml:2 field_invalid',
    'dev.yaml:3 field_type',
    'dev.yaml:4 field_invalid',
    'dev.yaml:5 key_unknown',
    'x.yaml:4 action_unknown',
    'x.yaml:5 resource_too_wide',
  ])
})

t.test('a broken document is not blamed on those who refer to it', async (t) => {
  const problems = await problemsWith({
    'read.yaml': action('s3:GetObjekt').replace('extra:scope', 'orders:read'),
  })
  t.same(
    problems.map((problem) => problem.code),
    ['action_unknown'],
  )
})

t.test('every code is tried here, or where folders are loaded', (t) => {
  const tried = new Set<string>(CASES.map((one) => one.code))
  const files = ['not_accepted', 'folder_unreadable', 'file_too_large', 'symlink_outside']
  t.same(
    Object.keys(PROBLEM_CODES).filter((code) => !tried.has(code)),
    files,
  )
  t.end()
})

t.test('the nearest spelling', (t) => {
  t.equal(nearest('prodction', ['production', 'development']), 'production')
  t.equal(nearest('foo', ['development', 'bar']), undefined, 'nothing near is no suggestion')
  t.equal(nearest('S3:getobject', ['s3:GetObject']), 's3:GetObject')
  t.end()
})
