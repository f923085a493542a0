import fc from 'fast-check'
import t from 'tap'
import { PROOF_ERRORS } from '../../../server/audit/merkle/error.js'
import { inclusionProof } from '../../../server/audit/merkle/proof.js'
import { tileHashes } from '../../../server/audit/merkle/tiles.js'
import { formatProof, parseProof } from '../../../server/audit/merkle/tlog-proof.js'
import { verifyProof } from '../../../server/audit/verify/proof.js'
import {
  bodies,
  bodyOf,
  checkpointOf,
  keys,
  leafOf,
  publish,
  readFiles,
  refusal,
  treeHash,
} from './support.js'

const SIZE = 300
const entries = bodies(SIZE)
const files = await publish(entries, [SIZE])
const checkpoint = files.get('checkpoint') ?? Buffer.alloc(0)

async function proofOf(index: number): Promise<Buffer> {
  const path = await inclusionProof(index, SIZE, tileHashes(readFiles(files), SIZE))
  return formatProof({ extra: entries[index] ?? Buffer.alloc(0), index, path, checkpoint })
}
const code = (document: string | Buffer, known = keys, origin?: string) =>
  refusal(() => verifyProof(Buffer.from(document), known, { origin }))

t.test('every entry has a proof that verifies alone', async (t) => {
  for (let index = 0; index < SIZE; index += 13) {
    const document = await proofOf(index)
    const found = verifyProof(document, keys)
    t.match(found, { index, size: SIZE, body: entries[index], entry: { kind: 'issuance.intended', index } })
    t.same(formatProof(parseProof(document)), document)
  }
  t.equal(code(await proofOf(5), []), 'key_unknown')
  t.equal(code(await proofOf(5), keys, 'another'), 'origin_mismatch')
})

t.test('no byte of a proof can be changed, dropped or doubled', async (t) => {
  const document = await proofOf(SIZE - 1)
  for (let at = 0; at < document.length; at++) {
    for (const bit of [1, 4, 0x80]) {
      const turned = Buffer.from(document)
      turned[at] = (turned[at] ?? 0) ^ bit
      if (code(turned) === 'passed') t.fail(`byte ${at} ^ ${bit}`)
    }
    const [before, after] = [document.subarray(0, at), document.subarray(at + 1)]
    if (code(Buffer.concat([before, after])) === 'passed') t.fail(`without byte ${at}`)
    if (code(Buffer.concat([before, document.subarray(at, at + 1), document.subarray(at)])) === 'passed') {
      t.fail(`byte ${at} twice`)
    }
    if (code(before) === 'passed') t.fail(`cut at ${at}`)
  }
})

t.test('lines swapped, dropped, doubled or put in are refused', async (t) => {
  const lines = (await proofOf(100)).toString().split('\n')
  const hash = leafOf(Buffer.from('x')).toString('base64')
  for (let i = 0; i < lines.length - 1; i++) {
    for (let j = i + 1; j < lines.length - 1; j++) {
      if (lines[i] === lines[j]) continue
      const swapped = lines.with(i, lines[j] ?? '').with(j, lines[i] ?? '')
      if (code(swapped.join('\n')) === 'passed') t.fail(`lines ${i} and ${j} swapped`)
    }
    if (code(lines.toSpliced(i, 1).join('\n')) === 'passed') t.fail(`without line ${i}`)
    if (code(lines.toSpliced(i, 0, lines[i] ?? '').join('\n')) === 'passed') t.fail(`line ${i} twice`)
    for (const line of [hash, '', 'extra ', 'index 100', `extra ${hash}`]) {
      if (code(lines.toSpliced(i, 0, line).join('\n')) === 'passed') t.fail(`${line} before line ${i}`)
    }
  }
})

