import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Command } from 'commander'
import t, { type Test } from 'tap'
import { CLIENT_VARIABLES } from '../cli/environment.js'
import { buildProgram } from '../cli/program.js'
import { BODIES } from '../server/audit/bodies/registry.js'
import { ERRORS } from '../server/errors.js'
import { packageRoot } from '../server/paths.js'
import { renewPage } from '../server/policy/reference.js'
import { describeSettings } from '../server/settings.js'
import { startTestBroker } from './support/broker.js'
import { calls, errorParts, httpParts, type OpenApi, settingParts } from './support/docs.js'
import { entryParts } from './support/entries-docs.js'

/** Run with `--write` to renew the generated parts instead of comparing with them. */
const WRITE = process.argv.includes('--write')
const ROOT = packageRoot()
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

async function renewed(t: Test, file: string, parts: Readonly<Record<string, string>>): Promise<void> {
  const old = read(file)
  for (const part of Object.keys(parts)) t.ok(old.includes(`<!-- generated: ${part} -->`), `${file}: ${part}`)
  const page = renewPage(old, parts)
  if (WRITE) await writeFile(join(ROOT, file), page)
  else t.equal(old, page, `${file} is stale: run this test with --write after a build`)
}

t.test('every route is on its page', async (t) => {
  const broker = await startTestBroker(t)
  const { body } = await broker.call('GET', '/openapi.json')
  const api = body as OpenApi
  await renewed(t, 'docs/http.md', httpParts(api))
  const page = read('docs/http.md')
  t.ok(calls(api).length >= 17)
  for (const { name } of calls(api)) t.ok(page.includes(`### ${name}\n`), name)
})

t.test('every error code and every setting is on its page', async (t) => {
  await renewed(t, 'docs/errors.md', errorParts())
  await renewed(t, 'docs/settings.md', settingParts())
  const errors = read('docs/errors.md')
  for (const code of Object.keys(ERRORS)) t.ok(errors.includes(`| \`${code}\` |`), code)
  const settings = read('docs/settings.md')
  for (const { name } of describeSettings()) t.ok(settings.includes(`\`${name}\``), name)
})

t.test('every kind of entry is on its page', async (t) => {
  await renewed(t, 'docs/log-entries.md', entryParts())
  const page = read('docs/log-entries.md')
  for (const kind of Object.keys(BODIES)) t.ok(page.includes(`### ${kind}\n`), kind)
})

t.test('operations says what to do about every 503', async (t) => {
  const page = read('docs/operations.md')
  for (const [code, { status }] of Object.entries(ERRORS)) {
    if (status === 503) t.ok(page.includes(`| \`${code}\` |`), code)
  }
})

/** `writ grants approve`, …: every verb that does something itself. */
function verbs(command: Command, before = 'writ'): readonly string[] {
  return command.commands
    .filter((child) => child.name() !== 'help')
    .flatMap((child) => {
      const name = `${before} ${child.name()}`
      if (child.commands.length === 0) return [name]
      // `create` and `list` that a verb does by itself are documented as that verb.
      const byItself = child.commands.filter((one) => isDefault(child, one)).length > 0
      const below = verbs(child, name).filter(
        (verb) => !child.commands.some((one) => isDefault(child, one) && verb === `${name} ${one.name()}`),
      )
      return byItself ? [name, ...below] : below
    })
}

const isDefault = (parent: Command, child: Command): boolean =>
  '_defaultCommandName' in parent && parent._defaultCommandName === child.name()

t.test('every verb and every variable of the command line is on its page', async (t) => {
  const page = read('docs/cli.md')
  const all = verbs(await buildProgram())
  t.ok(all.includes('writ grants approve') && all.includes('writ request') && all.length >= 20)
  for (const verb of all) t.match(page, new RegExp(`\`${verb}[ \`]`), verb)
  for (const name of CLIENT_VARIABLES.flatMap(([names]) => names.split(', '))) t.ok(page.includes(name), name)
  for (const [, verb = ''] of pages().flatMap((file) => [
    ...read(file).matchAll(/^ *(?:npx )?writ (\w[\w-]*)/gm),
  ])) {
    t.ok(all.some((one) => one.startsWith(`writ ${verb}`)) || verb === 'help', `writ ${verb} exists`)
  }
})

const pages = (): readonly string[] => [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  'policies/README.md',
]

