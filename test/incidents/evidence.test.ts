import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connectTo } from '../../cli/client.js'
import { evidenceText, madeFrom, manifestText } from '../../cli/evidence/bundle.js'
import { type Collected, collectEvidence } from '../../cli/evidence/collect.js'
import { provenEntries, sha256 } from '../../cli/evidence/entries.js'
import { findingsOf } from '../../cli/evidence/findings.js'
import type { Evidence } from '../../cli/evidence/types.js'
import { verifyEvidence } from '../../cli/evidence/verify.js'
import { CliError } from '../../cli/exit.js'
import { openCheckpoint } from '../../server/audit/merkle/checkpoint.js'
import { ProofError } from '../../server/audit/merkle/error.js'
import { generateSignerKey, parseSignerKey, parseVerifierKey } from '../../server/audit/merkle/keys.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'
import { closeIncident, openIncident } from '../support/incidents.js'

/** What somebody would try who wants the reader of a report to do something. */
const HOSTILE =
  "</q></td><script>alert(1)</script><img src=x onerror=alert(2)> | [click](https://evil.example) ![x](https://evil.example/p) `a` **b** \\ '; DROP TABLE x; -- https://evil.example <!--"

const folderFor = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-evidence-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** An agent that had much, and an incident on it. */
async function havingMuch(broker: TestBroker): Promise<string> {
  const token = await broker.agentToken('orders-coder')
  const ask = (environment: string, scopes: readonly string[], more: object = {}) =>
    broker.call('POST', '/v1/credentials', token, { environment, scopes, reason: 'usual work', ...more })
  await ask('development', ['orders:read'], { reason: HOSTILE, ticket: HOSTILE.slice(0, 90) })
  await ask('development', ['orders:read'], { reason: HOSTILE, ticket: HOSTILE.slice(0, 90) })
  await ask('development', ['orders:write'], { on_behalf_of: 'ann@example.com' })
  await ask('production', ['orders:read'])
  await broker.grant('bob', {
    agent: 'orders-coder',
    environment: 'production',
    scopes: ['orders:write'],
    reason: 'correct order 7',
    uses: 2,
    valid_for: 300,
  })
  await ask('production', ['orders:write'])
  await ask('production', ['orders:purge'], { reason: HOSTILE })
  await ask('staging', ['deploy:promote'])
  // Somebody else's, which is none of this.
  await broker.call('POST', '/v1/credentials', await broker.agentToken('report-bot'), {
    environment: 'development',
    scopes: ['reports:read'],
    reason: 'nightly',
  })
  const opened = await openIncident(broker, 'orders-coder', 'bob', `it ${HOSTILE.slice(0, 200)}`)
  if (opened.status !== 201) throw new Error(JSON.stringify(opened.body))
  return opened.body.id
}

