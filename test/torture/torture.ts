import { setTimeout as delay } from 'node:timers/promises'
import { sweep } from '../../server/audit/store.js'
import { startAgents } from './agents.js'
import { readRecord } from './evidence.js'
import { startHumans } from './humans.js'
import { judge } from './judge.js'
import { type Strike, startKiller, type Violence } from './killer.js'
import type { Ledger, Minted } from './ledger.js'
import { AGENT_AUDIENCE } from './policies.js'
import { judgePublished } from './published.js'
import { seeded } from './random.js'
import { agentTokens, openStage, type Stage, type StageOptions } from './stage.js'
import { watchPublished } from './watcher.js'

export interface TortureOptions extends Omit<StageOptions, 'aws'> {
  /** New sessions that agents hold at the end. */
  readonly issuances: number
  readonly workers: number
  readonly violence: Violence
  readonly say: (text: string) => void
}

export interface Report {
  readonly findings: readonly string[]
  readonly struck: ReadonlyMap<Strike, number>
  readonly figures: Readonly<Record<string, number>>
  readonly refusals: ReadonlyMap<string, number>
  /** What brokers logged as errors. */
  readonly errors: ReadonlyMap<string, number>
  readonly postgres: string
}

const UNRELIABLE_AWS = { dropped: 0.002, throttled: 0.005, slow: 0.02, slowMs: 400 }

/** The least that `writ.sweep` takes. */
const SWEEP_SECONDS = 10
const SWEEP_EVERY_MS = 3_000
/** Longer than any restart takes. */
const STUCK_MS = 60_000

/** Agents ask, brokers and PostgreSQL are killed and stopped at random, and in the end everything is counted. */
export async function torture(options: TortureOptions): Promise<Report> {
  const begun = performance.now()
  const stage = await openStage({ ...options, aws: UNRELIABLE_AWS })
  const random = seeded(options.seed)
  const ledger: Ledger = { attempts: [], revocations: [] }
  const watcher = watchPublished(stage.folder, stage.verifierKey)
  const stuck: string[] = []
  try {
    const { replicas, issuer, key } = stage
    const tokens = await agentTokens(issuer, AGENT_AUDIENCE)
    const humans = startHumans({ replicas, issuer, ledger, random: random.fork('humans'), key })
    const killer = startKiller(stage, options.violence, random.fork('killer'), options.say)
    const agents = startAgents({
      replicas,
      tokens,
      ledger,
      humans,
      random: random.fork('agents'),
      workers: options.workers,
      enough: (inHand) => inHand >= options.issuances && killer.finished(),
    })
    const sweeping = setInterval(() => {
      // As any replica does, only sooner; without a database it cannot.
      sweep(stage.broker, SWEEP_SECONDS).catch(() => undefined)
    }, SWEEP_EVERY_MS)
    let before = -1
    const telling = setInterval(() => {
      options.say(`${agents.inHand()} sessions in hand`)
      if (agents.inHand() === before) {
        stuck.push(`nothing was handed out for ${STUCK_MS / 1000} s`)
        agents.quit()
      }
      before = agents.inHand()
    }, STUCK_MS)
    try {
      await agents.done
    } finally {
      agents.quit()
      clearInterval(sweeping)
      clearInterval(telling)
      await killer.calm()
    }
    await humans.rest()
    const seconds = (performance.now() - begun) / 1000
    options.say('calm again; closing what lies open')
    await settle(stage)
    await watcher.stop()

    const record = await readRecord(stage.admin)
    const minted = await stage.aws.ask<Minted[]>({})
    const verdict = judge(ledger, minted, record)
    const published = await judgePublished(stage, watcher, record)
    return {
      findings: [...stuck, ...falseAlarms(stage), ...verdict.findings, ...published.findings],
      struck: killer.struck,
      figures: {
        ...verdict.figures,
        grants: record.grants.length,
        'checkpoints verified': published.checkpoints,
        'checkpoint went back': watcher.wentBack(),
        'seconds of load': Math.round(seconds),
      },
      refusals: refusals(ledger),
      errors: stage.errors,
      postgres: stage.victim.version,
    }
  } finally {
    await watcher.stop()
    await stage.close()
  }
}

/** Waits until nothing is open any more and everything is published. */
async function settle({ broker, admin, replicas }: Stage): Promise<void> {
  const open = async (): Promise<number> => {
    const rows = await admin.query<{ n: number }>(
      "SELECT count(*)::integer AS n FROM writ.issuance WHERE state = 'intended'",
    )
    return rows[0]?.n ?? 0
  }
  const until = Date.now() + STUCK_MS
  while ((await open()) > 0 && Date.now() < until) {
    // What it throws shows in the record, as issuances without outcome.
    await sweep(broker, SWEEP_SECONDS).catch(() => undefined)
    await delay(200)
  }
  // Closing publishes what the last round left.
  await Promise.all(replicas.map((replica) => replica.close()))
}

/** Nobody rewrote anything: a broker that says so would refuse to serve for nothing. */
const falseAlarms = ({ errors }: Stage): string[] =>
  [...errors.keys()].filter((message) => message.includes('is not what was published'))

function refusals(ledger: Ledger): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { end } of ledger.attempts)
    if (end.kind === 'refused') counts.set(end.code, (counts.get(end.code) ?? 0) + 1)
  return counts
}
