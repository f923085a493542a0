import { readdirSync, readFileSync } from 'node:fs'

/** Linux reports it in clock ticks, which are hundredths of a second there (`getconf CLK_TCK`). */
const TICKS_PER_SECOND = 100

/**
 * CPU seconds used so far by a process and its direct children, in user and system time (proc(5), stat).
 * Unlike throughput it hardly depends on what else the machine does. Undefined where there is no /proc.
 */
export function cpuSeconds(pid: number): number | undefined {
  let found: number | undefined
  for (const name of processes()) {
    try {
      // The second field is a program's name in brackets, and may hold anything.
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      const [parent, user, system, waitedUser, waitedSystem] = [1, 11, 12, 13, 14].map((n) =>
        Number(fields[n]),
      )
      if (Number(name) === pid) {
        found = (found ?? 0) + ticks(user) + ticks(system) + ticks(waitedUser) + ticks(waitedSystem)
      } else if (parent === pid) found = (found ?? 0) + ticks(user) + ticks(system)
    } catch {
      // It ended between the two looks.
    }
  }
  return found
}

const ticks = (count = 0): number => count / TICKS_PER_SECOND

function processes(): readonly string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  } catch {
    return []
  }
}
