import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { signCheckpoint } from '../../server/audit/merkle/checkpoint.js'
import { foldPeaks, leafHash } from '../../server/audit/merkle/hash.js'
import { generateSignerKey, type NoteSigner, parseSignerKey } from '../../server/audit/merkle/keys.js'
import { inclusionProof } from '../../server/audit/merkle/proof.js'
import { formatProof } from '../../server/audit/merkle/tlog-proof.js'
import { ProofFailure, parseKey, parseProof, verifyEntry } from '../../web/browser/merkle.js'

const ORIGIN = 'log.example.com/writ'
const signer = parseSignerKey(generateSignerKey(ORIGIN))

const bodyOf = (index: number): string => JSON.stringify({ index, said: 'é — ‮', n: index * 7 })

/** Reads a tree over these bodies. */
function treeOf(bodies: readonly string[]) {
  const leaves = bodies.map((body) => leafHash(Buffer.from(body)))
  const read = async (level: number, index: number): Promise<Buffer> =>
    rootOver(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level))
  return { root: rootOver(leaves), read }
}

function rootOver(leaves: readonly Buffer[]): Buffer {
  const peaks: Buffer[] = []
  for (let at = 0; at < leaves.length; ) {
    let width = 1
    while (at + width * 2 <= leaves.length) width *= 2
    let level = leaves.slice(at, at + width)
    while (level.length > 1)
      level = level.flatMap((hash, n) => (n % 2 === 0 ? [foldPeaks([hash, level[n + 1] ?? hash])] : []))
    if (level[0] !== undefined) peaks.push(level[0])
    at += width
  }
  return foldPeaks(peaks)
}

async function proofOf(index: number, size: number, change: { root?: Buffer; by?: NoteSigner } = {}) {
  const { root, read } = treeOf(Array.from({ length: size }, (_, n) => bodyOf(n)))
  const by = change.by ?? signer
  const checkpoint = signCheckpoint({ origin: by.name, size, root: change.root ?? root, extensions: [] }, [
    by,
  ])
  const path = await inclusionProof(index, size, read)
  return formatProof({ extra: Buffer.from(bodyOf(index)), index, path, checkpoint }).toString('utf8')
}

const refuses = async (t: Test, attempt: Promise<unknown>, why: RegExp) => {
  await t.rejects(attempt, { name: 'ProofFailure', message: why })
}

t.test('a proof of every place in trees of many sizes verifies', async (t) => {
  const key = await parseKey(signer.verifierKey)
  for (const size of [1, 2, 3, 4, 7, 8, 9, 31, 33]) {
    for (let index = 0; index < size; index++) {
      const verified = await verifyEntry(await proofOf(index, size), key, { index, shown: bodyOf(index) })
      t.match(verified, { index, size, origin: ORIGIN, signature: 'verified' }, `${index} of ${size}`)
    }
  }
})

t.test('what a page shows may be spaced and ordered as it likes, and must say the same', async (t) => {
  const key = await parseKey(signer.verifierKey)
  const document = await proofOf(4, 6)
  const { index, said, n } = JSON.parse(bodyOf(4)) as { index: number; said: string; n: number }
  const shown = JSON.stringify({ said, n, index }, null, 2)
  t.match(await verifyEntry(document, key, { index: 4, shown }), { signature: 'verified' })
  for (const other of [
    { said, n, index, more: 1 },
    { said, n: String(n), index },
    { said, index },
    [said, n],
    {},
  ])
    await refuses(
      t,
      verifyEntry(document, key, { index: 4, shown: JSON.stringify(other) }),
      /not what the log has/,
    )
})

t.test('one byte of the entry, of the path, of the root or of the signature, and it fails', async (t) => {
  const key = await parseKey(signer.verifierKey)
  const document = await proofOf(5, 21)
  const tampered = bodyOf(5).replace('35', '36')
  await refuses(t, verifyEntry(document, key, { index: 5, shown: tampered }), /not what the log has/)

  const { path } = parseProof(document)
  const extra = Buffer.from(tampered).toString('base64')
  const other = document.replace(/^extra .*$/m, `extra ${extra}`)
  await refuses(t, verifyEntry(other, key, { index: 5, shown: tampered }), /another root/)

  for (const hash of path) {
    const line = Buffer.from(hash).toString('base64')
    const wrong = Buffer.from(hash)
    wrong[9] = (wrong[9] ?? 0) ^ 1
    const changed = document.replace(line, wrong.toString('base64'))
    await refuses(t, verifyEntry(changed, key, { index: 5 }), /another root/)
    await refuses(
      t,
      verifyEntry(document.replace(`${line}\n`, ''), key, { index: 5 }),
      /too short|another root/,
    )
  }
  const longer = document.replace('\n\n', `\n${randomBytes(32).toString('base64')}\n\n`)
  await refuses(t, verifyEntry(longer, key, { index: 5 }), /too long/)
  await refuses(t, verifyEntry(document, key, { index: 6 }), /of entry 5, not of 6/)

  const { root } = treeOf([bodyOf(0), tampered])
  await refuses(t, verifyEntry(await proofOf(5, 21, { root }), key, { index: 5 }), /another root/)
  // A whole other tree, honest in itself, under the signature of the first: the root in the note is swapped.
  const swapped = document.replace(
    treeOf(Array.from({ length: 21 }, (_, n) => bodyOf(n))).root.toString('base64'),
    root.toString('base64'),
  )
  await refuses(t, verifyEntry(swapped, key, { index: 5 }), /another root/)
  const signedElse = document.replace(`${ORIGIN}\n21\n`, `${ORIGIN}\n20\n`)
  await refuses(t, verifyEntry(signedElse, key, { index: 5 }), /./)
})

