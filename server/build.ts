import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { LocalAws } from '../local-aws/server.js'
import type { AlarmParts } from './alarms/start.js'
import type { RecordItem } from './audit/items.js'
import type { Publishing } from './audit/publish/publishing.js'
import { createRecorder } from './audit/recorder.js'
import { readState } from './audit/state.js'
import { appendTo, registerRoles } from './audit/store.js'
import { createSts, longestStsSeconds, type Sts, type StsSettings } from './aws/sts.js'
import type { Config } from './config.js'
import type { Database } from './db/pool.js'
import { DatabaseError } from './db/pool-errors.js'
import { StartError, WritError } from './errors.js'
import { createProvenGrants } from './grants/proven.js'
import { buildApp } from './http/app.js'
import { createSignIns } from './http/sign-ins.js'
import { createCodeFlow } from './identity/code-flow.js'
import { loadLocalIssuer } from './identity/local-issuer.js'
import { createVerifier } from './identity/verifier.js'
import { newId } from './issuance/id.js'
import type { IssueDeps } from './issuance/issue.js'
import { createLiveSessions } from './issuance/live-sessions.js'
import { loadStanding } from './issuance/standing.js'
import { createMetrics } from './metrics.js'
import { createSessions } from './operators/sessions.js'
import { packageRoot } from './paths.js'
import { formatProblem } from './policy/problems.js'
import { type PolicyHolder, watchPolicySet } from './policy/watch.js'
import { readiness } from './readiness.js'
import { LOCAL_ISSUER, type PolicySet } from './types.js'
import { checkWebhooks, startWebhooks } from './webhooks/start.js'
import { startContainment } from './wiring/containment.js'
import { openDatabase, sweepRegularly } from './wiring/database.js'
import { openLocalAws, refreshRoles } from './wiring/local-aws.js'
import { startPublishing } from './wiring/log.js'
import { attestationOf, originOf, signingKeys } from './wiring/operators.js'

export interface Broker {
  readonly app: FastifyInstance
  readonly policy: PolicyHolder
  readonly database: Database
  /** Where browsers reach the console. */
  readonly origin: () => string
  /** Local mode only. */
  readonly localAws?: LocalAws
  /** Where the log is published. */
  readonly publishing?: Publishing
  /** Off, drain, flush, end: in this order, so that nothing minted goes unrecorded. */
  readonly close: () => Promise<void>
}

export const LOCAL_NOTICE = 'Local mode: these credentials work on this machine only, against the local AWS.'

/** What a test puts in place of a part, or between two; `serve` passes nothing. */
export interface Replacements {
  /** A migrated database in place of the embedded one. */
  readonly databaseUrl?: string
  readonly issue?: (deps: IssueDeps) => IssueDeps
  readonly policySet?: (real: PolicySet) => PolicySet
  /** Left out by `false`: alarms are entries that come when they come. */
  readonly alarms?: false | Partial<AlarmParts>
}

