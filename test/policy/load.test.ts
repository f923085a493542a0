import { chmod, mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { StartError } from '../../server/errors.js'
import { loadPolicySet } from '../../server/policy/load.js'
import { type PolicyState, watchPolicySet } from '../../server/policy/watch.js'
import { compiled, GOOD } from './support.js'

const codes = async (folder: string): Promise<string[]> => {
  const result = await loadPolicySet(folder)
  return result.ok ? [] : result.problems.map((problem) => `${problem.file} ${problem.code}`)
}

t.test('a folder loads like its documents', async (t) => {
  const folder = t.testdir({ ...GOOD })
  const result = await loadPolicySet(folder)
  if (!result.ok) throw new Error('it does not load')
  t.equal(result.policySet.digest, (await compiled(GOOD)).digest)
  await mkdir(join(folder, 'deep/er'), { recursive: true })
  await rename(join(folder, 'coder.yaml'), join(folder, 'deep/er/renamed.yml'))
  await writeFile(join(folder, 'README.md'), 'not: [a policy')
  await writeFile(join(folder, '.hidden.yaml'), 'not: [a policy')
  const moved = await loadPolicySet(folder)
  t.equal(moved.ok && moved.policySet.digest, result.policySet.digest)
})

t.test('a folder that is not there, or empty', async (t) => {
  t.match(await codes('/nowhere/at/all'), [/folder_unreadable/])
  t.same(await codes(t.testdir({})), ['. folder_unreadable'])
})

t.test('links', async (t) => {
  const outside = join(
    t.testdir({ policies: { ...GOOD }, secret: { 'x.yaml': 'password: hunter2\n' } }),
    'secret',
  )
  const folder = join(outside, '../policies')
  await symlink(join(outside, 'x.yaml'), join(folder, 'leak.yaml'))
  t.same(await codes(folder), ['leak.yaml symlink_outside'])
  const result = await loadPolicySet(folder)
  t.notMatch(JSON.stringify(result), /hunter2/)
  await rm(join(folder, 'leak.yaml'))
  await symlink(outside, join(folder, 'sub'))
  t.same(await codes(folder), ['sub symlink_outside'])
  await rm(join(folder, 'sub'))
  await symlink('.', join(folder, 'round'))
  t.same(await codes(folder), [], 'a circle ends')
  await symlink('nowhere.yaml', join(folder, 'dangling.yaml'))
  t.same(await codes(folder), ['dangling.yaml folder_unreadable'])
})

t.test('a mounted ConfigMap: files are links into ..data', async (t) => {
  const folder = t.testdir({ '..2026': { ...GOOD } })
  await symlink('..2026', join(folder, '..data'))
  for (const name of Object.keys(GOOD)) await symlink(join('..data', name), join(folder, name))
  t.same(await codes(folder), [])
})

t.test('files that cannot be read', async (t) => {
  const folder = t.testdir({ ...GOOD })
  await writeFile(join(folder, 'big.yaml'), '')
  await truncate(join(folder, 'big.yaml'), 9 * 1024 * 1024)
  t.same(await codes(folder), ['big.yaml file_too_large'])
  await writeFile(join(folder, 'big.yaml'), Buffer.from([0x61, 0x3a, 0x20, 0xff, 0xfe]))
  t.same(await codes(folder), ['big.yaml folder_unreadable'], 'not UTF-8')
  await rm(join(folder, 'big.yaml'))
  await mkdir(join(folder, 'looks-like.yaml'))
  t.same(await codes(folder), [], 'a folder is a folder')
  for (let n = 0; n < 9; n++) {
    await writeFile(join(folder, `part-${n}.yaml`), '')
    await truncate(join(folder, `part-${n}.yaml`), 8 * 1024 * 1024)
  }
  t.same(await codes(folder), ['. file_too_large'], 'all together')
})

t.test(
  'a file without permission',
  { skip: process.getuid?.() === 0 ? 'root reads everything' : false },
  async (t) => {
    const folder = t.testdir({ ...GOOD })
    await chmod(join(folder, 'dev.yaml'), 0)
    t.ok((await codes(folder)).includes('dev.yaml folder_unreadable'))
  },
)

t.test('no start without a good set, and the message names every problem', async (t) => {
  const folder = t.testdir({ ...GOOD, 'dev.yaml': 'environment: dev\ntier: nowhere\n' })
  await t.rejects(watchPolicySet(folder), StartError)
  await t.rejects(
    watchPolicySet(folder),
    /dev\.yaml:2:7 .*nowhere[\s\S]*dev\.yaml:1:1 .*|dev\.yaml:1:1[\s\S]*dev\.yaml:2:7/,
  )
})

t.test('a reload swaps whole sets, and a broken folder leaves the last good one', async (t) => {
  const folder = t.testdir({ ...GOOD })
  const holder = await watchPolicySet(folder, { pollMs: 0 })
  t.teardown(holder.close)
  const first = holder.current()
  t.equal(holder.state().digest, first.digest)
  t.equal(holder.state().lastProblem, undefined)

  await writeFile(join(folder, 'dev.yaml'), 'environment: dev\ntier: nowhere\n')
  const broken = await holder.reload()
  t.equal(holder.current(), first, 'the last good set serves on')
  t.equal(broken.digest, first.digest)
  t.match(broken.lastProblem?.problems[0], { file: 'dev.yaml' })

  await writeFile(join(folder, 'dev.yaml'), (GOOD['dev.yaml'] ?? '').replace('eu-west-1', 'eu-central-1'))
  const mended = await holder.reload()
  t.not(mended.digest, first.digest)
  t.equal(mended.lastProblem, undefined)
  t.same(holder.current().environments.get('dev')?.regions, ['eu-central-1'])
  t.same(first.environments.get('dev')?.regions, ['eu-west-1'], 'a set once taken stays as it was')
})

t.test('reloads at the same time end with the newest folder', async (t) => {
  const folder = t.testdir({ ...GOOD })
  let release: () => void = () => undefined
  let arrived: () => void = () => undefined
  const waiting = new Promise<void>((resolve) => {
    arrived = resolve
  })
  let calls = 0
  // The first reload is held up with the old folder in its hands while a second one is asked for.
  const accept = async () => {
    if (++calls !== 2) return
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    arrived()
    await held
  }
  const holder = await watchPolicySet(folder, { pollMs: 0, accept })
  t.teardown(holder.close)
  const early = holder.reload()
  await waiting
  await writeFile(join(folder, 'dev.yaml'), (GOOD['dev.yaml'] ?? '').replace('eu-west-1', 'eu-central-1'))
  const late = holder.reload()
  // Enough for a load that does not wait its turn to overtake.
  await loadPolicySet(folder)
  await loadPolicySet(folder)
  release()
  await Promise.all([early, late])
  t.same(holder.current().environments.get('dev')?.regions, ['eu-central-1'])
})

t.test('the folder is watched', async (t) => {
  const folder = t.testdir({ ...GOOD })
  // The watch alone keeps no process alive.
  const alive = setInterval(() => undefined, 1000)
  t.teardown(() => clearInterval(alive))
  let seen: (state: PolicyState) => void = () => undefined
  const next = () =>
    new Promise<PolicyState>((resolve) => {
      seen = resolve
    })
  const holder = await watchPolicySet(folder, { pollMs: 20, onReload: (state) => seen(state) })
  t.teardown(holder.close)
  const before = holder.current().digest

  let change = next()
  await writeFile(join(folder, 'dev.yaml'), (GOOD['dev.yaml'] ?? '').replace('eu-west-1', 'eu-central-1'))
  t.not((await change).digest, before)

  change = next()
  await rm(join(folder, 'bob.yaml'))
  await change
  t.equal(holder.current().operators.size, 0)

  change = next()
  await writeFile(join(folder, 'new.yaml'), 'scope: [broken\n')
  t.match((await change).lastProblem?.problems[0], { file: 'new.yaml' })

  change = next()
  await rm(folder, { recursive: true })
  t.match((await change).lastProblem?.problems[0], { code: 'folder_unreadable' })
  t.equal(holder.current().agents.size, 1, 'a folder that went away leaves the last good set')
})

t.test('a set that the broker cannot put into service does not serve', async (t) => {
  const folder = t.testdir({ ...GOOD })
  const refuse = async () => {
    throw new StartError('not with this mode')
  }
  await t.rejects(watchPolicySet(folder, { pollMs: 0, accept: refuse }), { message: 'not with this mode' })

  let answer: Error | undefined
  const accept = async () => {
    if (answer !== undefined) throw answer
  }
  let seen: (state: PolicyState) => void = () => undefined
  const next = () =>
    new Promise<PolicyState>((resolve) => {
      seen = resolve
    })
  const alive = setInterval(() => undefined, 1000)
  t.teardown(() => clearInterval(alive))
  const holder = await watchPolicySet(folder, { pollMs: 20, accept, onReload: (state) => seen(state) })
  t.teardown(holder.close)
  const first = holder.current()
  answer = new Error('connect ECONNREFUSED postgres://writ:hunter2@db')
  let change = next()
  await writeFile(join(folder, 'bob.yaml'), '# gone\n')
  const refused = await change
  t.match(refused.lastProblem?.problems, [{ code: 'not_accepted' }])
  t.notMatch(JSON.stringify(refused), /hunter2/, 'a foreign error is not told, it may hold a secret')
  t.equal(holder.current(), first)
  answer = undefined
  change = next()
  t.equal((await change).lastProblem, undefined, 'tried again without another change of the folder')
  t.equal(holder.current().operators.size, 0)
})
