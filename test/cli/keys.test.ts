import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createSoftwareKey } from '../../cli/software-key.js'
import { asOwner } from '../../server/db/owner.js'
import { startTestBroker } from '../support/broker.js'
import { silent, testServer } from '../support/postgres.js'
import { softwareSk, writeSshKeygen } from '../support/software-sk.js'
import { command, installed, run } from './support.js'

t.test('codes and keys from the command line', { timeout: 120_000 }, async (t) => {
  const sql = await testServer(t)
  const broker = await startTestBroker(t, { sql })
  const { writ, folder, launcher } = command(t)
  const code = (name: string, ...more: readonly string[]) => ['operators', 'code', name, '--json', ...more]
  const local = { env: { WRIT_DATA_DIR: sql.dataDir } }
  const owned = {
    env: { WRIT_MIGRATE_DATABASE_URL: sql.ownerUrl, WRIT_PUBLIC_URL: 'https://writ.example.com' },
  }

  await t.test('a code, and the link that enrols with it', async (t) => {
    const unknown = await writ(code('bob', '--by', 'dana'), local)
    t.match(unknown, { code: 0, json: { operator: 'bob', link: null } }, unknown.stderr)
    const { url, localAws, origin } = broker
    const running = { url, localAwsUrl: localAws.url, policies: '/policies', consoleUrl: origin }
    writeFileSync(join(sql.dataDir, 'local.json'), JSON.stringify(running))
    const made = await writ(code('bob', '--by', 'dana', '--valid', '10m'), local)
    t.equal(made.code, 0, made.stderr)
    const link = new URL(made.json.link)
    t.equal(link.origin, broker.origin, 'at localhost: passkeys know no address')
    t.equal(new URLSearchParams(link.hash.slice(1)).get('code'), made.json.code)
    t.ok(Math.abs(Date.parse(made.json.expires_at) - Date.now() - 600_000) < 60_000)
    t.match((await writ(code('bob', '--by', 'dana'), owned)).json, {
      link: /^https:\/\/writ\.example\.com\/console\/enrol#operator=bob&code=/,
    })
    const human = await writ(['operators', 'code', 'bob', '--by', 'dana'], local)
    t.match(human.stdout, /Code: +([0-9A-Z]{4}-){6}[0-9A-Z]{4}\nLink: +http:\/\/localhost/)
    const last = /Code: +(\S+)/.exec(human.stdout)?.[1] ?? ''
    for (const [given, status] of [
      [made.json.code, 403],
      [last, 200],
    ] as const) {
      const path = '/v1/operator-keys/enrol/options'
      const answered = await broker.call('POST', path, undefined, { operator: 'bob', code: given })
      t.equal(answered.status, status)
      if (status !== 200) continue
      const key = createSoftwareKey({ rpId: 'localhost', origin: broker.origin })
      const enrolled = await broker.call('POST', '/v1/operator-keys/enrol', undefined, {
        operator: 'bob',
        code: given,
        challenge: answered.body.challenge,
        credential: key.register(Buffer.from(answered.body.options.challenge, 'base64url')),
        label: 'laptop',
      })
      t.equal(enrolled.status, 201)
    }
    const events = await broker.call(
      'GET',
      '/v1/events?kind=operator.code_issued',
      await broker.operatorToken('carol'),
    )
    t.match(events.body.items[0].body, { operator: 'bob', by: 'dana' })
  })

  await t.test('vouching from a terminal', async (t) => {
    if (!installed(t, 'script (util-linux)', 'script', ['--version'])) return
    const alices = softwareSk('ed25519')
    await asOwner(sql.ownerUrl, silent, (owner) =>
      owner.query(
        `INSERT INTO writ.operator_key (id, operator, kind, public_key, label, added_at)
         VALUES ($1, 'alice', 'ssh-sk', $2, 'desk', now())`,
        [alices.keyId, alices.publicKey],
      ),
    )
    const key = alices.save(join(folder, 'id_alice'))
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    writeSshKeygen(bin)
    const proposal = await broker.call('POST', '/v1/operator-keys', await broker.operatorToken('bob'), {
      kind: 'ssh-sk',
      public_key: softwareSk('ecdsa').publicKey,
      label: 'red key',
    })
    const args = ['keys', 'vouch', proposal.body.proposal, '--key', key]
    const env = {
      WRIT_URL: broker.url,
      WRIT_OPERATOR_TOKEN: await broker.operatorToken('alice'),
      HOME: folder,
    }
    t.match(await writ(args, { env }), { code: 2 }, 'not without a terminal')
    const types = (typed: string) => {
      const line = ['env', `PATH=${bin}:${process.env.PATH}`, process.execPath, launcher, ...args].join(' ')
      return run('sh', ['-c', `printf '${typed}\\n' | script -qec "${line}" /dev/null`], { env })
    }
    t.match(await types('n'), { code: 2, stdout: /Did bob tell you themselves/ })
    const done = await types('y')
    t.match(done.stdout, /They call it: +red key[\s\S]*is bob's now/)
    t.match((await writ(args, { env })).code, 7, 'once')
    const carol = { env: { ...env, WRIT_OPERATOR_TOKEN: await broker.operatorToken('carol') } }
    t.match(await writ(args, carol), { code: 7 })
  })

  await t.test('who makes no code', async (t) => {
    const brokers = { env: { WRIT_MIGRATE_DATABASE_URL: sql.brokerUrl } }
    t.match(await writ(code('bob', '--by', 'x'), brokers), {
      code: 1,
      json: { detail: /member of writ_owner/ },
    })
    t.match(await writ(code('bob', '--by', 'x'), { env: { WRIT_DATA_DIR: folder } }), { code: 1 })
    t.match(await writ(code('bob'), local), { code: 2 })
    t.match(await writ(code('bob', '--by', ' '), local), { code: 2 })
    t.match(await writ(code('no such', '--by', 'x'), local), { code: 2 })
    t.match(await writ(code('bob', '--by', 'x', '--valid', '25h'), local), { code: 2 })
  })

  await t.test('one’s keys', async (t) => {
    const as = async (name: string) => ({
      env: { WRIT_URL: broker.url, WRIT_OPERATOR_TOKEN: await broker.operatorToken(name) },
    })
    const bob = await as('bob')
    t.match((await writ(['keys', 'list'], bob)).stdout, /passkey +laptop .*\(a code\)/)
    t.match(await writ(['keys', 'list', '--operator', 'bob'], await as('alice')), { code: 3 })
    const listed = await writ(['keys', 'list', '--operator', 'bob', '--json'], await as('carol'))
    t.match(listed.json, { items: [{ operator: 'bob' }] })
    const ssh = softwareSk('ed25519')
    const file = ssh.save(join(folder, 'id_sk'))
    const proposed = await writ(['keys', 'add', '--ssh', `${file}.pub`, '--json'], bob)
    t.match(proposed, { code: 0, json: { key_id: ssh.keyId } }, proposed.stderr)
    t.match(await writ(['keys', 'add', '--ssh', join(folder, 'none.pub'), '--label', 'x'], bob), { code: 2 })
    t.match((await writ(['keys', 'proposals'], bob)).stdout, /bob +ssh-sk +id_sk +SHA256:/)
    const [{ id }] = listed.json.items
    t.match(await writ(['keys', 'remove', '--', id], bob), { code: 2 }, 'asks first')
    t.match(await writ(['keys', 'remove', '--yes', '--', id], await as('alice')), { code: 7 })
    t.match(await writ(['keys', 'remove', '--yes', '--', id], bob), {
      code: 0,
      stdout: /bob has one key left/,
    })
    const left = await broker.call('GET', '/v1/operator-keys', await broker.operatorToken('bob'))
    const last = left.body.items.find((one: { removed_at: unknown }) => one.removed_at === null)
    t.match(await writ(['keys', 'remove', '--yes', last.id], bob), {
      code: 0,
      stdout: 'Removed. bob has 0 keys left.\n',
      stderr: /writ operators code bob/,
    })
  })
})