/** Builds a whole broker out of a configuration. Throws `StartError`, one sentence, when it cannot start. */
export async function buildBroker(
  config: Config,
  log: Logger,
  replacements: Replacements = {},
): Promise<Broker> {
  const ending: (() => unknown)[] = []
  const closeAll = async () => {
    for (const end of ending.splice(0).reverse()) {
      // One that fails must not leave the others running: the embedded PostgreSQL ends last.
      await Promise.resolve()
        .then(end)
        .catch((err: unknown) => log.error({ err }, 'a part did not end cleanly'))
    }
  }
  try {
    const database = await openDatabase(config, log, ending, replacements.databaseUrl)
    const metrics = createMetrics()
    // Whoever follows the log is told of every batch; who that is comes later.
    let wakeAlarms = (): void => undefined
    const recorder = createRecorder(metrics.append(appendTo(database), () => wakeAlarms()))
    ending.push(() => recorder.drain())
    const publishing = await startPublishing(config, database, log)
    if (publishing !== undefined) ending.push(() => publishing.close())
    const trusted = () => publishing?.checkpointer.trouble() === undefined
    const assertTrusted = () => {
      if (trusted()) return
      throw new WritError('log_untrusted', 'The record is not what was published.')
    }
    const record: RecordItem = metrics.record(async (item) => {
      // After a restore or a rewrite nothing more is built on this record; an outcome only tells what is so.
      if (item.op !== 'outcome') assertTrusted()
      return recorder.record(item)
    })
    let localAws: LocalAws | undefined
    const reach = { localMode: config.mode === 'local', inside: config.webhookInside }
    const policy = await watchPolicySet(config.policies, {
      accept: async (policySet) => {
        checkWebhooks(policySet.webhooks.values(), reach)
        refuseLocalIssuer(config, policySet)
        await registerRoles(database, policySet)
        if (localAws !== undefined) refreshRoles(localAws, policySet)
      },
      onReload: (state) => {
        const problems = state.lastProblem?.problems.map(formatProblem) ?? []
        if (problems.length > 0)
          log.error({ digest: state.digest, problems: problems.slice(0, 20) }, 'policy rejected')
        else log.info({ digest: state.digest }, 'policy loaded')
        const kind = problems.length > 0 ? 'policy.rejected' : 'policy.loaded'
        record({
          op: 'event',
          kind,
          payload: { policy_digest: state.digest, problems: problems.length },
        }).catch((err: unknown) => log.error({ err }, 'policy reload not recorded'))
      },
    })
    ending.push(() => policy.close())

    let aws: StsSettings = { timeoutMs: config.awsTimeoutMs }
    if (config.mode === 'local') {
      const opened = await openLocalAws(policy.current())
      localAws = opened.localAws
      ending.push(() => opened.localAws.close())
      aws = { ...aws, ...opened.settings }
    }
    const sts = createSts(aws)
    ending.push(() => sts.close())

    const localIssuer = config.mode === 'local' ? await loadLocalIssuer(config.dataDir) : undefined
    const verifier = createVerifier({
      issuers: () => policy.current().issuers,
      log,
      ...(localIssuer === undefined ? {} : { localIssuer }),
    })
    ending.push(() => verifier.close())

    const webhooks = startWebhooks({
      database,
      policySet: policy.current,
      log,
      ...reach,
      trusted,
    })
    ending.push(() => webhooks.close())

    const now = () => new Date()
    let listening: FastifyInstance | undefined
    const origin = originOf(config, () => listening)
    const brokerArn = await ownArn(sts, config.awsRegion)
    const parts: IssueDeps = {
      loadGrants: createProvenGrants(database),
      loadStanding: (asker) => loadStanding(database, asker),
      onAttempt: (attempt) => containment.autoStop(attempt),
      record,
      assumeRole: metrics.assumeRole(sts.assumeRole),
      live: createLiveSessions(),
      newId,
      now,
      settings: {
        longestStsSeconds: longestStsSeconds(brokerArn),
        localAws: config.mode === 'local',
      },
    }
    const issue = replacements.issue?.(parts) ?? parts
    const policySet = () => replacements.policySet?.(policy.current()) ?? policy.current()
    const codeFlow = createCodeFlow({ issuers: () => policySet().issuers, log })
    ending.push(() => codeFlow.close())
    const notice = config.mode === 'local' ? { notice: LOCAL_NOTICE } : {}
    const sessions = createSessions(database, newId)
    const operators = { database, record: issue.record, newId, now, origin, ...attestationOf(config) }
    const keys = signingKeys(operators)
    const containment = startContainment({
      config,
      log,
      ending,
      metrics,
      aws,
      iamEndpoint: localAws?.iamUrl,
      brokerArn,
      assumeRole: sts.assumeRole,
      database,
      record: issue.record,
      newId,
      now,
      operators,
      policySet,
      trusted,
      logOrigin: publishing?.origin,
      alarmParts: replacements.alarms ?? {},
    })
    wakeAlarms = containment.wake
    metrics.watch({
      state: (since) => readState(database, publishing?.origin, since),
      pool: database.stats,
      queue: recorder.depth,
      ...(publishing === undefined ? {} : { trusted }),
    })
    const app = await buildApp(
      {
        auth: {
          verify: verifier.verify,
          policySet,
          record: issue.record,
          signIns: createSignIns(issue.record),
        },
        issue,
        grants: { database, record: issue.record, assertTrusted, newId, now, origin, keys },
        operators,
        revocation: containment.revocation,
        doctor: containment.doctor,
        metrics,
        console: { auth: { policySet, record: issue.record }, sessions, origin, ...notice },
        codeFlow,
        database,
        ...(publishing === undefined ? {} : { publishing }),
        webhooks,
        policyState: policy.state,
        ready: readiness({
          database,
          policy,
          issuers: verifier.health,
          publishing,
          webhooks: webhooks.check,
          now,
        }),
        ...notice,
      },
      {
        log,
        trustedProxies: config.trustedProxies,
        version: version(),
        ...(config.tls === undefined
          ? {}
          : { tls: { cert: readFileSync(config.tls.certFile), key: readFileSync(config.tls.keyFile) } }),
      },
    )
    listening = app
    ending.push(sweepRegularly(database, log))
    ending.push(() => app.close())
    if (publishing?.begun !== undefined) {
      const { origin, begun } = publishing
      await record({ op: 'event', kind: 'log.origin_started', payload: { origin, ...begun } })
    }
    await record({
      op: 'event',
      kind: 'broker.started',
      payload: { mode: config.mode, version: version(), policy_digest: policy.current().digest },
    })
    return {
      app,
      policy,
      database,
      origin,
      ...(localAws === undefined ? {} : { localAws }),
      ...(publishing === undefined ? {} : { publishing }),
      close: closeAll,
    }
  } catch (error) {
    await closeAll()
    if (error instanceof DatabaseError || error instanceof WritError) {
      throw new StartError(`The broker cannot start: ${error.message}`, { cause: error })
    }
    throw error
  }
}

/** Its keys lie in a data folder: whoever can read that could be any agent. */
function refuseLocalIssuer(config: Config, policySet: PolicySet): void {
  if (config.mode === 'production' && policySet.issuers.some((trusted) => trusted.issuer === LOCAL_ISSUER)) {
    throw new StartError(`The policy set trusts ${LOCAL_ISSUER}, which is for local mode only.`)
  }
}

/** Who the broker is at AWS. Without credentials it could only refuse: better not to start. */
async function ownArn(sts: Sts, region: string): Promise<string> {
  try {
    return await sts.whoAmI(region)
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : 'no answer'
    throw new StartError(
      `AWS does not accept the broker's own credentials (GetCallerIdentity): ${cause.split('\n')[0]}`,
    )
  }
}

function version(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string
  }
  return version
}
