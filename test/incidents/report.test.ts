import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type Block, byAgent, byHuman, code, heading, listed } from '../../cli/evidence/blocks.js'
import { html } from '../../cli/evidence/html.js'
import { markdown } from '../../cli/evidence/markdown.js'
import {
  athenaFile,
  athenaQuery,
  cloudtrailFile,
  cloudtrailScript,
  sqlText,
} from '../../cli/evidence/queries.js'
import type { Account } from '../../cli/evidence/types.js'

const HOSTILE = [
  "'); DROP TABLE cloudtrail_logs; --",
  '\n; DELETE',
  '$(touch pwned)',
  '`touch pwned`',
  '"; touch pwned; "',
  '</td></tr><script>alert(1)</script>',
  '| cell | [a](javascript:alert(1)) ![i](https://evil.example/i) <b> **bold** `code` \\| https://evil.example',
  '# heading\n- list\n> quote\u202e\u0007',
  '```\nend of fence',
]

const account = (values: readonly string[]): Account => ({
  account: '111122223333',
  environments: ['production'],
  regions: values,
  from: '2026-11-22T02:00:00.123Z',
  until: '2026-11-22T03:00:00.000Z',
  access_key_ids: values,
  principal_ids: values,
  source_identities: values,
})

t.test('no value ends its literal in SQL', async (t) => {
  for (const value of HOSTILE) t.match(sqlText(value), /^'([^'\n]|'')*'$/, JSON.stringify(value))
  const query = athenaQuery(account(HOSTILE))
  const bare = query.replace(/^--.*$/gm, '').replace(/'([^']|'')*'/g, 'TEXT')
  t.notMatch(bare, /DROP|DELETE|touch|script|evil/)
  t.equal(bare.split(';').length, 3, 'two statements, and no more')
  t.match(query, /eventtime >= '2026-11-22T02:00:00Z' AND eventtime < '2026-11-22T03:00:00Z'/)
  const nothing = athenaQuery(account([]))
  t.match(nothing, /nothing to look for by key[\s\S]*No session has one/)
  t.strictSame([cloudtrailFile('1/../2'), athenaFile('11')], ['cloudtrail-12.sh', 'athena-11.sql'])
})

t.test('no value is run by the shell', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-script-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(
    join(folder, 'aws'),
    `#!/bin/sh\nfor one in "$@"; do printf '%s\\037' "$one"; done\nprintf '\\036'\n`,
  )
  chmodSync(join(folder, 'aws'), 0o755)
  writeFileSync(join(folder, 'script.sh'), cloudtrailScript(account(HOSTILE)))
  const env = { PATH: `${folder}:${process.env.PATH ?? ''}` }
  const said = execFileSync('sh', ['script.sh'], { cwd: folder, env, encoding: 'utf8' })
  t.equal(said.split('\u001e').length - 1, HOSTILE.length ** 2, 'one call for each region and key')
  t.notOk(existsSync(join(folder, 'pwned')))
  t.match(said, 'AttributeKey=AccessKeyId,AttributeValue=$(touch pwned)')
  t.equal(execFileSync('sh', ['-c', cloudtrailScript(account([]))], { env, encoding: 'utf8' }), '')
})

t.test('a report says what somebody wrote, and is not written by them', async (t) => {
  for (const value of HOSTILE) {
    const blocks: readonly Block[] = [
      heading(1, value),
      { kind: 'text', text: [value, byAgent(value), byHuman(value), code(value)] },
      {
        kind: 'facts',
        rows: [
          ['Name', byAgent(value)],
          [value, value],
        ],
      },
      ...listed(
        [value, 'B'],
        [
          [byAgent(value), code(value)],
          [value, byHuman(null)],
        ],
        value,
      ),
      { kind: 'list', items: [[value], [code(value)]] },
      { kind: 'code', text: value },
    ]
    const page = html(value, blocks)
    t.notMatch(
      page.replace(/<style>[\s\S]*<\/style>/, ''),
      /<script|<b>|<img|javascript:alert\(1\)\)?"|\son\w+=/,
      value,
    )
    const tags = [...page.matchAll(/<([a-z0-9]+)/g)].map(([, tag]) => tag)
    t.strictSame([...new Set(tags)].sort(), [
      'body',
      'code',
      'dd',
      'div',
      'dl',
      'dt',
      'h1',
      'head',
      'html',
      'li',
      'main',
      'meta',
      'p',
      'pre',
      'q',
      'span',
      'style',
      'table',
      'tbody',
      'td',
      'th',
      'thead',
      'title',
      'tr',
      'ul',
    ])
    t.match(page, /\(written by the agent\)<\/span> <q class="agent">/)
    const text = markdown(blocks)
    const [table] = /^\|[\s\S]*?\n\n/m.exec(text) ?? ['']
    const cells = (line: string) => line.replace(/\\\\/g, '').replace(/\\\|/g, '').split('|').length
    for (const line of table.trim().split('\n')) t.equal(cells(line), 4, line)
    const [outside] = text.split(/^`{3,}$/m)
    t.notMatch(outside?.replace(/\\./g, '').replace(/`[^`]*`/g, ''), /[[\]<>]|!\[|https?:\/\/evil/, value)
    const fence = /^(`{3,})\n([\s\S]*)\n\1\n$/m.exec(text)
    t.ok(
      fence !== null && !fence[2]?.split('\n').some((line) => line.startsWith(fence[1] ?? '')),
      'the fence holds',
    )
  }
  t.match(markdown([{ kind: 'table', header: ['A'], rows: [], empty: 'None.' }]), 'None.')
  const long = listed(
    ['A'],
    Array.from({ length: 501 }, (_, n) => [String(n)]),
    '',
  )
  t.match(long.at(-1), { text: ['1 more are in evidence.json.'] })
})
