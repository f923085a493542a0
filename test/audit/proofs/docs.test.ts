import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { documentOf, proofProblem, readProof } from '../../../server/audit/proofs/proof.js'
import { packageRoot } from '../../../server/paths.js'
import { decisionDocument, vouchDocument } from './support.js'

const page = readFileSync(join(packageRoot(), 'docs/log-format.md'), 'utf8')

t.test('the proof in docs/log-format.md is one', async (t) => {
  const [, json = ''] = /^## Signatures$[\s\S]*?^```json\n([\s\S]*?)\n```$/m.exec(page) ?? []
  const proof = readProof(JSON.parse(json))
  t.equal(proofProblem(proof), undefined)
  t.match(proof && documentOf(proof), { type: 'writ.decision.v1', approver: 'bob' })
})

t.test('docs/log-format.md names every field of both documents', async (t) => {
  for (const document of [decisionDocument(), vouchDocument()]) {
    const [row = ''] = new RegExp(`^\\| \`${document.type}\` .*$`, 'm').exec(page) ?? []
    const common = ['type', 'origin', 'rp_id', 'nonce', 'issued_at', 'expires_at']
    for (const field of Object.keys(document)) {
      if (common.includes(field)) t.match(page, `\`${field}\``)
      else t.ok(row.includes(`\`${field}\``), `${document.type}: ${field}`)
    }
  }
})
