import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { decisionCode } from '../../server/audit/proofs/decision-code.js'
import { SSH_NAMESPACE } from '../../server/audit/proofs/document.js'
import { type Behaviour, type SkOptions, softwareSk, writeSshKeygen } from '../support/software-sk.js'
import { ID, type Stage, stage } from './approve-broker.js'
import { command, installed, type Ran, run } from './support.js'

t.setTimeout(120_000)

const CODE = decisionCode({
  id: ID,
  permissions_sha256: 'a'.repeat(64),
  policy_digest: `sha256:${'b'.repeat(64)}`,
})

interface Desk {
  readonly folder: string
  readonly broker: Stage
  readonly key: string
  readonly keyId: string
  /** On a terminal, where this is typed, or nothing; what is on both streams is in `stdout`. */
  readonly types: (typed: string | undefined, args: readonly string[], path?: string) => Promise<Ran>
  readonly piped: (args: readonly string[]) => Promise<Ran>
  readonly keyThat: (behaviour: Behaviour, options?: SkOptions) => string
  /** What ssh-keygen was called with last. */
  readonly called: () => { args: string[]; document: string; file: string } | undefined
}

/** An operator's desk: a terminal, a stand-in for ssh-keygen with a key, and a broker. */
async function desk(t: Test): Promise<Desk> {
  const { folder, launcher, writ } = command(t)
  const sk = softwareSk('ed25519')
  const broker = await stage(t, sk)
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  writeSshKeygen(bin)
  const key = sk.save(join(folder, 'id_sk'))
  const env = {
    PATH: `${bin}:${process.env.PATH}`,
    HOME: folder,
    WRIT_URL: broker.url,
    WRIT_OPERATOR_TOKEN: 'a.b.c',
  }
  const quoted = (args: readonly string[]) => args.map((one) => `'${one}'`).join(' ')
  return {
    folder,
    broker,
    key,
    keyId: sk.keyId,
    types: (typed, args, path = env.PATH) => {
      const line = quoted(['env', `PATH=${path}`, process.execPath, launcher, ...args])
      // What is typed waits in the terminal until it is asked for; util-linux's `script` waits for that too.
      const stdin = typed === undefined ? '</dev/null' : `<<END\n${typed}\nEND`
      const script = `script -qec "${line}" /dev/null ${stdin}`
      return run('sh', ['-c', script], { cwd: folder, env })
    },
    piped: (args) => writ(args, { env }),
    keyThat: (behaviour, options = {}) => sk.save(join(folder, `id_${behaviour}`), { ...options, behaviour }),
    called: () => {
      const path = join(bin, 'calls.json')
      return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined
    },
  }
}

