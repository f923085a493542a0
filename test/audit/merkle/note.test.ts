import fc from 'fast-check'
import t from 'tap'
import { generateSignerKey, parseSignerKey, parseVerifierKey } from '../../../server/audit/merkle/keys.js'
import { openNote, signNote } from '../../../server/audit/merkle/note.js'
import { keys, ORIGIN, refusal, signer } from './support.js'

/** The example of the specification, C2SP signed-note. */
const EXAMPLE_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'
const EXAMPLE =
  'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n'

const open = (note: string | Buffer, known = keys) => openNote(Buffer.from(note), known)
const code = (note: string | Buffer, known = keys) => refusal(() => open(note, known))
const other = parseSignerKey(generateSignerKey('other.example/log'))
const rotated = parseSignerKey(generateSignerKey(ORIGIN))

t.test('the example of the specification verifies', async (t) => {
  const key = parseVerifierKey(EXAMPLE_KEY)
  t.equal(open(EXAMPLE, [key]).text, 'This is an example message.\n')
  t.equal(code(EXAMPLE.replace('an', 'no'), [key]), 'signature_invalid')
  t.equal(code(EXAMPLE), 'key_unknown')
})

t.test('the key of Go’s package note signs as it does there', async (t) => {
  // golang.org/x/mod/sumdb/note, its documented example.
  const bob = parseSignerKey('PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz')
  t.equal(bob.verifierKey, 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')
  const text =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
  t.equal(
    signNote(text, [bob]).toString(),
    `${text}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`,
  )
})

t.test('what is signed opens, whatever the text', async () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => !/\p{Cc}/u.test(text))
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 6 }), (lines) => {
      const text = `${lines.join('\n')}\n`
      return open(signNote(text, [signer])).text === text
    }),
  )
})

t.test('no byte of a note can be changed, dropped or doubled', async (t) => {
  const note = signNote('text\n\n— not a signature\nmore\n', [signer])
  t.equal(code(note), 'passed')
  for (let at = 0; at < note.length; at++) {
    for (const bit of [1, 0x20, 0x80]) {
      const turned = Buffer.from(note)
      turned[at] = (turned[at] ?? 0) ^ bit
      if (code(turned) === 'passed') t.fail(`byte ${at} ^ ${bit}`)
    }
    const rest = note.subarray(at + 1)
    if (code(Buffer.concat([note.subarray(0, at), rest])) === 'passed') t.fail(`without byte ${at}`)
    if (code(Buffer.concat([note.subarray(0, at + 1), note.subarray(at)])) === 'passed') t.fail(`twice ${at}`)
    if (code(note.subarray(0, at)) === 'passed') t.fail(`cut at ${at}`)
  }
})

t.test('unknown keys are ignored, known ones must all verify', async (t) => {
  const known = [...keys, parseVerifierKey(rotated.verifierKey)]
  const both = signNote('text\n', [other, rotated, signer])
  t.same(
    open(both, known).signedBy.map(({ id }) => id),
    [rotated.id, signer.id],
  )
  t.same(
    open(both).signedBy.map(({ id }) => id),
    [signer.id],
    'a witness and the next key do not disturb',
  )
  t.equal(code(both, [parseVerifierKey(other.verifierKey)]), 'passed')
  t.equal(code(signNote('text\n', [other])), 'key_unknown')
  t.equal(code(both, []), 'key_unknown')
  const [first = '', ...lines] = signNote('text\n', [signer, rotated]).toString().split('\n')
  const wrong = signNote('TEXT\n', [signer, rotated]).toString().split('\n')
  t.equal(
    code([first, '', lines[1], wrong[3], ''].join('\n'), known),
    'signature_invalid',
    'one of two is bad',
  )
  t.equal(code([first, '', lines[1], wrong[3], ''].join('\n')), 'passed', 'and is ignored when unknown')
  t.equal(code([first, '', lines[1], lines[1], ''].join('\n')), 'signature_repeated')
  t.equal(code(both, [...keys, ...keys]), 'key_malformed', 'one key twice')
})

t.test('a key with the same name or the same id is another key', async (t) => {
  const note = signNote('text\n', [signer]).toString()
  t.equal(code(note.replace(`— ${ORIGIN} `, '— elsewhere ')), 'key_unknown')
  const [, line = ''] = /— \S+ (\S+)/.exec(note) ?? []
  const bytes = Buffer.from(line, 'base64')
  bytes[0] = (bytes[0] ?? 0) ^ 1
  t.equal(code(note.replace(line, bytes.toString('base64'))), 'key_unknown')
})

