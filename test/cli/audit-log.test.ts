import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commandOnBroker } from './support.js'

const READ = ['--env', 'development', '--scope', 'orders:read', '--reason', 'a test']

t.test('the record proven from the command line', { timeout: 120_000 }, async (t) => {
  const { writ, broker, folder } = await commandOnBroker(t)
  const issued = await writ(['credentials', '--as', 'orders-coder', ...READ, '--json'])
  const { issuance } = issued.json
  await broker.publishing?.checkpointer.tick()
  const key = (await writ(['audit', 'key', '--as', 'carol'])).stdout.trim()

  const file = join(folder, 'proof.txt')
  t.match(await writ(['audit', 'prove', issuance, '--as', 'carol', '--out', file]), { code: 0 })
  const proven = await writ(['audit', 'verify', file, '--key', key, '--json'])
  t.match(proven, { code: 0, json: { verified: 'proof', origin: 'writ.localhost/log' } })
  t.match(JSON.parse(proven.json.entry), { kind: 'issuance.issued', issuance_id: issuance })
  t.match(await writ(['audit', 'prove', '0', '--as', 'orders-coder']), { code: 7 }, 'no agent proves')

  const log = join(folder, 'copy')
  cpSync(join(broker.dataDir, 'log'), log, { recursive: true })
  const whole = await writ(['audit', 'verify', log, '--key', key, '--json'])
  const [, size] = readFileSync(join(log, 'checkpoint'), 'utf8').split('\n')
  t.match(whole, { code: 0, json: { verified: 'log', size: Number(size) } })

  // What somebody kept from earlier, and what the log says today.
  const kept = join(folder, 'kept')
  writeFileSync(kept, readFileSync(join(log, 'checkpoint')))
  await writ(['events', '--as', 'bob'])
  await broker.publishing?.checkpointer.tick()
  const later = join(folder, 'later')
  cpSync(join(broker.dataDir, 'log'), later, { recursive: true })
  const continued = ['audit', 'verify', later, '--key', key, '--json', '--checkpoint', kept]
  t.match(await writ(continued), { code: 0, json: { verified: 'log', checkpoints: 2 } })
  const back = await writ(['audit', 'verify', log, '--key', key, '--checkpoint', join(later, 'checkpoint')])
  t.match(back, { code: 9, stderr: /of size \d+, the newest checkpoint of/ }, 'a log that was put back')

  const out = join(folder, 'log.ndjson')
  const exported = await writ(['audit', 'export', '--as', 'carol', '--out', out, '--json'])
  t.match(exported, { code: 0, json: { origin: 'writ.localhost/log' } })
  t.ok(exported.json.covered >= 3)
  const check = ['--checkpoint', `${out}.checkpoint`]
  const sound = await writ(['audit', 'verify', out, '--key', key, '--json', ...check])
  t.equal(sound.code, 0, sound.stderr)
  t.match(sound.json, { verified: 'export', size: exported.json.covered })
  t.match(
    await writ(['audit', 'export', '--as', 'carol', '--out', out]),
    { code: 1 },
    'never over a file that is there',
  )
  const told = await writ(['events', '--as', 'carol', '--kind', 'log.exported', '--json'])
  t.match(told.json.items[0]?.body, { operator: 'carol', from: 0 })

  const bad = async (path: string, change: (text: Buffer) => Buffer, args: string[] = []) => {
    const before = readFileSync(path)
    writeFileSync(path, change(before))
    const ran = await writ([
      'audit',
      'verify',
      path.startsWith(log) ? log : path,
      '--key',
      key,
      '--json',
      ...args,
    ])
    writeFileSync(path, before)
    t.equal(ran.code, 9, ran.stdout)
    return ran.json.code
  }
  const flip = (at: number) => (data: Buffer) => {
    const changed = Buffer.from(data)
    changed[at] = (changed[at] ?? 0) ^ 1
    return changed
  }
  t.match(
    await bad(join(log, 'checkpoint'), flip(30)),
    /signature_invalid|checkpoint|note|origin|key_unknown/,
  )
  t.match(await bad(file, flip(200)), /./)
  t.match(await bad(out, flip(300), check), /./, 'a changed export')
  const withoutSecond = (data: Buffer) => Buffer.from(data.toString().split('\n').toSpliced(1, 1).join('\n'))
  t.equal(await bad(out, withoutSecond, check), 'entry_missing', 'a line dropped')
  t.match(await bad(file, (data) => data.subarray(0, data.length - 20)), /./)
  t.equal(await bad(file, (data) => data, ['--origin', 'another/log']), 'origin_mismatch')
  t.match(await writ(['audit', 'verify', file, '--key', 'nonsense+00000000+AAAA']), { code: 9 })
  t.match(await writ(['audit', 'verify', join(folder, 'nothing'), '--key', key]), { code: 2 })
})

t.test('keys and a new origin', { timeout: 120_000 }, async (t) => {
  const { writ, broker, folder } = await commandOnBroker(t)
  const file = join(folder, 'log-key')
  const made = await writ(['audit', 'keygen', 'writ.example.com/log', '--out', file])
  t.match(made, { code: 0, stdout: /^writ\.example\.com\/log\+[0-9a-f]{8}\+/ })
  t.notMatch(made.stdout, /PRIVATE/)
  t.match(await writ(['audit', 'keygen', 'x', '--out', file]), { code: 1 }, 'never over a key that is there')
  t.match(await writ(['audit', 'keygen', 'a b', '--out', join(folder, 'other')]), { code: 9 })

  await broker.publishing?.checkpointer.tick()
  const env = { WRIT_DATA_DIR: broker.dataDir }
  t.match(
    await writ(['audit', 'new-origin', 'writ.localhost/log', '--reason', 'r'], { env }),
    { code: 1 },
    'same name',
  )
  const begun = await writ(
    ['audit', 'new-origin', 'writ.localhost/second', '--reason', 'restored', '--json'],
    { env },
  )
  t.match(begun, {
    code: 0,
    json: { origin: 'writ.localhost/second', previous_origin: 'writ.localhost/log' },
  })
  for (const kept of begun.json.kept) t.ok(existsSync(kept), 'nothing is deleted')
})
