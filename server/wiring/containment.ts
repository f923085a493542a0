import type { Logger } from 'pino'
import { type AlarmParts, startAlarms } from '../alarms/start.js'
import { createIam } from '../aws/iam.js'
import type { StsSettings } from '../aws/sts.js'
import type { Config } from '../config.js'
import type { Attempt } from '../issuance/issue.js'
import type { Metrics } from '../metrics.js'
import type { DoctorDeps } from '../reach/doctor.js'
import { createAutoStop } from '../revocation/auto-stop.js'
import { DENY_POLICY } from '../revocation/deny-document.js'
import { type DenyWorker, startDenyWorker } from '../revocation/deny-worker.js'
import type { RevocationDeps } from '../revocation/deps.js'
import type { PolicySet } from '../types.js'
import type { AssumeRole } from '../types-aws.js'

export interface Containment {
  readonly revocation: RevocationDeps
  readonly doctor: Omit<DoctorDeps, 'now'>
  readonly denies: DenyWorker
  /** Something was recorded. */
  readonly wake: () => void
  readonly autoStop: (attempt: Attempt) => void
}

interface Wanted extends Omit<RevocationDeps, 'kick' | 'log'> {
  readonly config: Config
  readonly log: Logger
  readonly ending: (() => unknown)[]
  readonly metrics: Metrics
  readonly aws: StsSettings
  readonly assumeRole: AssumeRole
  /** Of the broker itself, from GetCallerIdentity. */
  readonly brokerArn: string
  /** Of each account, where IAM is not AWS's. */
  readonly iamEndpoint: ((account: string) => string) | undefined
  readonly policySet: () => PolicySet
  readonly trusted: () => boolean
  /** Of the log that this replica publishes, if it does. */
  readonly logOrigin: string | undefined
  /** False: none are raised. */
  readonly alarmParts: false | Partial<AlarmParts>
}

/** What stops, kills and alarms run on; ends through `ending`. */
export function startContainment(wanted: Wanted): Containment {
  const { config, log, ending, metrics, aws, brokerArn, iamEndpoint, logOrigin, ...parts } = wanted
  const iam = createIam({
    timeoutMs: aws.timeoutMs,
    ownAccount: brokerArn.split(':')[4] ?? '',
    assume: wanted.assumeRole,
    ...(aws.credentials === undefined ? {} : { credentials: aws.credentials }),
    ...(iamEndpoint === undefined ? {} : { endpoint: iamEndpoint }),
    ...(config.containmentRole === undefined ? {} : { containmentRole: config.containmentRole }),
  })
  ending.push(() => iam.close())
  const { database, trusted } = parts
  const holder = parts.newId()
  const denies = startDenyWorker({ database, iam, log, holder })
  ending.push(() => denies.close())
  const origin = logOrigin === undefined ? {} : { origin: logOrigin }
  const alarms =
    wanted.alarmParts === false
      ? undefined
      : startAlarms({ database, log, holder, trusted, onRaised: metrics.alarm, ...origin }, wanted.alarmParts)
  ending.push(() => alarms?.close())
  const { record, newId, now, operators } = parts
  const wake = (): void => alarms?.wake()
  const kick = (): void => {
    denies.kick()
    // What is stopped is recorded by the database, past the recorder that wakes them otherwise.
    wake()
  }
  const revocation = { database, record, newId, now, log, operators, kick }
  return {
    revocation,
    autoStop: createAutoStop(revocation, parts.policySet),
    doctor: {
      iam,
      brokerArn,
      isOwnDeny: (policy, sid) => policy === DENY_POLICY && sid.startsWith('Writ'),
    },
    denies,
    wake,
  }
}
