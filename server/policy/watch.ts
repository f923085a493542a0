import { StartError } from '../errors.js'
import type { PolicySet } from '../types.js'
import { scanFolder } from './files.js'
import { type LoadResult, loadPolicySet } from './load.js'
import type { ParseCache } from './parse-files.js'
import { formatProblem, type Problem } from './problems.js'

export interface PolicyState {
  /** Of the set that serves. */
  readonly digest: string
  /** When that set was loaded. */
  readonly loadedAt: Date
  /** What keeps a newer state of the folder from serving; absent when the newest one serves. */
  readonly lastProblem?: { readonly at: Date; readonly problems: readonly Problem[] }
}

export interface PolicyHolder {
  /** The set that serves: take it once for a request and keep it. */
  readonly current: () => PolicySet
  readonly state: () => PolicyState
  /** Loads the folder now. A broken one leaves the last good set serving and is told by the state. */
  readonly reload: () => Promise<PolicyState>
  readonly close: () => void
}

export interface WatchOptions {
  /**
   * Asked before a set begins to serve, the first one too: what it throws keeps the set out. A `StartError`
   * is told as it is and final until the folder changes; anything else is tried again at the next look.
   */
  readonly accept?: (policySet: PolicySet) => Promise<void>
  /** Milliseconds between looks at the folder; 0 never looks. */
  readonly pollMs?: number
  /** Told after every reload, good or bad. */
  readonly onReload?: (state: PolicyState) => void
}

/** A fault of ours must not take down a broker whose last good set still serves. */
const unforeseen = (error: unknown) => {
  const message = `The policy could not be compiled: ${error instanceof Error ? error.message : 'unknown error'}.`
  const problem: Problem = { file: '.', line: 1, column: 1, code: 'folder_unreadable', message }
  return { ok: false, problems: [problem], fingerprint: undefined } as const
}

type Loaded = Extract<LoadResult, { ok: true }>

async function accepted(loaded: Loaded, { accept }: WatchOptions) {
  try {
    await accept?.(loaded.policySet)
    return loaded
  } catch (error) {
    const message = error instanceof StartError ? error.message : 'The policy could not be put into service.'
    const problem: Problem = { file: '.', line: 1, column: 1, code: 'not_accepted', message }
    // A database that was away for a moment must not leave an old policy serving until somebody edits a file.
    return { ok: false, problems: [problem], again: !(error instanceof StartError) } as const
  }
}

// Polling names, sizes and times: fs.watch misses changes on network file systems and in mounted ConfigMaps.
const POLL_MS = 3000

/**
 * Loads a policy folder and keeps it current.
 *
 * @throws StartError naming every problem, when there is no good set to begin with
 */
export async function watchPolicySet(folder: string, options: WatchOptions = {}): Promise<PolicyHolder> {
  const cache: ParseCache = new Map()
  const first = await loadPolicySet(folder, cache)
  if (!first.ok) {
    throw new StartError(
      `The policy in ${folder} does not load:\n${first.problems.map(formatProblem).join('\n')}`,
    )
  }
  let { policySet } = first
  /** Of the folder as it was looked at last; undefined asks for another look whatever it is. */
  let fingerprint: string | undefined = first.fingerprint
  await options.accept?.(policySet)
  let state: PolicyState = { digest: policySet.digest, loadedAt: new Date() }
  let running: Promise<PolicyState> | undefined
  let closed = false
  let timer: NodeJS.Timeout | undefined

  const load = async (): Promise<PolicyState> => {
    const loaded = await loadPolicySet(folder, cache).catch(unforeseen)
    const result = loaded.ok ? await accepted(loaded, options) : loaded
    fingerprint = 'again' in result && result.again ? undefined : (loaded.fingerprint ?? fingerprint)
    if (result.ok) {
      policySet = result.policySet
      state = { digest: policySet.digest, loadedAt: new Date() }
    } else {
      state = { ...state, lastProblem: { at: new Date(), problems: result.problems } }
    }
    if (!closed) options.onReload?.(state)
    return state
  }
  // One after the other: of two loads side by side the older one could win.
  const reload = (): Promise<PolicyState> => {
    const next = (running ?? Promise.resolve()).then(load, load)
    running = next
    return next
  }
  const look = async (): Promise<void> => {
    try {
      const seen = await scanFolder(folder)
      if (!closed && seen.fingerprint !== fingerprint) await reload()
    } finally {
      schedule()
    }
  }
  const schedule = (): void => {
    const pollMs = options.pollMs ?? POLL_MS
    if (closed || pollMs === 0) return
    timer = setTimeout(() => void look(), pollMs)
    timer.unref()
  }
  schedule()
  return {
    current: () => policySet,
    state: () => state,
    reload,
    close: () => {
      closed = true
      clearTimeout(timer)
    },
  }
}
