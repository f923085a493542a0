import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { type InputProblem, listTrailFiles, readTrailFile } from '../../../server/audit/reconcile/files.js'

function folder(t: Test, files: Readonly<Record<string, string | Buffer>>): string {
  const root = mkdtempSync(join(tmpdir(), 'writ-trail-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), content)
  }
  return root
}

async function read(file: string) {
  const records: unknown[] = []
  const places: (number | undefined)[] = []
  const problems: InputProblem[] = []
  const { digest } = await readTrailFile(
    file,
    (value, place) => {
      records.push(value)
      places.push(place.record)
    },
    (problem) => problems.push(problem),
  )
  return { records, places, problems, digest }
}

const TWO = [{ eventID: 'a' }, { eventID: 'b' }]
const LINES = '{"eventID":"a"}\r\n\n{"eventID":"b"}'

t.test('every form there is', async (t) => {
  const forms: Readonly<Record<string, string | Buffer>> = {
    'delivered.json.gz': gzipSync(JSON.stringify({ Records: TWO })),
    'unpacked-by-a-browser.json.gz': JSON.stringify({ Records: TWO }),
    'plain.json': JSON.stringify({ Records: TWO }, null, 2),
    'zipped-without-saying.json': gzipSync(JSON.stringify({ Records: TWO })),
    'list.json': JSON.stringify(TWO),
    'lines.ndjson': LINES,
    'lines.jsonl': LINES,
    'lines.ndjson.gz': gzipSync(LINES),
    'lines.json': LINES,
    'lines.json.gz': gzipSync(LINES),
    'members.json.gz': Buffer.concat([
      gzipSync('{"Records":[{"eventID":"a"},'),
      gzipSync('{"eventID":"b"}]}'),
    ]),
  }
  const root = folder(t, forms)
  for (const name of Object.keys(forms)) {
    const { records, problems } = await read(join(root, name))
    t.strictSame(records, TWO, name)
    t.strictSame(problems, [], name)
  }
  t.strictSame((await read(join(root, 'lines.ndjson'))).places, [1, 3], 'lines are counted with empty ones')
})

t.test('what cannot be read is named, and what could be is kept', async (t) => {
  const whole = gzipSync(`${JSON.stringify({ Records: TWO })}${' '.repeat(50_000)}`, { level: 0 })
  const lines = gzipSync(`${LINES}\n${'{"eventID":"c"}\n'.repeat(5000)}`, { level: 0 })
  const root = folder(t, {
    'cut.json.gz': whole.subarray(0, whole.length - 20_000),
    'cut.ndjson.gz': lines.subarray(0, lines.length - 20_000),
    'cut.json': '{"Records":[{"eventID":"a"}',
    'cut.ndjson': '{"eventID":"a"}\n{"eventID":',
    'garbage.json.gz': Buffer.from([0x1f, 0x8b, 1, 2, 3]),
    'empty.json': '',
    'empty.json.gz': gzipSync(''),
    'bytes.json': Buffer.from([0x22, 0xff, 0xfe, 0x22]),
    'bytes.ndjson': Buffer.from([0x22, 0xff, 0xfe, 0x22]),
    'endless.ndjson': `"${'x'.repeat(17 * 1024 * 1024)}"`,
  })
  for (const name of [
    'cut.json.gz',
    'cut.json',
    'garbage.json.gz',
    'empty.json',
    'empty.json.gz',
    'bytes.json',
    'bytes.ndjson',
  ]) {
    const { records, problems } = await read(join(root, name))
    t.equal(records.length, 0, name)
    t.match(problems, [{ file: join(root, name), problem: String }], name)
  }
  const { records, problems } = await read(join(root, 'cut.ndjson'))
  t.strictSame(records, [{ eventID: 'a' }])
  t.strictSame(problems, [{ file: join(root, 'cut.ndjson'), record: 2, problem: 'it is not JSON' }])
  const cut = await read(join(root, 'cut.ndjson.gz'))
  t.match(cut.problems.at(-1), { problem: /it cannot be read \(Z_BUF_ERROR\)/ }, 'a cut gzip stream')
  const endless = await read(join(root, 'endless.ndjson'))
  t.match(endless.problems, [{ problem: /line of more than/ }])
  t.match((await read(join(root, 'none.json'))).problems, [{ problem: 'it cannot be read (ENOENT)' }])
})

t.test('a `Records` that is no list reaches the reader of records', async (t) => {
  const root = folder(t, { 'odd.json': '{"Records":{"eventID":"a"}}', 'null.json': 'null' })
  t.strictSame((await read(join(root, 'odd.json'))).records, [{ Records: { eventID: 'a' } }])
  t.strictSame((await read(join(root, 'null.json'))).records, [null])
})

t.test('folders', async (t) => {
  const root = folder(t, {
    'AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/25/b.json.gz': '{"Records":[]}',
    'AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/25/a.json.gz': '{"Records":[]}',
    'AWSLogs/111122223333/CloudTrail-Digest/d.json.gz': gzipSync('{"digestStartTime":"x","logFiles":[]}'),
    'notes.txt': 'not a log',
    'odd.log': '{}',
  })
  symlinkSync('.', join(root, 'AWSLogs/around'))
  symlinkSync('nowhere', join(root, 'broken.json'))
  const found = await listTrailFiles([root, join(root, 'AWSLogs'), join(root, 'odd.log')])
  t.strictSame(
    found.files.map((file) => file.slice(root.length + 1)),
    [
      'AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/25/a.json.gz',
      'AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/25/b.json.gz',
      'AWSLogs/111122223333/CloudTrail-Digest/d.json.gz',
      'odd.log',
    ],
    'each once, and what was named whatever it is called',
  )
  t.strictSame(
    found.skipped.map((file) => file.slice(root.length + 1)),
    ['notes.txt', 'odd.log'],
  )
  t.match(found.problems, [{ file: join(root, 'broken.json'), problem: /ENOENT/ }])
  t.equal((await read(join(root, 'AWSLogs/111122223333/CloudTrail-Digest/d.json.gz'))).digest, true)
  t.match((await listTrailFiles(['/nonexistent/trail'])).problems, [{ problem: /ENOENT/ }])
})