t.test('each kind of wrong document has its code', async (t) => {
  const text = (await proofOf(100)).toString()
  const replace = (from: string | RegExp, to: string) => code(text.replace(from, to))
  t.equal(code(''), 'proof_malformed')
  t.equal(replace('@v1', '@v2'), 'proof_version')
  t.equal(replace('c2sp.org', 'example.com'), 'proof_malformed')
  t.equal(replace(/extra .*\n/, ''), 'proof_malformed', 'no entry')
  t.equal(replace(/extra .*\n/, 'extra ?\n'), 'proof_malformed')
  t.equal(replace(/extra .*\n/, `extra ${bodyOf(101).toString('base64')}\n`), 'root_mismatch')
  t.equal(replace('index 100', 'index 101'), 'root_mismatch')
  t.equal(replace('index 100', 'index 299'), 'proof_length')
  t.equal(replace('index 100', 'index 300'), 'index_range')
  for (const index of [
    '-1',
    '0100',
    '1e2',
    '',
    '9007199254740993',
    '18446744073709551616',
    '9'.repeat(999),
  ]) {
    t.equal(replace('index 100', `index ${index}`), 'proof_malformed', index)
  }
  const hash = leafOf(Buffer.from('x')).toString('base64')
  t.equal(replace('index 100', `index 100${`\n${hash}`.repeat(40)}`), 'proof_length')
  t.equal(replace('\n\n', `\n${hash.slice(4)}\n\n`), 'proof_malformed')
  const parse = (from: string | RegExp, to: string) =>
    refusal(() => parseProof(Buffer.from(text.replace(from, to))))
  t.equal(parse(/extra .*\n/, ''), 'passed', 'well-formed, but not alone a proof')
  t.equal(parse(/extra .*\n/, 'extra ?\n'), 'proof_malformed')
  t.equal(parse('index 100', `index 100${`\n${hash}`.repeat(40)}`), 'proof_length')
  const witness = (name: Buffer) =>
    Buffer.concat([Buffer.from(`${text}— `), name, Buffer.from(' AAAAAAAA\n')])
  t.equal(code(witness(Buffer.from('ü'))), 'passed', 'an unknown signature')
  t.equal(code(witness(Buffer.from([0xff]))), 'proof_malformed')
  t.equal(code(`${text}${'x'.repeat(1_300_000)}`), 'proof_malformed')
  t.equal(code(text.slice(0, text.indexOf('\n\n') + 2)), 'note_malformed')
})

t.test('the proof of another tree is not that of this one', async (t) => {
  const leaves = entries.slice(0, 7).map(leafOf)
  const { path } = parseProof(await proofOf(3))
  const smaller = formatProof({
    extra: bodyOf(3),
    index: 3,
    path: path.slice(0, 3),
    checkpoint: checkpointOf(treeHash(leaves), 7),
  })
  t.equal(code(smaller), 'root_mismatch')
  const empty = formatProof({
    extra: bodyOf(0),
    index: 0,
    path: [],
    checkpoint: checkpointOf(treeHash([]), 0),
  })
  t.equal(code(empty), 'size_range')
})

t.test('the entry itself must be one of its position', async (t) => {
  const alone = (body: Buffer) =>
    code(formatProof({ extra: body, index: 0, path: [], checkpoint: checkpointOf(leafOf(body), 1) }))
  t.equal(alone(bodyOf(0)), 'passed')
  t.equal(alone(bodyOf(1)), 'entry_index')
  t.equal(alone(bodyOf(0, { v: 3 })), 'entry_version')
  t.equal(alone(Buffer.from('{')), 'entry_malformed')
})

t.test('what cannot be a proof is not written', async (t) => {
  const good = { index: 0, path: [], checkpoint }
  t.equal(
    refusal(() => formatProof({ ...good, index: -1 })),
    'index_range',
  )
  t.equal(
    refusal(() => formatProof({ ...good, path: [Buffer.alloc(31)] })),
    'hash_length',
  )
  t.equal(
    refusal(() => formatProof({ ...good, path: Array(49).fill(Buffer.alloc(32)) })),
    'proof_length',
  )
  t.equal(
    refusal(() => formatProof({ ...good, extra: Buffer.alloc(65_536) })),
    'entry_too_large',
  )
})

t.test('random bytes give typed errors only', async () => {
  const document = await proofOf(7)
  const any = fc.oneof(
    fc.string(),
    fc.string().map((text) => `c2sp.org/tlog-proof@v1\n${text}`),
  )
  fc.assert(
    fc.property(any, (text) => code(text) in PROOF_ERRORS),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), fc.nat(document.length - 1), (noise, at) => {
      const put = Buffer.concat([document.subarray(0, at), noise, document.subarray(at)])
      return code(put) in PROOF_ERRORS
    }),
    { numRuns: 300 },
  )
})
