import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openCheckpoint } from '../../../server/audit/merkle/checkpoint.js'
import { PROOF_ERRORS } from '../../../server/audit/merkle/error.js'
import { parseVerifierKey } from '../../../server/audit/merkle/keys.js'
import { verifyProof } from '../../../server/audit/verify/proof.js'
import { packageRoot } from '../../../server/paths.js'

const page = readFileSync(join(packageRoot(), 'docs/log-format.md'), 'utf8')

t.test('the page lists every code with its meaning, and no other', async (t) => {
  const rows = [...page.slice(page.indexOf('## Codes')).matchAll(/^\| `(\w+)` \| (.*) \|$/gm)]
  t.strictSame(Object.fromEntries(rows.map(([, code, meaning]) => [code, meaning])), { ...PROOF_ERRORS })
})

t.test('its examples verify with the key it names', async (t) => {
  const [json = '', checkpoint = '', proof = ''] = [...page.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(
    ([, text = '']) => text,
  )
  const keys = [parseVerifierKey(/`(writ\.example\/log\+\S+)`/.exec(page)?.[1] ?? '')]
  const found = verifyProof(Buffer.from(proof), keys)
  t.equal(`${found.body}\n`, json)
  t.match(openCheckpoint(Buffer.from(checkpoint), keys), { size: found.size, root: found.root })
})
