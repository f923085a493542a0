import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createRunner } from './support/runner.js'

const counted = (total: number, pass: number): string =>
  `console.log('# { total: ${total}, pass: ${pass}${pass < total ? `, fail: ${total - pass}` : ''} }')`

const FILES = {
  'good.mjs': `console.log('ok 1 - quiet'); console.log('ok 2 - left # SKIP no browser'); ${counted(2, 1)}`,
  'bad.mjs': `console.log('not ok 1 - loud\\n  ---\\n  why: this\\n  ...\\nok 2 - x\\n  ---\\n  why: that\\n  ...')
    ${counted(2, 1)}; process.exitCode = 1`,
  'quits.mjs': 'process.exit(0)',
  'empty.mjs': counted(0, 0),
  'dies.mjs': `${counted(1, 1)}; process.kill(process.pid, 'SIGKILL')`,
}

t.test('what fails, ends early or tests nothing fails the run', async (t) => {
  const cwd = t.testdir(FILES)
  const run = async (...files: string[]) => {
    const said: string[] = []
    const runner = createRunner({ cwd, env: process.env, jobs: 2, say: (text) => said.push(text) })
    return { code: await runner.run(files), said: said.join('\n') }
  }
  const good = await run('good.mjs')
  t.equal(good.code, 0)
  t.match(good.said, /ok 2 - left # SKIP/, 'what was skipped is said')
  t.notMatch(good.said, /quiet/)
  t.match(good.said, /^# \{ total: 2, pass: 1, files: 1, seconds: \d+ \}$/m)

  const bad = await run('bad.mjs', 'good.mjs')
  t.equal(bad.code, 1)
  t.match(bad.said, /not ok 1 - loud\n {2}---\n {2}why: this/)
  t.notMatch(bad.said, /why: that/)
  t.match(bad.said, /^FAILED bad\.mjs: exit code 1$/m)
  t.match(bad.said, /total: 4, pass: 2, files: 2/)

  for (const [file, why] of [
    ['quits.mjs', /without counting/],
    ['empty.mjs', /nothing in it is a test/],
    ['dies.mjs', /ended by SIGKILL/],
    ['none.mjs', /exit code 1/],
  ] as const) {
    const { code, said } = await run(file, 'good.mjs')
    t.equal(code, 1, file)
    t.match(said, why)
  }
  t.equal((await run()).code, 1, 'a run of nothing')
})

t.test('interrupted, it begins nothing more', async (t) => {
  const cwd = t.testdir({
    'first.mjs': "console.log('up'); setInterval(() => undefined, 1000)",
    'second.mjs': "import { writeFileSync } from 'node:fs'; writeFileSync('second', '')",
  })
  const runner = createRunner({ cwd, env: process.env, jobs: 1, say: () => undefined })
  const running = runner.run(['first.mjs', 'second.mjs'])
  runner.interrupt('SIGTERM')
  t.equal(await running, 1)
  t.notOk(readdirSync(join(cwd)).includes('second'))
})
