import t, { type Test } from 'tap'
import { identityMatches } from '../../server/policy/match.js'
import { type PresetName, presetOf } from '../../server/policy/presets.js'
import type { Matcher, TrustedIssuer } from '../../server/types.js'
import { AUDIENCE } from '../support/issuer.js'
import { bench } from './setup.js'

const is = (value: string): Matcher => ({ kind: 'equals', value })
const under = (value: string): Matcher => ({ kind: 'prefix', value })

const seconds = (text: string) => Number.parseInt(text, 10) * (text.endsWith('h') ? 3600 : 60)

/** The issuer entry that a document with this preset compiles to. */
function preset(name: PresetName): Partial<TrustedIssuer> {
  const { algorithms, maxTokenAge, maxTokenLife, human } = presetOf(name)
  return {
    algorithms,
    maxTokenAgeSeconds: seconds(maxTokenAge),
    maxTokenLifeSeconds: seconds(maxTokenLife),
    ...(human === undefined ? {} : { human }),
  }
}

/** Verifies really signed tokens of one shape, and says whether matchers hold for them. */
async function shape(
  t: Test,
  name: PresetName,
  life: { readonly seconds: number; readonly nbf?: number },
  sample: Record<string, unknown>,
) {
  const b = await bench(t, { algorithms: ['RS256'], trusted: preset(name) })
  const iat = b.clock.now.getTime() / 1000
  const times = { iat, exp: iat + life.seconds, ...(life.nbf === undefined ? {} : { nbf: iat + life.nbf }) }
  const identify = async (changes: Record<string, unknown> = {}) =>
    b.verify(await b.issuer.sign({ ...b.claims(times), ...sample, ...changes }))
  const matches = async (matchers: Record<string, Matcher>, changes: Record<string, unknown> = {}) =>
    identityMatches(
      { issuer: b.issuer.url, claims: new Map(Object.entries(matchers)) },
      await identify(changes),
    )
  return { identify, matches }
}

t.test('GitHub Actions', async (t) => {
  const sample = {
    jti: 'example-id',
    sub: 'repo:octo-org/octo-repo:ref:refs/heads/main',
    ref: 'refs/heads/main',
    ref_type: 'branch',
    ref_protected: 'true',
    sha: '714a629c0b401fdce83e847fc9589983fc6f46bc',
    repository: 'octo-org/octo-repo',
    repository_id: '456789',
    repository_owner: 'octo-org',
    repository_owner_id: '123456',
    repository_visibility: 'private',
    run_id: '2020',
    run_number: '10',
    run_attempt: '2',
    runner_environment: 'github-hosted',
    actor: 'octocat',
    actor_id: '12',
    workflow: 'agent',
    workflow_ref: 'octo-org/octo-repo/.github/workflows/agent.yml@refs/heads/main',
    job_workflow_ref: 'octo-org/octo-automation/.github/workflows/agent.yml@refs/heads/main',
    head_ref: '',
    base_ref: '',
    event_name: 'workflow_dispatch',
  }
  const { identify, matches } = await shape(t, 'github-actions', { seconds: 300, nbf: -600 }, sample)
  const byId = {
    repository_id: is('456789'),
    event_name: { kind: 'in', values: ['push', 'workflow_dispatch'] } as const,
    ref: is('refs/heads/main'),
  }
  t.ok(await matches(byId))
  t.same((await identify()).onBehalfOf, { human: 'octocat', how: 'issuer-asserted' })
  t.notOk(await matches(byId, { repository_id: '999' }), 'the name registered again has another id')
  t.notOk(await matches(byId, { event_name: 'pull_request', ref: 'refs/pull/7/merge' }), 'a pull request')
  t.ok(
    await matches({ repository: is('octo-org/octo-repo') }, { repository_id: '999' }),
    'the name alone would do',
  )

  const immutable = { sub: 'repo:octo-org@123456/octo-repo@456789:ref:refs/heads/main' }
  t.ok(await matches({ sub: is(immutable.sub) }, immutable))
  t.ok(await matches({ sub: under('repo:octo-org@123456/octo-repo@456789:') }, immutable))
  t.notOk(await matches({ sub: under('repo:octo-org@12345/') }, immutable), 'an id that begins alike')
  const again = { sub: 'repo:octo-org@777/octo-repo@888:ref:refs/heads/main' }
  t.notOk(await matches({ sub: is(immutable.sub) }, again), 'names taken over by somebody else')
  t.notOk(await matches({ sub: is(immutable.sub) }), 'the classic form is another subject')
  t.notOk(await matches({ sub: under('repo:octo-org/') }, immutable), 'and the other way round')
})

