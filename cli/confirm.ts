import { createInterface } from 'node:readline/promises'
import { usageError } from './exit.js'

/** Asks on the terminal. Throws a usage error where there is none to ask on, or the answer is no. */
export async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw usageError('There is no terminal to confirm on.', 'Run it on a terminal, or decide with --yes.')
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const said = await terminal.question(`${question} [y/N] `)
    if (!/^y(es)?$/i.test(said.trim())) throw usageError('Nothing was decided.')
  } finally {
    terminal.close()
  }
}
