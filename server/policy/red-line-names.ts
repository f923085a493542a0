import type { IamData } from './iam-data.js'
import { RED_LINE_ACTIONS } from './red-line-actions.js'
import { type RedLine, redLineOf } from './red-lines.js'

/** A name as anybody might write it: neither case nor hyphens tell two apart. */
const folded = (name: string): string => name.toLowerCase().replace(/[-_]/g, '')

const BUILT_IN: ReadonlyMap<string, string> = new Map(
  RED_LINE_ACTIONS.trim()
    .split('\n')
    .flatMap((line) => {
      const [service = '', ...names] = line.split(' ')
      return names.map((name) => [folded(`${service}:${name}`), `${service}:${name}`] as const)
    }),
)

/**
 * Tells which red-line action a name spells, in AWS's spelling: an agent that asks for `iam:create-user` means what no
 * agent may have. `data` holds at least the services of the lines that documents add.
 */
export function redLineSpelling(
  added: readonly RedLine[],
  data: IamData,
): (name: string) => string | undefined {
  const own = new Map<string, string>()
  if (added.length > 0) {
    for (const action of [...data.actions.values()].flatMap((service) => [...service.values()])) {
      if (redLineOf(action, added) !== undefined) own.set(folded(action.id), action.id)
    }
  }
  return (name) => {
    const key = folded(name)
    return BUILT_IN.get(key) ?? own.get(key)
  }
}
