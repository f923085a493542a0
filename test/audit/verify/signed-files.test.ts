import t from 'tap'
import { ProofError } from '../../../server/audit/merkle/error.js'
import { formatProof } from '../../../server/audit/merkle/tlog-proof.js'
import { Authority } from '../../../server/audit/verify/authority.js'
import { verifyExport } from '../../../server/audit/verify/export.js'
import { verifyProof } from '../../../server/audit/verify/proof.js'
import { verifyTiles } from '../../../server/audit/verify/tiles.js'
import { checkpointOf, keys, leafOf, pathOf, publish, readFiles, treeHash } from '../merkle/support.js'
import { type Twist, type Written, wrote } from './scribe.js'

const bodyOf = ({ entry }: Written): Buffer => Buffer.from(JSON.stringify(entry))

/** Signed as an honest checkpointer would, of whatever the database had by then. */
function exported(log: readonly Written[]): { readonly lines: string[]; readonly checkpoint: Buffer } {
  const leaves = log.map((one) => leafOf(bodyOf(one)))
  const lines = log.map((one, index) =>
    JSON.stringify({
      index,
      body: JSON.stringify(one.entry),
      leaf_hash: leaves[index]?.toString('hex'),
      ...(one.personal === undefined ? {} : { personal: one.personal, salt: one.salt.toString('hex') }),
    }),
  )
  return { lines, checkpoint: checkpointOf(treeHash(leaves), leaves.length) }
}

const log = (twist: Twist = {}) => wrote((scribe, asked) => scribe.approve(asked, 'bob', twist))

async function verdict(log: readonly Written[]): Promise<string> {
  const authority = new Authority()
  const { lines, checkpoint } = exported(log)
  try {
    await verifyExport(lines, checkpoint, keys, { onEntry: authority.onEntry })
    return String(authority.counts().decisions_signed)
  } catch (error) {
    if (!(error instanceof ProofError)) throw error
    return `${error.code}: ${error.message}`
  }
}

t.test('signatures are checked in an export, with what lies beside the entries', async (t) => {
  t.equal(await verdict(log({ comment: 'go ahead' })), '1')
  t.match(await verdict(log({ comment: 'go ahead', assertion: { wrongKey: true } })), /authority_missing/)
  // Another comment with a hash of its own in the body: all but what was signed fits.
  const forged = log({ comment: 'as written later', document: { comment: 'ab'.repeat(32) } })
  t.match(await verdict(forged), /authority_missing: Entry 3, .* another comment/)
  const [last] = log({ comment: 'go ahead' }).slice(-1)
  const beside = [
    ...log({ comment: 'x' }).slice(0, -1),
    { ...(last as Written), personal: '{"comment":"no"}' },
  ]
  t.match(await verdict(beside), /personal_mismatch/, 'before anybody looks into it')
})

t.test('and in published files', async (t) => {
  const read = async (log: readonly Written[]) => {
    const authority = new Authority()
    await verifyTiles(readFiles(await publish(log.map(bodyOf), [log.length])), keys, {
      onEntry: authority.onEntry,
    })
    return authority.counts()
  }
  t.match(await read(log({ comment: 'go ahead' })), { decisions_signed: 1, keys: 1 })
  await t.rejects(read(log({ document: { max_uses: 9 } })), { code: 'authority_missing', index: 3 })
})

t.test('one entry alone: its signature, and with which key', async (t) => {
  const proof = (log: readonly Written[]) => {
    const leaves = log.map((one) => leafOf(bodyOf(one)))
    const index = log.length - 1
    const checkpoint = checkpointOf(treeHash(leaves), leaves.length)
    const extra = bodyOf(log[index] as Written)
    return formatProof({ extra, index, path: pathOf(index, leaves), checkpoint })
  }
  const good = log()
  const { key_id } = (good.at(-1) as Written).entry.proof as { key_id: string }
  t.equal(verifyProof(proof(good), keys).signed_with, key_id)
  t.equal('signed_with' in verifyProof(proof(good.slice(0, -1)), keys), false, 'nobody signed')
  t.throws(() => verifyProof(proof(log({ assertion: { userVerified: false } })), keys), {
    code: 'authority_missing',
    message: /did not verify who was there/,
  })
})