t.test('malformed notes are refused', async (t) => {
  const good = signNote('text\n', [signer]).toString()
  const sign = good.slice(good.indexOf('—'))
  const bad: Readonly<Record<string, string | Buffer>> = {
    empty: '',
    'text only': 'text\n',
    'no empty line': `text\n${sign}`,
    'no signature': 'text\n\n',
    'no last newline': good.slice(0, -1),
    'no last newline behind two': `${good}— x AAAAAAAA`,
    'text without newline': sign,
    'carriage returns': good.replaceAll('\n', '\r\n'),
    'a NUL': good.replace('e', '\0'),
    'a tab': good.replace('e', '\t'),
    'a hyphen for the dash': good.replace('—', '-'),
    'two spaces': good.replace('— ', '—  '),
    'three fields': good.replace(/\n$/, ' x\n'),
    'a plus in a name': `${good}— a+b AAAAAAAA\n`,
    'a Unicode space in a name': `${good}— a\u00a0b AAAAAAAA\n`,
    'an empty name': `${good}—  AAAAAAAA\n`,
    'an unknown signature without bytes': `${good}— x AAAAAA==\n`,
    'an unknown signature in loose base64': `${good}— x AAAAAAB=\n`,
    base64url: `${good}— x AAAAAAA_\n`,
    'an empty signature line': `${good}\n`,
    'not UTF-8': Buffer.concat([Buffer.from([0xff]), Buffer.from(good)]),
    'a surrogate in UTF-8': Buffer.concat([Buffer.from([0xed, 0xa0, 0x80]), Buffer.from(good)]),
  }
  for (const [name, note] of Object.entries(bad)) t.equal(code(note), 'note_malformed', name)
  for (const length of [1, 63, 65, 5_000]) {
    const odd = Buffer.concat([Buffer.from(signer.id, 'hex'), Buffer.alloc(length)]).toString('base64')
    t.equal(code(`text\n\n— ${ORIGIN} ${odd}\n`), 'signature_invalid', `${length} bytes`)
  }
})

t.test('sizes are bounded, above what the specification asks for', async (t) => {
  const witness = (i: number) => `— witness${i} ${Buffer.alloc(5_000, i).toString('base64')}\n`
  const note = signNote('text\n', [signer]).toString()
  const many = (n: number) => note + Array.from({ length: n }, (_, i) => witness(i)).join('')
  t.equal(code(many(16)), 'passed')
  t.equal(code(many(99)), 'passed')
  t.equal(code(many(100)), 'note_too_large')
  t.equal(code(`${'x'.repeat(1_000_000)}${note}`), 'note_too_large')
})

t.test('random bytes and cut notes give typed errors only', async () => {
  const note = signNote('text\n', [signer, other])
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(note.length),
      fc.nat(note.length),
      (noise, a, b) => {
        const spliced = Buffer.concat([note.subarray(0, a), noise, note.subarray(b)])
        return (
          code(Buffer.from(noise)) !== 'passed' && (code(spliced) !== 'passed' || spliced.includes(signLine))
        )
      },
    ),
    { numRuns: 500 },
  )
})
const signLine = signNote('text\n', [signer]).subarray('text\n\n'.length)

t.test('text that cannot be a note is not signed', async (t) => {
  for (const text of ['', 'no newline', 'a\tb\n', 'a\r\n', '\0\n', 'lone \ud800\n']) {
    t.equal(
      refusal(() => signNote(text, [signer])),
      'note_malformed',
      JSON.stringify(text),
    )
  }
  t.equal(
    refusal(() => signNote('text\n', [])),
    'note_malformed',
  )
})

t.test('keys are read in one form only, and secret ones never quoted', async (t) => {
  const secret = generateSignerKey('a.example/log')
  const verifier = parseSignerKey(secret).verifierKey
  t.equal(parseVerifierKey(verifier).id, parseSignerKey(secret).id)
  const name = (key: string, to: string) => key.replace('a.example/log', to)
  const bad = [
    '',
    '++',
    name(verifier, 'b.example/log'),
    name(verifier, ''),
    name(verifier, 'a b'),
    name(verifier, 'a\nb'),
    verifier.toUpperCase(),
    `${verifier}A`,
    `${verifier} `,
    verifier.slice(0, -4),
    verifier.replace(/\+[0-9a-f]{8}\+/, '+00000000+'),
    verifier.replace(/\+A/, '+B'),
    secret,
  ]
  for (const text of bad)
    t.equal(
      refusal(() => parseVerifierKey(text)),
      'key_malformed',
      text,
    )
  for (const text of [verifier, name(secret, 'x'), secret.slice(1), secret.slice(0, -4), `${secret}=`]) {
    t.equal(
      refusal(() => parseSignerKey(text)),
      'key_malformed',
    )
    const seed = secret.split('+').slice(4).join('+')
    const said = (error: unknown) => (error instanceof Error ? String(error.stack) : '')
    try {
      parseSignerKey(text)
    } catch (error) {
      t.notOk(said(error).includes(seed.slice(4, 20)) || said(error) === '')
    }
  }
  for (const text of ['', 'a b', 'a+b', 'a\u2003b', 'a\0b']) {
    t.equal(
      refusal(() => generateSignerKey(text)),
      'key_malformed',
      JSON.stringify(text),
    )
  }
  fc.assert(fc.property(fc.string(), (text) => refusal(() => parseVerifierKey(text)) === 'key_malformed'))
})