t.test('Kubernetes projected service account tokens', async (t) => {
  const sample = {
    aud: [AUDIENCE],
    jti: 'e51f1fbc-4733-4b85-a59f-ba80c0523874',
    'kubernetes.io': {
      namespace: 'agents',
      node: { name: 'worker-1', uid: '517eb86e-b863-451b-bf70-86cb61439a3a' },
      pod: { name: 'coder-0', uid: '0d8b260e-ef0e-45fb-be8e-ff44f97722e8' },
      serviceaccount: { name: 'coder', uid: 'e6a8680e-d103-4cce-80ea-03acbbeacf7d' },
      warnafter: 1717674962,
    },
    sub: 'system:serviceaccount:agents:coder',
  }
  const { matches, identify } = await shape(t, 'kubernetes', { seconds: 3607, nbf: 0 }, sample)
  const account = { sub: is('system:serviceaccount:agents:coder') }
  t.ok(await matches(account))
  t.notOk(await matches(account, { sub: 'system:serviceaccount:agents:coder-evil' }))
  t.notOk(
    await matches(
      { sub: under('system:serviceaccount:agents:') },
      { sub: 'system:serviceaccount:agents-evil:x' },
    ),
  )
  t.equal((await identify()).onBehalfOf, undefined)
  const legacy = { aud: undefined, exp: undefined, iat: undefined, nbf: undefined }
  await t.rejects(identify(legacy), { code: 'token_claims' }, 'a token from a Secret never ends')
  await t.rejects(identify({ aud: [AUDIENCE, 'https://kubernetes.default.svc'] }), { code: 'token_audience' })
})

t.test('GitLab CI id_tokens', async (t) => {
  const sample = {
    namespace_id: '72',
    namespace_path: 'my-group',
    project_id: '20',
    project_path: 'my-group/my-project',
    user_id: '1',
    user_login: 'sample-user',
    user_email: 'sample-user@example.com',
    user_identities: [{ provider: 'github', extern_uid: '2435223452345' }],
    pipeline_id: '574',
    pipeline_source: 'push',
    job_id: '302',
    ref: 'main',
    ref_type: 'branch',
    ref_path: 'refs/heads/main',
    ref_protected: 'true',
    environment: 'production',
    environment_protected: 'true',
    deployment_tier: 'production',
    runner_id: 1,
    runner_environment: 'self-hosted',
    sha: '714a629c0b401fdce83e847fc9589983fc6f46bc',
    jti: '235b3a54-b797-45c7-ae9a-f72d7bc6ef5b',
    sub: 'project_path:my-group/my-project:ref_type:branch:ref:main',
  }
  const { identify, matches } = await shape(t, 'gitlab', { seconds: 3600, nbf: -5 }, sample)
  const byId = { project_id: is('20'), ref_protected: is('true'), ref_type: is('branch') }
  t.ok(await matches(byId))
  t.same((await identify()).onBehalfOf, { human: 'sample-user', how: 'issuer-asserted' })
  t.notOk(await matches(byId, { ref: 'anybody-may-push', ref_protected: 'false' }))
  t.notOk(await matches(byId, { project_id: '21' }), 'a fork')
  t.ok(await matches({ ...byId, runner_id: is('1') }), 'a number is compared by its text')
})

t.test('Cursor cloud agents', async (t) => {
  // Names of claims as documented; the values are made up.
  const sample = {
    sub: 'cloud-agent-subject',
    team_id: '4711',
    cloud_agent_id: 'bc-00000000-0000-0000-0000-000000000001',
    agent_runtime: 'managed',
  }
  const { matches } = await shape(t, 'cursor', { seconds: 900 }, sample)
  const team = { team_id: is('4711'), agent_runtime: is('managed') }
  t.ok(await matches(team))
  t.notOk(await matches(team, { team_id: '4712' }))
  t.notOk(await matches(team, { agent_runtime: 'self_hosted' }), 'a worker on a machine of somebody')
})

t.test('generic OpenID Connect', async (t) => {
  const sample = { sub: '00u1abcd', email: 'ada@example.com', email_verified: true, groups: ['oncall'] }
  const { identify, matches } = await shape(t, 'generic', { seconds: 3600 }, sample)
  t.ok(await matches({ sub: is('00u1abcd') }))
  t.ok(await matches({ sub: is('00u1abcd'), email_verified: is('true') }))
  t.notOk(await matches({ groups: is('oncall') }), 'a list matches nothing')
  t.equal((await identify()).authenticatedAt, undefined)
})
