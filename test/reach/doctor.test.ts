import { join } from 'node:path'
import {
  DeleteRolePolicyCommand,
  IAMClient,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam'
import t, { type Test } from 'tap'
import { localRoles } from '../../local-aws/from-policy.js'
import { startLocalAws } from '../../local-aws/server.js'
import { createIam } from '../../server/aws/iam.js'
import { packageRoot } from '../../server/paths.js'
import { loadPolicySet } from '../../server/policy/load.js'
import { roleDocuments } from '../../server/policy/roles.js'
import { loadDocumentData } from '../../server/reach/data.js'
import { type Diagnosis, type DoctorDeps, type DoctorQuestion, diagnose } from '../../server/reach/doctor.js'
import { findingsOf } from '../../server/reach/findings.js'
import type { PolicyDocument, PolicySet, PolicyStatement } from '../../server/types.js'

const BROKER_ARN = 'arn:aws:iam::999900001111:user/writ-broker'
const KEYS = { accessKeyId: 'AKIALOCALAWSBROKER00', secretAccessKey: 'a-secret-of-the-broker' }
const WRITE = 'arn:aws:iam::111122223333:role/writ/orders-coder-write'
const ORDERS = 'arn:aws:s3:::orders-production/*'

async function world(t: Test) {
  const loaded = await loadPolicySet(join(packageRoot(), 'policies'))
  if (!loaded.ok) throw new Error('the example policies are broken')
  const { policySet } = loaded
  const aws = await startLocalAws({
    roles: localRoles(policySet, BROKER_ARN),
    buckets: [],
    broker: { account: '999900001111', arn: BROKER_ARN, ...KEYS },
  })
  const iam = createIam({ endpoint: aws.iamUrl, credentials: KEYS, timeoutMs: 2_000 })
  const admin = new IAMClient({
    region: 'eu-west-1',
    endpoint: aws.iamUrl('111122223333'),
    credentials: KEYS,
    maxAttempts: 1,
  })
  t.teardown(async () => {
    iam.close()
    admin.destroy()
    await aws.close()
  })
  const deps: DoctorDeps = {
    iam,
    brokerArn: BROKER_ARN,
    isOwnDeny: (name, sid) => name === 'writ-deny' && sid.startsWith('Writ'),
    now: () => new Date(),
  }
  const ask = (question: Partial<DoctorQuestion> = {}, set: PolicySet = policySet): Promise<Diagnosis> =>
    diagnose(deps, set, { limit: 100, ...question })
  const document = roleDocuments(policySet, BROKER_ARN).find(({ arn }) => arn === WRITE)
  if (document === undefined) throw new Error('the example policies have no such role')
  const trust = (policy: PolicyDocument) =>
    admin.send(
      new UpdateAssumeRolePolicyCommand({
        RoleName: 'orders-coder-write',
        PolicyDocument: JSON.stringify(policy),
      }),
    )
  const put = (name: string, ...Statement: readonly PolicyStatement[]) =>
    admin.send(
      new PutRolePolicyCommand({
        RoleName: 'orders-coder-write',
        PolicyName: name,
        PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement }),
      }),
    )
  const drop = (name: string) =>
    admin.send(new DeleteRolePolicyCommand({ RoleName: 'orders-coder-write', PolicyName: name }))
  return { aws, policySet, deps, ask, document, trust, put, drop }
}

const told = ({ findings }: Diagnosis) =>
  findings.filter(({ severity }) => severity !== 'note').map(({ code, role }) => `${code} ${role}`)

