/**
 * Runs the command again and again in one process: starting Node and loading the command would be most of what a
 * test of it costs. Ends with the process that forked it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { main } from '../../cli/main.js'

export interface Order {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

export interface Done {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** What keeps this process alive, counted by kind. */
function alive(): Map<string, number> {
  const kinds = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  return kinds
}

/** Until nothing more keeps us alive than before: a process of its own ends then, and only then. */
async function ended(before: ReadonlyMap<string, number>): Promise<boolean> {
  for (let waited = 0; waited < 10_000; waited += 10) {
    const more = [...alive()].filter(([kind, count]) => count > (before.get(kind) ?? 0))
    if (more.length === 0) return true
    await delay(10)
  }
  return false
}

function capture(stream: NodeJS.WriteStream): { readonly text: () => string; readonly end: () => void } {
  const write = stream.write
  const chunks: Buffer[] = []
  stream.write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
    chunks.push(Buffer.from(chunk as string))
    const told = rest.find((one) => typeof one === 'function') as (() => void) | undefined
    if (told !== undefined) process.nextTick(told)
    return true
  }
  return {
    text: () => Buffer.concat(chunks).toString('utf8'),
    end: () => {
      stream.write = write
    },
  }
}

async function run({ args, env, cwd }: Order): Promise<Done> {
  for (const name of Object.keys(process.env)) delete process.env[name]
  Object.assign(process.env, env)
  process.chdir(cwd)
  process.exitCode = undefined
  const [stdout, stderr] = [capture(process.stdout), capture(process.stderr)]
  const before = alive()
  let over = false
  try {
    await main(args)
    over = await ended(before)
  } finally {
    stdout.end()
    stderr.end()
    process.stdout.removeAllListeners('error')
  }
  if (!over) throw new Error(`writ ${args.join(' ')} goes on: ${[...alive().keys()].join(', ')}`)
  return { code: Number(process.exitCode ?? 0), stdout: stdout.text(), stderr: stderr.text() }
}

process.on('message', (order: Order) => {
  run(order).then(
    (done) => {
      process.exitCode = undefined
      process.send?.(done)
    },
    (error: unknown) => {
      console.error(error)
      process.exit(70)
    },
  )
})
process.on('disconnect', () => process.exit())