t.test('evidence', { timeout: 180_000 }, async (t) => {
  const broker = await startTestBroker(t, { alarms: true })
  const id = await havingMuch(broker)
  const carol = await broker.operatorToken('carol')
  const client = connectTo({ url: broker.url, hasTls: false } as never, { read: async () => carol } as never)
  const collect = (folder: string, seconds = 86_400) =>
    collectEvidence(client, id, folder, { seconds, now: () => new Date() })
  const key = await broker.call('GET', '/v1/log/key', carol)
  const keys = [parseVerifierKey(key.body.verifier_key)]
  const folder = folderFor(t)
  const collected = await collect(folder)
  const file = (name: string) => readFileSync(join(folder, name), 'utf8')
  const evidence = JSON.parse(file('evidence.json')) as Evidence

  const verifies = async (where: string): Promise<boolean> => {
    try {
      await verifyEvidence(where, keys)
      return true
    } catch (error) {
      if (error instanceof CliError || error instanceof ProofError) return false
      throw error
    }
  }

  await t.test('its figures are those of the database', async (t) => {
    const [row] = await broker.database.query<Record<string, number>>(
      `SELECT (SELECT count(*)::integer FROM writ.intent WHERE agent = 'orders-coder') AS sessions,
         (SELECT count(*)::integer FROM writ.outcome o JOIN writ.intent i USING (issuance_id) WHERE i.agent = 'orders-coder' AND o.state = 'issued') AS issued,
         (SELECT count(*)::integer FROM writ.outcome o JOIN writ.intent i USING (issuance_id) WHERE i.agent = 'orders-coder' AND o.state = 'failed') AS failed,
         (SELECT count(*)::integer FROM writ.entry WHERE agent = 'orders-coder' AND kind = 'issuance.delivered') AS deliveries,
         (SELECT count(*)::integer FROM writ.entry WHERE agent = 'orders-coder' AND kind = 'issuance.denied') AS denials,
         (SELECT count(*)::integer FROM writ.entry WHERE agent = 'orders-coder' AND kind = 'alarm.raised' AND idx < $1) AS alarms,
         (SELECT count(*)::integer FROM writ.grants WHERE agent = 'orders-coder') AS grants,
         (SELECT count(*)::integer FROM writ.intent i JOIN writ.outcome o USING (issuance_id) WHERE i.agent = 'orders-coder'
            AND o.state = 'issued' AND least(i.not_after, o.expires_at) > $2::timestamptz) AS alive`,
      [evidence.log.size, evidence.collected_at],
    )
    t.match(evidence.proven.counts, row ?? {})
    t.match(evidence.proven.counts, { issued: 4, deliveries: 1, denials: 2, grants: 1, alive: 4 })
    t.match(collected.counts, evidence.proven.counts)
    const keysInDatabase = await broker.database.query<{ account: string; id: string }>(
      `SELECT split_part(i.role_arn, ':', 5) AS account, o.access_key_id AS id FROM writ.intent i JOIN writ.outcome o USING (issuance_id)
       WHERE i.agent = 'orders-coder' AND o.access_key_id IS NOT NULL ORDER BY 1, 2`,
    )
    t.strictSame(
      evidence.proven.accounts.flatMap(({ account, access_key_ids }) =>
        access_key_ids.map((id) => ({ account, id })),
      ),
      keysInDatabase,
      'every access key, in its account',
    )
    t.notMatch(file('entries.ndjson'), /"report-bot/, 'nobody else’s')
    const policies = await broker.database.query<{ policy: string }>(
      `SELECT convert_from(body, 'UTF8')::jsonb->>'session_policy' AS policy FROM writ.entry
       WHERE agent = 'orders-coder' AND kind = 'issuance.intended' ORDER BY idx`,
    )
    t.strictSame(
      evidence.proven.sessions.map((one) => one.session_policy),
      policies.map(({ policy }) => policy),
    )
    const ends = await broker.database.query<{ id: string; ends: Date }>(
      `SELECT i.issuance_id AS id, least(i.not_after, o.expires_at) AS ends FROM writ.intent i JOIN writ.outcome o USING (issuance_id)
       WHERE i.agent = 'orders-coder' ORDER BY i.entry_idx`,
    )
    t.strictSame(
      evidence.proven.sessions.map((one) => ({ id: one.issuance, ends: new Date(one.dies_at) })),
      ends,
      'and when each dies',
    )
    t.match(evidence.proven.grants, [
      {
        outcome: 'granted',
        uses: 1,
        max_uses: 2,
        decisions: [{ operator: 'bob', signature: 'holds', proof_kind: 'passkey' }],
      },
    ])
    t.type(
      evidence.proven.grants[0]?.decisions[0]?.key_entry,
      'number',
      'and the entry that made the key bob’s',
    )
    t.match(
      evidence.proven.could
        .filter(({ environment }) => environment === 'production')
        .map(({ action }) => action),
      ['s3:GetObject'],
    )
  })

  await t.test('it verifies elsewhere, with the public key alone', async (t) => {
    const elsewhere = folderFor(t)
    cpSync(folder, elsewhere, { recursive: true })
    t.match(await verifyEvidence(elsewhere, keys), {
      verified: 'evidence',
      incident: id,
      agent: 'orders-coder',
      manifest: collected.manifest,
      sealed_at: collected.sealed_at,
      signatures: 1,
      sessions: 4,
    })
    const other = parseVerifierKey(parseSignerKey(generateSignerKey(key.body.origin)).verifierKey)
    await t.rejects(verifyEvidence(elsewhere, [other]), { code: 'key_unknown' }, 'not with another key')
    await t.rejects(verifyEvidence(elsewhere, keys, { origin: 'other' }), { code: 'origin_mismatch' })
    t.strictSame(readdirSync(folder).sort(), collected.files, 'nothing else is left in the folder')
  })

  await t.test('a changed byte in any file is found', async (t) => {
    const copy = folderFor(t)
    cpSync(folder, copy, { recursive: true })
    const survived: string[] = []
    for (const name of readdirSync(folder)) {
      const good = readFileSync(join(folder, name))
      const step = Math.max(1, Math.floor(good.length / 25))
      for (let at = 0; at < good.length; at += step) {
        const bad = Buffer.from(good)
        bad[at] = (bad[at] ?? 0) ^ 1
        writeFileSync(join(copy, name), bad)
        if (await verifies(copy)) survived.push(`${name} at ${at}`)
      }
      for (const other of [good.subarray(0, -1), Buffer.concat([good, Buffer.from('\n')]), undefined]) {
        if (other === undefined) unlinkSync(join(copy, name))
        else writeFileSync(join(copy, name), other)
        if (await verifies(copy))
          survived.push(`${name} ${other === undefined ? 'gone' : 'longer or shorter'}`)
      }
      writeFileSync(join(copy, name), good)
    }
    t.strictSame(survived, [])
    writeFileSync(join(copy, 'more.txt'), 'and this')
    t.notOk(await verifies(copy), 'nor is anything added')
    unlinkSync(join(copy, 'more.txt'))
    t.ok(await verifies(copy), 'the copy itself is good')
  })

  await t.test('who makes the whole folder again is found too', async (t) => {
    /** As an attacker who knows all of this program would: every hash anew, and what follows from it. */
    const forge = (
      lines: (all: readonly string[]) => readonly string[],
      change: Partial<Evidence> = {},
    ): string => {
      const forged = folderFor(t)
      cpSync(folder, forged, { recursive: true })
      const kept = lines(file('entries.ndjson').trimEnd().split('\n'))
      const checkpoint = openCheckpoint(readFileSync(join(folder, 'checkpoint')), keys)
      const entries = kept.map((line) => JSON.parse(line))
      let proven = evidence.proven
      try {
        const about = { agent: evidence.agent, since: evidence.since, at: evidence.collected_at }
        proven = findingsOf(provenEntries(kept, checkpoint), about)
      } catch {
        // Then the entries themselves are what is found.
      }
      const whole = JSON.parse(evidenceText({ ...evidence, ...change, proven }))
      const files = new Map<string, string | Buffer>([
        ...madeFrom(whole),
        ['entries.ndjson', `${kept.join('\n')}\n`],
        ['checkpoint', readFileSync(join(folder, 'checkpoint'))],
      ])
      for (const name of readdirSync(forged)) if (name !== 'seal.proof') unlinkSync(join(forged, name))
      for (const [name, data] of files) writeFileSync(join(forged, name), data)
      writeFileSync(join(forged, 'manifest.json'), manifestText(whole, files))
      t.ok(entries.length > 0)
      return forged
    }
    const issued = (line: string) => line.includes('issuance.issued')
    const swap = (all: readonly string[]) => [...all.slice(1, 2), ...all.slice(0, 1), ...all.slice(2)]
    const rejects = (forged: string, message: RegExp, what: string) =>
      t.rejects(verifyEvidence(forged, keys), { message }, what)
    t.ok(await verifies(forge((all) => all)), 'made again without a change it is the same')
    await rejects(
      forge((all) => all.filter((line) => !issued(line))),
      /seal.proof is of something else/,
      'outcomes dropped',
    )
    await rejects(
      forge((all) => all, { since: '2020-01-01T00:00:00.000Z' }),
      /seal.proof is of something else/,
      'another window',
    )
    const said = { ...evidence.said, incident: { ...evidence.said.incident, opened_by: 'mallory' } }
    await rejects(
      forge((all) => all, { said }),
      /seal.proof is of something else/,
      'what the broker said',
    )
    await t.rejects(verifyEvidence(forge(swap), keys), { code: 'export_malformed' }, 'two entries swapped')
    const first = (change: (line: Record<string, unknown>) => object) => (all: readonly string[]) =>
      all.map((line, n) => (n === 3 ? JSON.stringify(change(JSON.parse(line))) : line))
    const other = (line: Record<string, unknown>) => String(line.body).replace('orders-coder', 'orders-coded')
    const lies = forge(
      first((line) => ({
        ...line,
        body: other(line),
        leaf_hash: sha256(Buffer.concat([Buffer.of(0), Buffer.from(other(line))])),
      })),
    )
    await t.rejects(verifyEvidence(lies, keys), { code: 'root_mismatch' }, 'an entry rewritten, its hash too')
    const words = forge((all) =>
      all.map((line) =>
        line.includes('correct order 7') ? line.replaceAll('correct order 7', 'delete all of it') : line,
      ),
    )
    await t.rejects(verifyEvidence(words, keys), { code: 'personal_mismatch' }, 'other words beside an entry')
    const unsealed = forge((all) => all.filter((line) => !line.includes('issuance.denied')))
    unlinkSync(join(unsealed, 'seal.proof'))
    await rejects(unsealed, /seal.proof is not there/, 'without a seal it counts for nothing')
    const hash = sha256(readFileSync(join(unsealed, 'manifest.json')))
    t.match(
      await verifyEvidence(unsealed, keys, { manifest: hash }),
      { sealed_at: null },
      'unless somebody vouches for the hash',
    )
    const headless = forge((all) => all.filter((line) => !line.includes('issuance.intended')))
    unlinkSync(join(headless, 'seal.proof'))
    const theirs = sha256(readFileSync(join(headless, 'manifest.json')))
    await t.rejects(
      verifyEvidence(headless, keys, { manifest: theirs }),
      { code: 'entry_missing' },
      'an outcome without its intent',
    )
  })

  await t.test('what the agent wrote is its own, and harmless', async (t) => {
    const page = file('report.html')
    t.notMatch(page, /<script|<img|onerror=alert\(2\)>|<a |href=|src=(?!x)/)
    t.match(page, /<q class="agent">&lt;\/q&gt;&lt;\/td&gt;&lt;script&gt;/)
    t.match(page, /default-src 'none'; style-src 'sha256-/)
    t.match(page, /prefers-color-scheme:dark[\s\S]*@media print/)
    const text = file('report.md')
    t.notMatch(text, /[^\\]<(script|img|a)\b|[^\\]\]\(https|[^\\]!\[|[^\\:]https?:\/\/evil/)
    t.match(text, /\(written by the agent\) “\\<\\\/q\\>/)
    for (const line of text.split('\n').filter((one) => one.startsWith('| ')))
      t.notMatch(line.replace(/\\\|/g, ''), /evil.*\|.*click/, 'no cell is ended by what is in it')
    const [athena] = readdirSync(folder).filter((name) => name.startsWith('athena-'))
    t.ok(athena)
    t.notMatch(file(athena ?? ''), /DROP TABLE/)
    t.match(file('athena-222233334444.sql'), /useridentity\.accesskeyid IN \(\n {4}'ASIA/)
    t.match(file('cloudtrail-222233334444.sh'), /lookup-events --region[\s\S]*AttributeKey=AccessKeyId/)
  })

  await t.test('closing signs what was read', async (t) => {
    const second = folderFor(t)
    const later: Collected = await collect(second, 3600)
    t.not(later.manifest, collected.manifest)
    t.ok(
      (await verifyEvidence(second, keys)).entries > evidence.proven.counts.entries,
      'with what came since',
    )
    t.match(await closeIncident(broker, id, 'bob', later.manifest), { body: { closed: false } })
    t.match(await closeIncident(broker, id, 'carol', later.manifest), { body: { closed: true } })
    const after = folderFor(t)
    t.match(await collect(after), { sealed_at: null }, 'a closed incident takes no more')
    await t.rejects(verifyEvidence(after, keys), { message: /seal.proof is not there/ })
    await t.rejects(collect(after), { message: /not empty/ }, 'into a folder of its own')
  })

  await t.test('it takes the role security, and is recorded', async (t) => {
    const path = `/v1/incidents/${id}/entries?since=2026-01-01T00:00:00Z`
    t.equal((await broker.call('GET', path, await broker.operatorToken('bob'))).status, 403)
    t.equal((await broker.call('GET', `${path}&covering=999999999`, carol)).status, 404)
    t.equal((await broker.call('GET', path.replace(id, '000000000000'), carol)).status, 404)
    const exports = await broker.database.query(
      `SELECT FROM writ.entry WHERE kind = 'log.exported' AND operator = 'carol'`,
    )
    t.equal(exports.length, 3)
  })
})
