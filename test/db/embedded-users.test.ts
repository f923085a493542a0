import { chmod, cp, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import { findBinaries, packagedFolder } from '../../server/db/embedded-binaries.js'
import { ask, child, emptyFolder, isRoot, modeOf, ordinaryUser, start } from './embedded-setup.js'

const skip = isRoot ? false : 'only root can be several users'

t.test('as an ordinary user', { skip }, async (t) => {
  const folder = await emptyFolder(t)
  const user = await ordinaryUser(folder)
  const dataDir = join(folder, 'own')
  for (const what of ['first start', 'restart']) {
    const broker = child(t, [dataDir], user)
    const said = await broker.next()
    t.match(said, { version: /^18\./, dataFolder: join(dataDir, 'postgres') }, what)
    t.equal((await stat(join(dataDir, 'postgres'))).uid, user.uid)
    broker.process.kill('SIGTERM')
    t.same(await broker.next(), { last: 'still there' })
  }
  const server = await start(dataDir)
  await server.stop()
  const { uid } = await stat(join(dataDir, 'postgres', 'postgresql.conf'))
  t.equal(uid, user.uid, 'root goes on as the user who began, and leaves it theirs')
})

t.test('as root in a closed folder', { skip }, async (t) => {
  const home = await emptyFolder(t)
  const elsewhere = await emptyFolder(t)
  await chmod(elsewhere, 0o755)
  const dataDir = join(home, 'clone', '.writ')
  await mkdir(dataDir, { recursive: true })
  const options = { systemFolder: join(elsewhere, 'writ') }

  const first = await start(dataDir, options)
  t.ok(first.dataFolder.startsWith(join(elsewhere, 'writ', 'clone-')), 'the database lies elsewhere')
  await ask(first.ownerUrl, 'SET ROLE writ_owner; CREATE SCHEMA kept')
  await first.stop()

  const again = await start(dataDir, options)
  await again.stop()
  t.equal(again.dataFolder, first.dataFolder)
  const made = await readdir(options.systemFolder)
  t.equal(made.filter((name) => name.startsWith('clone-')).length, 1, 'a restart makes no second one')

  await chmod(home, 0o755)
  const second = await start(dataDir, options)
  t.teardown(() => second.stop())
  t.equal(second.dataFolder, first.dataFolder, 'and stays there when the folder is opened later')
  t.same(await ask(second.ownerUrl, "SELECT 1 AS kept FROM pg_namespace WHERE nspname = 'kept'"), [
    { kept: 1 },
  ])

  await t.rejects(
    start(join(elsewhere, 'closed', 'clone'), { systemFolder: join(elsewhere, 'closed', 'too') }),
    { name: 'StartError', message: /may enter neither .*closed nor .*closed: allow one with "chmod o\+x"/ },
  )
})

t.test('binaries that the database’s user cannot read are copied', { skip }, async (t) => {
  const closed = await emptyFolder(t)
  const copies = await emptyFolder(t)
  await chmod(copies, 0o755)
  const packaged = packagedFolder()
  const native = join(closed, 'native')
  await cp(packaged.native, native, { recursive: true, verbatimSymlinks: true })
  await chmod(join(native, 'share'), 0o700)
  const user = { uid: 65_534, gid: 65_534 }
  const found = await findBinaries(user, copies, { ...packaged, native })
  t.match(found, {
    major: '18',
    postgres: join(copies, `postgresql-${packaged.packageVersion}`, 'native/bin/postgres'),
  })
  t.equal(await modeOf(join(dirname(dirname(found.postgres)), 'share')), '755')
  t.same(await readdir(copies), [`postgresql-${packaged.packageVersion}`], 'no half-made copy is left')
  await rm(closed, { recursive: true })
  t.same(
    await findBinaries(user, copies, { ...packaged, native }),
    found,
    'the copy stands alone and is used again',
  )
})