t.test('on a terminal', async (t) => {
  if (!installed(t, 'script (util-linux)', 'script', ['--version'])) return

  await t.test('approve shows all of it, the sentence first, and signs exactly that', async (t) => {
    const { broker, types, key, keyId, called } = await desk(t)
    const ran = await types('orders-coder', ['approve', ID, '--key', key, '--comment', 'fine by me'])
    t.equal(ran.code, 0, ran.stdout)
    const said = ran.stdout.replaceAll('\r', '')
    const sentence =
      'orders-coder, acting for "dana@example.com" (says the agent itself, unproven), will be able to use ' +
      's3:PutObject on arn:aws:s3:::orders-production/*, in account 111122223333 (production, tier production), ' +
      'in up to 2 sessions of at most 15 min, begun within 1 h of the approval.'
    t.ok(said.includes(sentence), said)
    t.ok(said.indexOf(sentence) < said.indexOf('May then:'), 'before all else')
    t.match(said, /bob, you are about to approve:/)
    t.match(
      said,
      /Written by the agent, and checked by nobody:\n {2}reason: "correct order 7\\u001b\[2K\\u\{202e\} and/,
    )
    for (const control of ['\u202e', '\u001b[2K', '\u001b[31m']) {
      t.notOk(said.includes(control), 'neither the agent nor ssh-keygen moves this terminal')
    }
    for (const shown of [/Signed for: +https:\/\/writ\.example\.com/, /Your comment: +"fine by me"/, CODE])
      t.match(said, shown)
    t.match(said, /Request 0123456789ab is granted: grant gggggggggggg\./)

    const { args, document, file } = called() ?? { args: [], document: '', file: '' }
    t.strictSame(args, ['-q', '-Y', 'sign', '-f', key, '-n', SSH_NAMESPACE, file])
    t.strictSame(JSON.parse(document), broker.decided[0]?.document, 'what was signed is what was sent')
    t.match(broker.asked[1], { body: { decision: 'approve', comment: 'fine by me' } })
    t.match(broker.asked[2], { body: { challenge: String, proof: { kind: 'ssh-sk', key_id: keyId } } })
    t.strictSame(Object.keys((broker.asked[2] as { body: object }).body), ['challenge', 'proof'])
    t.notOk(existsSync(dirname(file)), 'nothing is left on the disk')
  })

  await t.test('deny takes its own word; a key in ~/.ssh needs no --key', async (t) => {
    const { broker, types, folder, key } = await desk(t)
    mkdirSync(join(folder, '.ssh'))
    for (const end of ['', '.pub'])
      writeFileSync(join(folder, '.ssh', `mine${end}`), readFileSync(`${key}${end}`))
    writeFileSync(join(folder, '.ssh', 'a.pub'), softwareSk('ecdsa').publicKey)
    const ran = await types('deny', ['deny', ID])
    t.equal(ran.code, 0, ran.stdout)
    t.match(ran.stdout, /bob, you are about to deny:\s+orders-coder, .*, would be able to use/)
    t.match(ran.stdout, /Request 0123456789ab is denied\./)
    t.equal(broker.decided[0]?.document.decision, 'deny')
  })

  await t.test('not by Enter, nor by a yes', async (t) => {
    const { broker, types, key, called } = await desk(t)
    for (const typed of ['', 'yes']) {
      const ran = await types(typed, ['approve', ID, '--key', key])
      t.equal(ran.code, 2, `"${typed}"`)
      t.match(ran.stdout, /Nothing was decided/)
    }
    t.equal((await types('orders-coder', ['deny', ID, '--key', key])).code, 2)
    t.equal(called(), undefined, 'and the key was not asked')
    t.strictSame(broker.decided, [])
    t.equal((await types('x', ['approve', ID, '--key', key, '--yes'])).code, 2, 'there is no such option')
  })

  await t.test('what is to be signed is not what was shown', async (t) => {
    const { broker, types, key, called } = await desk(t)
    broker.change = { document: { permissions: [{ Effect: 'Allow', Action: '*', Resource: '*' }] } }
    const swapped = await types(undefined, ['approve', ID, '--key', key])
    t.equal(swapped.code, 7, swapped.stdout)
    t.match(swapped.stdout, /they differ in permissions\./)
    broker.change = { document: { also: 'grants everything' } }
    const strange = await types(undefined, ['approve', ID, '--key', key])
    t.equal(strange.code, 1)
    t.match(strange.stdout, /can show whole/)
    t.equal(called(), undefined, 'the key was asked for neither')
    t.strictSame(broker.decided, [])
  })

  await t.test('a key that does not sign', async (t) => {
    const { broker, types, keyThat, called } = await desk(t)
    const told: readonly [Behaviour, RegExp][] = [
      ['no-device', /not plugged in/],
      ['wrong-pin', /PIN was wrong/],
      ['no-touch', /was not touched/],
      ['rubbish', /left no signature/],
    ]
    for (const [behaviour, sentence] of told) {
      const ran = await types('orders-coder', ['approve', ID, '--key', keyThat(behaviour)])
      t.equal(ran.code, 1, behaviour)
      t.match(ran.stdout, sentence)
      t.match(ran.stdout, /Nothing was decided/)
      t.notOk(existsSync(dirname(called()?.file ?? '/')), 'nothing is left on the disk')
    }
    const times = { issued_at: '2026-01-01T10:00:00.000Z', expires_at: '2026-01-01T10:00:02.000Z' }
    broker.change = { document: times }
    const late = await types('orders-coder', ['approve', ID, '--key', keyThat('hang')])
    t.match(late.stdout, /Nobody signed in time/)
    t.equal(late.code, 1)
    broker.change = {}

    const untouched = await types('orders-coder', ['approve', ID, '--key', keyThat('sign', { flags: 0x04 })])
    t.equal(untouched.code, 3)
    t.match(untouched.stdout, /user presence is missing/)
    const unverified = await types('orders-coder', ['approve', ID, '--key', keyThat('sign', { flags: 0x01 })])
    t.match(unverified.stdout, /-O verify-required/)
    const swapped = await types('deny', ['deny', ID, '--key', keyThat('other-document')])
    t.match(swapped.stdout, /not over this document/, 'whatever swapped the file for another decision')
    const sent = broker.asked.filter((one) => /decisions$/.test((one as { path: string }).path))
    t.strictSame(sent, [], 'none of these left this machine')
  })

  await t.test('keys that will not do, and no ssh-keygen', async (t) => {
    const { broker, types, folder, key, called } = await desk(t)
    const other = softwareSk('ecdsa').save(join(folder, 'other'))
    const unknown = await types(undefined, ['approve', ID, '--key', other])
    t.equal(unknown.code, 3)
    t.match(unknown.stdout, /is not enrolled for bob/)
    t.match(unknown.stdout, /writ keys add --ssh/)
    writeFileSync(join(folder, 'plain.pub'), `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${'A'.repeat(43)} x`)
    const plain = await types(undefined, ['approve', ID, '--key', join(folder, 'plain')])
    t.equal(plain.code, 2)
    t.match(plain.stdout, /ssh-keygen -t ed25519-sk -O verify-required/)
    const none = await types(undefined, ['approve', ID, '--key', join(folder, 'none')])
    t.equal(none.code, 2)
    t.equal(called(), undefined)

    const missing = await types('orders-coder', ['approve', ID, '--key', key], folder)
    t.equal(missing.code, 1)
    t.match(missing.stdout, /ssh-keygen was not found/)
    broker.change = { refuse: { status: 403, code: 'approver_is_owner' } }
    const refused = await types(undefined, ['approve', ID, '--key', key])
    t.equal(refused.code, 3, 'what the broker refuses ends it before anything is signed')
    t.equal(called(), undefined)
  })
})