/** The anchors that GitHub gives a page's headings. */
const anchorsOf = (page: string): ReadonlySet<string> =>
  new Set(
    [...withoutCode(page).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )

const withoutCode = (page: string): string => page.replace(/^```[\s\S]*?^```/gm, '')

t.test('relative links lead somewhere', async (t) => {
  let count = 0
  for (const file of pages()) {
    const targets = [...withoutCode(read(file)).matchAll(/\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"/g)]
    for (const [, link, source] of targets) {
      const target = link ?? source ?? ''
      if (/^(https?|mailto):/.test(target)) continue
      count++
      const [path = '', anchor] = target.split('#')
      const at = path === '' ? join(ROOT, file) : resolve(ROOT, dirname(file), path)
      t.ok(existsSync(at), `${file}: ${target}`)
      if (anchor === undefined || !existsSync(at) || !statSync(at).isFile()) continue
      t.ok(anchorsOf(readFileSync(at, 'utf8')).has(anchor), `${file}: ${target}`)
    }
  }
  t.ok(count > 30)
})

t.test('files and tests that the documents name exist', async (t) => {
  for (const file of pages()) {
    for (const [, path = ''] of read(file).matchAll(
      /`((?:server|cli|test|local-aws|migrations|policies|docker|bench)\/[\w./-]+)`/g,
    )) {
      t.ok(existsSync(join(ROOT, path)), `${file}: ${path}`)
    }
  }
})

/** The commands of README's blocks that are marked `<!-- runnable: name -->`, by name. */
const runnable = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...read('README.md').matchAll(/<!-- runnable: ([\w-]+) -->\n```sh\n([\s\S]*?)```/g)].map(
      ([, name = '', text = '']) => [name, text],
    ),
  )

interface Said {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A broker started as README says, and a shell beside it in which `npx writ` is the command under test. */
async function beside(t: Test): Promise<(script: string) => Promise<Said>> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-readme-'))
  const main = resolve(dirname(fileURLToPath(import.meta.url)), '../cli/main.js')
  const launcher = join(folder, 'writ.mjs')
  await writeFile(
    launcher,
    `await (await import(${JSON.stringify(pathToFileURL(main).href)})).main(process.argv.slice(2))\n`,
  )
  const npx = join(folder, 'npx')
  await writeFile(
    npx,
    `#!/bin/sh\n[ "$1" = writ ] && shift && exec "${process.execPath}" "${launcher}" "$@"\nexit 127\n`,
  )
  await chmod(npx, 0o755)
  const inherited = Object.entries(process.env).filter(([name]) => !/^(AWS|WRIT|NODE_ENV)/.test(name))
  const env = {
    ...Object.fromEntries(inherited),
    PATH: `${folder}:${process.env.PATH ?? ''}`,
    WRIT_DATA_DIR: join(folder, 'data'),
  }
  const broker = spawn(process.execPath, [launcher, 'serve'], {
    env: { ...env, WRIT_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((done) => broker.once('exit', done))
  t.teardown(async () => {
    broker.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true, force: true })
  })
  const port = await new Promise<string>((found, failed) => {
    createInterface({ input: broker.stdout }).on('line', (line) => {
      const url = /"url":"http:\/\/127\.0\.0\.1:(\d+)".*"msg":"listening"/.exec(line)?.[1]
      if (url !== undefined) found(url)
    })
    void ended.then(() => failed(new Error('the broker ended')))
  })
  return (script) =>
    new Promise((done) => {
      const shell = spawn('sh', ['-eu', '-c', script.replaceAll('8420', port)], { env, cwd: folder })
      let stdout = ''
      let stderr = ''
      shell.stdout.on('data', (text: Buffer) => {
        stdout += text.toString()
      })
      shell.stderr.on('data', (text: Buffer) => {
        stderr += text.toString()
      })
      shell.once('close', (code) => done({ code, stdout, stderr }))
    })
}

t.test('README’s first minutes work as printed', async (t) => {
  const { start, first, refused, granted } = runnable()
  t.equal(start, 'npm install && npm start\n')
  if (first === undefined || refused === undefined || granted === undefined) {
    throw new Error('README lacks a runnable block')
  }
  t.match(first, 'http://127.0.0.1:8420/v1/credentials')
  const sh = await beside(t)

  const got = await sh(first)
  t.equal(got.code, 0, got.stderr)
  t.match(JSON.parse(got.stdout), {
    agent: 'orders-coder',
    environment: 'development',
    scopes: ['orders:read'],
    credentials: { access_key_id: /^ASIA/, session_token: /./ },
    notice: /this machine only/,
  })

  // The second block goes on in the first one's terminal.
  const no = await sh(`${first.slice(0, first.indexOf('\n'))}\n${refused}`)
  t.match(JSON.parse(no.stdout), { status: 403, code: 'grant_required', grant_request: { uses: 1 } })

  const [ask = '', list = '', approve = '', use = '', ...rest] = granted.trimEnd().split('\n')
  t.same(rest, [])
  const asked = await sh(ask)
  t.match(asked, { code: 0, stdout: /pending/ }, asked.stderr)
  const pending = await sh(list)
  const id = /^([0-9a-z]{12}) +pending/m.exec(pending.stdout)?.[1]
  t.type(id, 'string')
  t.match(approve, / ID /)
  // On a terminal it asks; there is none here.
  const approved = await sh(`${approve.replace(' ID ', ` ${id} `)} --yes`)
  t.match(approved, { code: 0, stdout: /is granted: grant/ })
  const used = await sh(use)
  t.match(used, { code: 0, stdout: /export AWS_SESSION_TOKEN=/ }, used.stderr)
})
