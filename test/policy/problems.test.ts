import t from 'tap'
import { formatProblem, nearest, PROBLEM_CODES } from '../../server/policy/problems.js'
import { ACTIONS } from './problem-cases/actions.js'
import { action } from './problem-cases/case.js'
import { DOCUMENTS } from './problem-cases/documents.js'
import { FIELDS } from './problem-cases/fields.js'
import { GATES } from './problem-cases/gates.js'
import { IDENTITIES } from './problem-cases/identities.js'
import { OPERATORS } from './problem-cases/operators.js'
import { REFERENCES } from './problem-cases/references.js'
import { RESOURCES } from './problem-cases/resources.js'
import { WEBHOOKS } from './problem-cases/webhooks.js'
import { problemsWith } from './support.js'

const CASES = [
  ...DOCUMENTS,
  ...FIELDS,
  ...REFERENCES,
  ...ACTIONS,
  ...RESOURCES,
  ...IDENTITIES,
  ...OPERATORS,
  ...GATES,
  ...WEBHOOKS,
]

t.test('the good set has no problems', async (t) => {
  t.same((await problemsWith({})).map(formatProblem), [])
})

for (const one of CASES) {
  t.test(one.what, async (t) => {
    const problems = await problemsWith({ [one.file]: one.text })
    const found = problems.find((problem) => problem.code === one.code)
    if (found === undefined) {
      t.fail(`no ${one.code} in:\n${problems.map(formatProblem).join('\n')}`)
      return
    }
    t.match(found.message, one.says)
    t.match(found.message, /[.?]$/, 'a whole sentence')
    const where = one.code === 'account_foreign' ? 'coder.yaml' : one.file
    t.equal(found.line, one.line, formatProblem(found))
    t.equal(found.file, where, formatProblem(found))
    if (one.column !== undefined) t.equal(found.column, one.column, formatProblem(found))
  })
}

t.test('every problem is told, not only the first', async (t) => {
  const problems = await problemsWith({
    'dev.yaml': 'environment: dev\ntier: developement\naccount: 222233334444\nregions: []\nextra: 1\n',
    'x.yaml': action('s3:GetObjekt', 'arn:aws:s3:::*'),
  })
  const codes = problems.map((problem) => `${problem.file}:${problem.line} ${problem.code}`)
  t.same(codes, [
    'dev.yaml:2 field_invalid',
    'dev.yaml:3 field_type',
    'dev.yaml:4 field_invalid',
    'dev.yaml:5 key_unknown',
    'x.yaml:4 action_unknown',
    'x.yaml:5 resource_too_wide',
  ])
})

t.test('a broken document is not blamed on those who refer to it', async (t) => {
  const problems = await problemsWith({
    'read.yaml': action('s3:GetObjekt').replace('extra:scope', 'orders:read'),
  })
  t.same(
    problems.map((problem) => problem.code),
    ['action_unknown'],
  )
})

t.test('every code is tried here, or where folders are loaded', (t) => {
  const tried = new Set<string>(CASES.map((one) => one.code))
  const files = ['not_accepted', 'folder_unreadable', 'file_too_large', 'symlink_outside']
  t.same(
    Object.keys(PROBLEM_CODES).filter((code) => !tried.has(code)),
    files,
  )
  t.end()
})

t.test('the nearest spelling', (t) => {
  t.equal(nearest('prodction', ['production', 'development']), 'production')
  t.equal(nearest('foo', ['development', 'bar']), undefined, 'nothing near is no suggestion')
  t.equal(nearest('S3:getobject', ['s3:GetObject']), 's3:GetObject')
  t.end()
})