t.test('where the key is not', async (t) => {
  const link = `https://writ.example.com/console/requests/${ID}`

  await t.test('a link, and a code to compare', async (t) => {
    const { broker, piped, key } = await desk(t)
    const ran = await piped(['approve', ID])
    t.equal(ran.code, 4, 'a script that goes on after an approval does not go on')
    t.equal(
      ran.stdout,
      `Decide where your key is: ${link}\nCompare the code before you sign; the page must show the same: ${CODE}\n`,
    )
    const json = await piped(['deny', ID, '--json'])
    t.strictSame(json.json, { request: ID, link, code: CODE, state: 'pending' })

    const blind = await piped(['approve', ID, '--key', key])
    t.equal(blind.code, 2)
    t.match(blind.stderr, /There is no --yes for this/)
    const glass = await piped(['approve', ID, '--break-glass'])
    t.equal(glass.code, 2)
    t.match(glass.stderr, /--comment/)
    await piped(['approve', ID, '--break-glass', '--comment', 'down since three'])
    t.match(broker.asked.at(-1), {
      body: { decision: 'approve', break_glass: true, comment: 'down since three' },
    })
    t.equal((await piped(['deny', ID, '--break-glass', '--comment', 'x'])).code, 2)
    t.strictSame(broker.decided, [])

    broker.change = { refuse: { status: 403, code: 'key_unknown' } }
    const keyless = await piped(['approve', ID])
    t.equal(keyless.code, 4)
    t.match(
      keyless.stdout,
      broker.url.replace('127.0.0.1', 'localhost'),
      'the broker in use; pages are at localhost',
    )
    broker.change = { request: { state: 'denied' } }
    const over = await piped(['approve', ID])
    t.equal(over.code, 7)
    t.match(over.stderr, /is denied/)
    t.equal((await piped(['deny', ID, '--wait'])).code, 0, 'nothing to wait for')
  })

  await t.test('--wait until somebody decided there', async (t) => {
    /** Decides once the command has looked and found it pending. */
    const meanwhile = async (args: readonly string[], then: object): Promise<Ran> => {
      const { broker, piped } = await desk(t)
      const running = piped([...args, '--wait'])
      while (broker.asked.length < 3) await new Promise((done) => setTimeout(done, 20))
      broker.change = { request: then }
      return running
    }
    const by = (decision: string) => [
      { operator: 'bob', decision, at: '2026-01-01T10:01:00.000Z', comment: 'so' },
    ]
    const granted = { state: 'granted', grant_id: 'gggggggggggg', decisions: by('approve') }
    const denied = { state: 'denied', decisions: by('deny') }
    const [approved, notApproved, half, wasDenied, notDenied] = await Promise.all([
      meanwhile(['approve', ID], granted),
      meanwhile(['approve', ID, '--json'], denied),
      meanwhile(['approve', ID], { decisions: by('approve') }),
      meanwhile(['deny', ID], denied),
      meanwhile(['deny', ID], granted),
    ])
    t.equal(approved?.code, 0, approved?.stderr)
    t.match(approved?.stderr, link)
    t.match(approved?.stderr, CODE)
    t.match(approved?.stdout, /is granted \(approve by bob\)\. Grant gggggggggggg\./)
    t.equal(notApproved?.code, 4)
    t.match(notApproved?.json, { code: 'grant_request_denied' })
    t.equal(half?.code, 0, 'with a quorum of two, this was my part of it')
    t.match(half?.stdout, /is pending \(approve by bob\)\. Somebody else has to approve too\./)
    t.equal(wasDenied?.code, 0)
    t.equal(notDenied?.code, 7)
  })
})
