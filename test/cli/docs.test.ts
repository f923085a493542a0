import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import t from 'tap'
import { CLIENT_VARIABLES } from '../../cli/environment.js'
import { EXIT, EXIT_MEANINGS, exitCodeOf } from '../../cli/exit.js'
import { buildProgram } from '../../cli/program.js'
import { ERRORS } from '../../server/errors.js'
import { packageRoot } from '../../server/paths.js'

const text = readFileSync(join(packageRoot(), 'docs/cli.md'), 'utf8')

/** `writ grants approve`, … without the groups that do nothing themselves. */
function verbs(command: Command, path: string): { path: string; command: Command }[] {
  if (command.commands.length === 0) return [{ path, command }]
  return command.commands.flatMap((child) => verbs(child, `${path} ${child.name()}`))
}
const all = verbs(await buildProgram(), 'writ')

t.test('every verb and every option of its own is in docs/cli.md', async (t) => {
  t.ok(all.length > 20)
  for (const { path, command } of all) {
    const name = path.replace(/ create$/, (end) => (path === 'writ request create' ? '' : end))
    const said = ['writ issuances list', 'writ webhooks list'].includes(name)
      ? name.replace(/ list$/, '')
      : name
    const section = text.split('\n').filter((line) => line.includes(`\`${said}`))
    t.ok(section.length > 0, said)
    for (const option of command.options.filter((one) => one.helpGroupHeading === undefined)) {
      t.ok(text.includes(option.long ?? ''), `${said} ${option.long}`)
    }
    t.not(command.summary() + command.description(), '', `${path} says what it does`)
  }
})

t.test('docs/cli.md names no verb that does not exist', async (t) => {
  const known = new Set(
    all.flatMap(({ path }) => path.split(' ').map((_, i, words) => words.slice(0, i + 1).join(' '))),
  )
  known.add('writ help')
  for (const [, written = ''] of text.matchAll(/`(writ(?: [a-z-]+)+)/g)) {
    const words = written.split(' ').filter((word) => !word.startsWith('-'))
    t.ok(known.has(words.slice(0, 2).join(' ')), written)
  }
})

t.test('exit codes', async (t) => {
  const rows = [...text.matchAll(/^\| (\d) \| (.+) \|$/gm)].map(([, code, meaning]) => [code, meaning])
  t.strictSame(rows, Object.entries(EXIT_MEANINGS))
  const expected: Readonly<Record<number, number>> = {
    401: EXIT.unauthenticated,
    403: EXIT.refused,
    500: EXIT.unexpected,
    503: EXIT.unavailable,
  }
  for (const [code, { status }] of Object.entries(ERRORS)) {
    const needsGrant = status === 403 && code.startsWith('grant_')
    const wanted = needsGrant ? EXIT.needsGrant : (expected[status] ?? EXIT.request)
    t.equal(exitCodeOf({ title: '', detail: '', status, code }), wanted, code)
  }
})

t.test('variables', async (t) => {
  for (const name of CLIENT_VARIABLES.flatMap(([names]) => names.split(', '))) {
    t.ok(text.includes(`\`${name}\``), name)
  }
})