t.test('roles that are as policy says, page by page', async (t) => {
  const { ask, policySet, document, put, drop } = await world(t)
  const count = roleDocuments(policySet, BROKER_ARN).length
  const all = await ask()
  t.match(all, { checked: count, clean: true, next: undefined })
  t.strictSame(told(all), [])
  t.match(
    new Set(all.findings.map(({ code }) => code)),
    new Set(['deny_rights_unknown']),
    'what cannot be seen is said',
  )
  const first = await ask({ limit: 5 })
  t.match(first, { checked: 5, next: String })
  const second = await ask({ limit: 100, after: first.next })
  t.match(second, { checked: count - 5, next: undefined })
  t.match(await ask({ agent: 'orders-coder', environment: 'production' }), { checked: 2, clean: true })
  t.equal((await ask({ agent: 'nobody' })).checked, 0)

  const other = document.permissions.Statement.flatMap((one) =>
    [one.Resource ?? []].flat().map((resource) => ({ ...one, Resource: [resource] })),
  )
  await put('permissions', ...other.reverse())
  const mine = { agent: 'orders-coder', environment: 'production' }
  t.match(await ask(mine), { clean: true }, 'the same in other words')
  await put('half', ...other.slice(0, 1))
  await put('permissions', ...other.slice(1))
  t.match(await ask(mine), { clean: true }, 'the same in two policies')
  await drop('half')
  t.strictSame(told(await ask(mine)), [`permissions_narrower ${WRITE}`])

  const moved = {
    ...policySet,
    agents: new Map(
      [...policySet.agents].map(([name, agent]) => [
        name,
        {
          ...agent,
          environments: new Map(
            [...agent.environments].map(([key, place]) => [
              key,
              { ...place, roles: { read: `${place.roles.read}-2`, write: `${place.roles.write}` } },
            ]),
          ),
        },
      ]),
    ),
  }
  const missing = await ask({ agent: 'deploy-bot' }, moved)
  t.strictSame(
    missing.findings.filter(({ code }) => code === 'role_missing').map(({ role }) => role.slice(-21)),
    Array(3).fill('/writ/deploy-bot-read-2'.slice(-21)),
  )
  t.match(
    missing.findings.find(({ code }) => code === 'role_missing')?.fix,
    /^aws iam create-role --role-name deploy-bot-read-2 --path \/writ\/ --max-session-duration \d+ --assume-role-policy-document '\{.*\}'\naws iam put-role-policy /,
  )
})

t.test('everything that can be wrong with who may assume a role', async (t) => {
  const { ask, document, trust } = await world(t)
  const [good] = document.trustPolicy.Statement
  if (good === undefined) throw new Error('no trust')
  const tags = good.Condition?.StringEquals ?? {}
  const [agent, environment] = ['aws:RequestTag/writ:agent', 'aws:RequestTag/writ:environment']
  const grant = { Null: { 'aws:RequestTag/writ:grant': 'false' } }
  const policy = (...Statement: PolicyStatement[]): PolicyDocument => ({ Version: '2012-10-17', Statement })
  const { Condition: _, ...open } = good
  const named = (key: string): Record<string, string | readonly string[]> => ({ [key]: tags[key] ?? '' })
  const cases: readonly [string, PolicyDocument, readonly string[]][] = [
    ['as it should be', policy(good), []],
    [
      'split, and spelt otherwise',
      policy(...[good.Action].flat().map((Action) => ({ ...good, Action })), {
        ...good,
        Action: 'STS:assumerole',
      }),
      [],
    ],
    [
      'its account, held to it by a condition',
      policy({
        ...good,
        Principal: { AWS: 'arn:aws:iam::999900001111:root' },
        Condition: { ...good.Condition, ArnEquals: { 'aws:PrincipalArn': BROKER_ARN } },
      }),
      [],
    ],
    [
      'no condition',
      policy(open),
      ['trust_agent_unchecked', 'trust_environment_unchecked', 'trust_grant_unchecked'],
    ],
    ['no grant', policy({ ...good, Condition: { StringEquals: tags } }), ['trust_grant_unchecked']],
    [
      'no agent',
      policy({ ...good, Condition: { ...grant, StringEquals: named(environment) } }),
      ['trust_agent_unchecked'],
    ],
    [
      'no environment',
      policy({ ...good, Condition: { ...grant, StringEquals: named(agent) } }),
      ['trust_environment_unchecked'],
    ],
    [
      'only if it is there',
      policy({ ...good, Condition: { ...grant, StringEqualsIfExists: tags } }),
      ['trust_agent_unchecked', 'trust_environment_unchecked'],
    ],
    [
      'a session without tags',
      policy(good, { ...open, Action: 'sts:AssumeRole' }),
      ['trust_agent_unchecked', 'trust_environment_unchecked', 'trust_grant_unchecked'],
    ],
    [
      'no source identity',
      policy({ ...good, Action: ['sts:AssumeRole', 'sts:TagSession'] }),
      ['trust_refuses_broker'],
    ],
    [
      'somebody else alone',
      policy({ ...good, Principal: { AWS: 'arn:aws:iam::111122223333:role/admin' } }),
      ['trust_refuses_broker', 'trust_admits_others'],
    ],
    ['everybody', policy(good, { ...good, Principal: '*' }), ['trust_admits_others']],
    [
      'the whole account',
      policy(good, { ...open, Principal: { AWS: '111122223333' }, Action: 'sts:AssumeRole' }),
      ['trust_admits_others'],
    ],
    [
      'a service',
      policy(good, { ...open, Principal: { Service: 'ec2.amazonaws.com' } }),
      ['trust_admits_others'],
    ],
    ['a deny', policy(good, { ...open, Effect: 'Deny' }), ['trust_refuses_broker']],
    [
      'another agent',
      policy({ ...good, Condition: { ...grant, StringEquals: { ...tags, [agent]: 'x' } } }),
      ['trust_refuses_broker'],
    ],
  ]
  for (const [said, document, codes] of cases) {
    await trust(document)
    const found = await ask({ agent: 'orders-coder', environment: 'production' })
    t.strictSame(
      [...new Set(told(found))],
      codes.map((code) => `${code} ${WRITE}`),
      said,
    )
    for (const { code, fix } of found.findings)
      if (code.startsWith('trust_'))
        t.match(
          fix,
          /^aws iam update-assume-role-policy --role-name orders-coder-write --policy-document '\{/,
        )
  }
})

