import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ClientEnvironment } from './environment.js'
import { usageError } from './exit.js'

export const DEFAULT_URL = 'http://127.0.0.1:8420'

/** The broker in use. */
export interface Target {
  /** Without a trailing slash. */
  readonly url: string
  readonly loopback: boolean
  readonly https: boolean
  /** Set when it is the local broker of the data folder. */
  readonly local?: {
    readonly dataDir: string
    readonly awsUrl: string
    readonly policies: string
    /** Of the console. */
    readonly consoleUrl: string
  }
}

export interface TargetOptions {
  readonly url?: string
  readonly insecure?: boolean
  readonly dataDir?: string
}

/** --url, WRIT_URL, the broker that runs on this machine's data folder, the default: in this order. */
export function findTarget(options: TargetOptions, env: ClientEnvironment): Target {
  const dataDir = options.dataDir ?? env.dataDir
  const running = readLocal(dataDir)
  const given = options.url ?? env.url ?? running?.url ?? DEFAULT_URL
  const url = tryUrl(given)
  if (
    url === undefined ||
    !['http:', 'https:'].includes(url.protocol) ||
    url.username !== '' ||
    url.search !== ''
  ) {
    throw usageError(
      'The address of the broker is not an http or https URL without login and query.',
      'Give --url or WRIT_URL, for example https://writ.example.com',
    )
  }
  const loopback = isLoopback(url.hostname)
  if (url.protocol === 'http:' && !loopback && options.insecure !== true) {
    throw usageError(
      `${url.origin} is plain http to another machine: token and credentials could be read on the way.`,
      'Use https, or --insecure where the network itself is trusted.',
    )
  }
  const plain = url.href.replace(/\/+$/, '')
  return {
    url: plain,
    loopback,
    https: url.protocol === 'https:',
    ...(running !== undefined && loopback && plain === running.url
      ? { local: { ...running.local, dataDir } }
      : {}),
  }
}

/** The hosts to which AWS SDKs send a token over plain http. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

interface RunningLocal {
  readonly url: string
  /** Its local AWS, the folder its policy set came from, and its console. */
  readonly local: { readonly awsUrl: string; readonly policies: string; readonly consoleUrl: string }
}

/** What a running local broker says of itself in its data folder; undefined when none runs there. */
function readLocal(dataDir: string): RunningLocal | undefined {
  try {
    const { url, localAwsUrl, policies, consoleUrl } = JSON.parse(
      readFileSync(join(dataDir, 'local.json'), 'utf8'),
    ) as Partial<Record<string, unknown>>
    if (typeof url !== 'string' || typeof localAwsUrl !== 'string') return undefined
    if (typeof policies !== 'string' || typeof consoleUrl !== 'string') return undefined
    return { url: url.replace(/\/+$/, ''), local: { awsUrl: localAwsUrl, policies, consoleUrl } }
  } catch {
    return undefined
  }
}

function tryUrl(text: string): URL | undefined {
  try {
    return new URL(text)
  } catch {
    return undefined
  }
}
