import fc from 'fast-check'
import t from 'tap'
import {
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
  signCheckpoint,
} from '../../../server/audit/merkle/checkpoint.js'
import { MAX_SIZE } from '../../../server/audit/merkle/hash.js'
import { generateSignerKey, parseSignerKey, parseVerifierKey } from '../../../server/audit/merkle/keys.js'
import { signNote } from '../../../server/audit/merkle/note.js'
import { checkpointOf, keys, leafOf, ORIGIN, refusal, signer } from './support.js'

const ROOT = leafOf(Buffer.from('root'))
const TEXT = `${ORIGIN}\n7\n${ROOT.toString('base64')}\n`

t.test('the example of the specification is read and written', async (t) => {
  const text = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n'
  const found = parseCheckpoint(text)
  t.match(found, { origin: 'example.com/behind-the-sofa', size: 20_852_163, extensions: [] })
  t.equal(formatCheckpoint(found), text)
})

t.test('what is written is read back', async () => {
  const line = fc.stringMatching(/^[!-~][ -~]{0,30}$/)
  fc.assert(
    fc.property(
      line,
      fc.nat(MAX_SIZE),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.array(line),
      (origin, size, root, extensions) => {
        const text = formatCheckpoint({ origin, size, root: Buffer.from(root), extensions })
        const found = parseCheckpoint(text)
        return formatCheckpoint(found) === text && found.size === size && found.origin === origin
      },
    ),
  )
})

t.test('other forms are refused', async (t) => {
  const root = ROOT.toString('base64')
  const bad = [
    '',
    '\n',
    `${ORIGIN}\n7\n`,
    `${ORIGIN}\n7\n${root}`,
    `\n7\n${root}\n`,
    `${ORIGIN}\n7\n${root}\n\n`,
    `${ORIGIN}\n7\n${root}\n\nextension\n`,
    `${ORIGIN}\n7\n${root.slice(4)}\n`,
    `${ORIGIN}\n7\n${root.replace('=', '')}\n`,
    `${ORIGIN}\n7\n${root} \n`,
    `${ORIGIN}\n7\n${ROOT.toString('hex')}\n`,
    ...[
      '',
      '07',
      '+7',
      '-7',
      '7.0',
      '7e0',
      '0x7',
      ' 7',
      '7 ',
      '٧',
      'NaN',
      String(MAX_SIZE + 1),
      '9'.repeat(400),
    ].map((size) => `${ORIGIN}\n${size}\n${root}\n`),
  ]
  t.equal(
    refusal(() => parseCheckpoint(TEXT)),
    'passed',
  )
  for (const text of bad)
    t.equal(
      refusal(() => parseCheckpoint(text)),
      'checkpoint_malformed',
      JSON.stringify(text),
    )
  fc.assert(
    fc.property(fc.string(), (text) => refusal(() => parseCheckpoint(text)) === 'checkpoint_malformed'),
  )
  const base = { origin: ORIGIN, size: 7, root: ROOT, extensions: [] }
  t.equal(
    refusal(() => formatCheckpoint({ ...base, origin: '' })),
    'checkpoint_malformed',
  )
  t.equal(
    refusal(() => formatCheckpoint({ ...base, origin: 'a\nb' })),
    'checkpoint_malformed',
  )
  t.equal(
    refusal(() => formatCheckpoint({ ...base, extensions: [''] })),
    'checkpoint_malformed',
  )
  t.equal(
    refusal(() => formatCheckpoint({ ...base, size: -1 })),
    'size_range',
  )
  t.equal(
    refusal(() => formatCheckpoint({ ...base, root: ROOT.subarray(1) })),
    'hash_length',
  )
})

t.test('a key speaks only for the log it is named like', async (t) => {
  const other = parseSignerKey(generateSignerKey('other.example/log'))
  const known = [...keys, parseVerifierKey(other.verifierKey)]
  const open = (note: Buffer, origin?: string) => refusal(() => openCheckpoint(note, known, origin))
  t.equal(open(checkpointOf(ROOT, 7)), 'passed')
  t.equal(open(checkpointOf(ROOT, 7), ORIGIN), 'passed')
  t.equal(open(checkpointOf(ROOT, 7), 'other.example/log'), 'origin_mismatch')
  t.equal(open(signNote(TEXT, [other])), 'origin_mismatch', 'known, but of another log')
  t.equal(open(signNote(TEXT, [other, signer])), 'passed', 'both')
  t.equal(open(signNote('text\n', [signer])), 'checkpoint_malformed')
  const checkpoint = { origin: ORIGIN, size: 7, root: ROOT, extensions: [] }
  t.equal(
    refusal(() => signCheckpoint(checkpoint, [other])),
    'origin_mismatch',
  )
})