t.test('drift, denies and what is of others', async (t) => {
  const { ask, document, put, drop, aws, deps, policySet } = await world(t)
  const mine = () => ask({ agent: 'orders-coder', environment: 'production' })
  const codes = async () =>
    (await mine()).findings.map(({ code }) => code).filter((code) => code !== 'deny_rights_unknown')
  const everything = { Action: '*', Resource: '*' } as const

  await put('mine', { Effect: 'Allow', Action: 's3:*', Resource: [ORDERS] })
  const [wide] = (await mine()).findings
  t.match(wide, {
    severity: 'warning',
    code: 'permissions_wider',
    role: WRITE,
    sentence:
      /^The role allows s3:AbortMultipartUpload, .* and \d+ more on arn:aws:s3:::orders-production\/\*; policy does not \(inline policy mine\)/,
    fix: /^aws iam put-role-policy --role-name orders-coder-write --policy-name/,
  })
  t.notOk((await mine()).clean, 'a warning is not clean')
  await put('mine', {
    Effect: 'Allow',
    Action: 'sqs:SendMessage',
    Resource: ['arn:aws:sqs:eu-west-1:111122223333:jobs'],
  })
  t.match((await mine()).findings[0], {
    code: 'permissions_wider',
    fix: 'aws iam delete-role-policy --role-name orders-coder-write --policy-name mine',
  })
  await put('mine', { Effect: 'Deny', Action: 's3:PutObject', Resource: [ORDERS] })
  t.match((await mine()).findings[0], {
    severity: 'error',
    code: 'permissions_narrower',
    sentence:
      /^Policy allows s3:PutObject on arn:aws:s3:::orders-production\/\*; the role does not \(denied by the inline policy mine\)/,
    fix: 'aws iam delete-role-policy --role-name orders-coder-write --policy-name mine',
  })
  await put('mine', { Effect: 'Deny', Action: 'iam:*', Resource: '*' })
  t.strictSame(await codes(), ['policy_of_others'], 'a deny that changes nothing is a note')
  t.ok((await mine()).clean)
  await drop('mine')

  const cut = { StringEquals: { 'aws:PrincipalTag/writ:agent': 'orders-coder' } }
  await put('writ-deny', { Sid: 'WritAgents', Effect: 'Deny', ...everything, Condition: cut })
  t.strictSame(await codes(), ['deny_in_force'])
  t.ok((await mine()).clean, 'a deny of ours is fine')
  t.notOk(
    (await mine()).findings.some(({ code }) => code === 'deny_rights_unknown'),
    'and shows that we can',
  )
  await put('writ-deny', { Sid: 'WritAllow', Effect: 'Allow', ...everything })
  t.match(await codes(), ['permissions_wider'], 'an Allow is none of ours, whatever it calls itself')
  await put('writ-deny', { Effect: 'Deny', ...everything, Condition: cut })
  t.match(await codes(), ['permissions_narrower'], 'nor is what somebody else wrote there')
  await drop('writ-deny')

  aws.putRole({
    arn: WRITE,
    trustPolicy: document.trustPolicy,
    policies: { permissions: document.permissions },
    maxSessionSeconds: 43_200,
  })
  t.match((await mine()).findings[0], {
    severity: 'warning',
    code: 'session_too_long',
    sentence: 'The role takes sessions of 12h; policy needs no more than 1h.',
    fix: 'aws iam update-role --role-name orders-coder-write --max-session-duration 3600',
  })
  const data = await loadDocumentData([document.permissions])
  const subject = {
    role: { ...document, maxSessionSeconds: 7200 },
    agents: ['orders-coder'],
    region: 'eu-west-1',
    needsGrant: true,
    brokerArn: BROKER_ARN,
    now: new Date(),
    data,
    isOwnDeny: deps.isOwnDeny,
  }
  const real = {
    trust: { ok: true, document: document.trustPolicy } as const,
    maxSessionSeconds: 3600,
    policies: [{ name: 'permissions', read: { ok: true, document: document.permissions } as const }],
    attached: ['arn:aws:iam::aws:policy/AdministratorAccess'],
    boundary: 'arn:aws:iam::111122223333:policy/box',
  }
  t.match(findingsOf({ ...subject, real }), [
    { code: 'session_too_short', severity: 'error' },
    {
      code: 'managed_attached',
      severity: 'warning',
      fix: 'aws iam detach-role-policy --role-name orders-coder-write --policy-arn arn:aws:iam::aws:policy/AdministratorAccess',
    },
    { code: 'boundary_set', severity: 'note' },
  ])
  const odd = { ok: false, why: 'NotAction is not supported' } as const
  t.match(
    findingsOf({
      ...subject,
      role: document,
      real: { ...real, trust: odd, policies: [{ name: 'odd', read: odd }] },
    })
      .map(({ code }) => code)
      .slice(0, 1),
    ['trust_unreadable'],
  )
  const session = 'arn:aws:sts::999900001111:assumed-role/writ-broker/i-1'
  const roles = roleDocuments(policySet, 'arn:aws:iam::999900001111:role/path/writ-broker')
  const asRole = roles.find(({ arn }) => arn === WRITE) ?? document
  t.strictSame(
    findingsOf({
      ...subject,
      role: asRole,
      brokerArn: session,
      real: { ...real, attached: [], trust: { ok: true, document: asRole.trustPolicy } },
    }).map(({ code }) => code),
    ['boundary_set'],
    'a broker that runs on a role with a path is known again',
  )
})

t.test('IAM that does not answer is a finding', async (t) => {
  const { ask, aws } = await world(t)
  const question = { agent: 'orders-coder', environment: 'production' }
  for (const action of ['GetRole', 'ListRolePolicies', 'GetRolePolicy', 'ListAttachedRolePolicies']) {
    // Once for each of the two roles.
    aws.faults.fail('access-denied', { action, times: 2 })
    const found = await ask(question)
    t.strictSame(
      new Set(told(found)),
      new Set(['read', 'write'].map((kind) => `iam_failed ${WRITE.replace('write', kind)}`)),
      action,
    )
    t.match(found.findings[0], { severity: 'error', sentence: /iam_unavailable/, fix: /iam:GetRole/ })
  }
  t.ok((await ask(question)).clean)
})