t.test('a tree made up whole fails at its signature', async (t) => {
  const key = await parseKey(signer.verifierKey)
  const honest = await proofOf(1, 3)
  const { read, root } = treeOf([bodyOf(0), 'forged', bodyOf(2)])
  const path = await inclusionProof(1, 3, read)
  const unsigned = formatProof({
    extra: Buffer.from('forged'),
    index: 1,
    path,
    checkpoint: Buffer.from(`${ORIGIN}\n3\n${root.toString('base64')}\n\n${honest.split('\n\n')[2]}`),
  }).toString('utf8')
  await refuses(t, verifyEntry(unsigned, key, { index: 1, shown: 'forged' }), /signature .* does not verify/)
})

t.test('a path that ends below the root proves nothing, whoever signed', async (t) => {
  const key = await parseKey(signer.verifierKey)
  const [left, right] = [leafHash(Buffer.from(bodyOf(0))), leafHash(Buffer.from(bodyOf(1)))]
  const checkpoint = signCheckpoint(
    { origin: ORIGIN, size: 4, root: foldPeaks([left, right]), extensions: [] },
    [signer],
  )
  const extra = Buffer.from(bodyOf(0))
  const document = formatProof({ extra, index: 0, path: [right], checkpoint }).toString('utf8')
  await refuses(t, verifyEntry(document, key, { index: 0 }), /too short/)
})

t.test('only the key of this very log counts', async (t) => {
  const stranger = parseSignerKey(generateSignerKey(ORIGIN))
  const document = await proofOf(0, 2)
  const strange = await parseKey(stranger.verifierKey)
  await refuses(t, verifyEntry(document, strange, { index: 0 }), /not signed by the key of this log/)
  const elsewhere = parseSignerKey(generateSignerKey('other.example.com/writ'))
  const other = await parseKey(elsewhere.verifierKey)
  await refuses(t, verifyEntry(document, other, { index: 0 }), /the key of other/)
  const theirs = await proofOf(0, 2, { by: elsewhere })
  const key = await parseKey(signer.verifierKey)
  await refuses(t, verifyEntry(theirs, key, { index: 0 }), /is of the log other/)
})

t.test('a key has the id that its name and material give', async (t) => {
  const [name, id, ...material] = signer.verifierKey.split('+')
  await refuses(t, parseKey(`${name}+00000000+${material.join('+')}`), /does not fit/)
  await refuses(t, parseKey(`other+${id}+${material.join('+')}`), /does not fit/)
  await refuses(t, parseKey('nonsense'), /cannot be read|not base64/)
})

t.test('what cannot be read is told, not thrown about', async (t) => {
  const key = await parseKey(signer.verifierKey)
  const document = await proofOf(2, 5)
  for (const text of [
    '',
    document.replace('@v1', '@v2'),
    document.replace('index 2', 'index 02'),
    document.replace(/^extra .*\n/m, ''),
    document.replace('extra ', 'extra *'),
    document.slice(0, document.lastIndexOf('—')),
    document.slice(0, -1),
    document.replace('— ', '- '),
  ]) {
    await t.rejects(verifyEntry(text, key, { index: 2 }), ProofFailure)
  }
})

t.test('without Ed25519 it says what it could not check', async (t) => {
  const key = await parseKey(signer.verifierKey)
  const importKey = crypto.subtle.importKey
  t.teardown(() => Object.assign(crypto.subtle, { importKey }))
  Object.assign(crypto.subtle, {
    importKey: async () => Promise.reject(new DOMException('no such algorithm', 'NotSupportedError')),
  })
  t.match(await verifyEntry(await proofOf(0, 1), key, { index: 0 }), { signature: 'not checked' })
})
