import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../server/paths.js'
import { loadPolicySet } from '../../server/policy/load.js'
import { formatProblem } from '../../server/policy/problems.js'
import { jsonSchema, matrix, referenceParts, renewPage } from '../../server/policy/reference.js'
import { compiled } from './support.js'

/** Run with `--write` to renew the checked-in copies instead of comparing with them. */
const WRITE = process.argv.includes('--write')

async function examplePolicies() {
  const result = await loadPolicySet(join(packageRoot(), 'policies'))
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'))
  return result.policySet
}

const COPIES: Readonly<Record<string, (old: string) => string | Promise<string>>> = {
  'docs/schema/writ-policy.schema.json': jsonSchema,
  'docs/policy.md': (old) => renewPage(old, referenceParts()),
  'policies/README.md': async (old) => renewPage(old, { matrix: matrix(await examplePolicies()) }),
}

for (const [file, renew] of Object.entries(COPIES)) {
  t.test(`${file} is what the code says`, async (t) => {
    const path = join(packageRoot(), file)
    const old = await readFile(path, 'utf8').catch(() => '')
    const renewed = await renew(old)
    if (WRITE) await writeFile(path, renewed)
    else t.equal(old, renewed, 'stale: run this test with --write after a build')
  })
}

t.test('every part of the reference stands on the page', async (t) => {
  const page = await readFile(join(packageRoot(), 'docs/policy.md'), 'utf8')
  for (const part of Object.keys(referenceParts())) t.ok(page.includes(`<!-- generated: ${part} -->`), part)
})

t.test('the examples on the page load, all together', async (t) => {
  const page = await readFile(join(packageRoot(), 'docs/policy.md'), 'utf8')
  const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text)
  t.ok(blocks.length >= 10)
  const set = await compiled(Object.fromEntries(blocks.map((text, n) => [`example-${n}.yaml`, text])))
  t.equal(set.agents.size, 7)
})

t.test('the JSON Schema knows what the documents know', async (t) => {
  const schema = JSON.parse(jsonSchema()) as {
    definitions: Record<string, { properties: object; additionalProperties: boolean }>
  }
  t.same(Object.keys(schema.definitions), [
    'environment',
    'scope',
    'agent',
    'issuer',
    'operator',
    'operators',
    'red_line',
    'webhook',
  ])
  for (const one of Object.values(schema.definitions)) t.equal(one.additionalProperties, false)
  const undescribed = JSON.stringify(schema.definitions).match(/"description":""/g)
  t.equal(undescribed, null)
})
