import type { Ledger } from '../../support/ledger.js'

export const SIZE = 3_000_000
/** One in fifty indexes is taken, so that few rows lie in three partitions. */
export const EVERY = 50
export const ENTRIES = SIZE / EVERY

export const ROLE = 'arn:aws:iam::111122223333:role/writ/busy'
export const OLD_ROLE = 'arn:aws:iam::111122223333:role/writ/old'

/**
 * A log of 60,000 entries, a third of them intents. In the first 2% everything is `old` (agent, environment, human,
 * role, address, scope); after that never again. `even` and `odd` agents are common and never meet `odd` and `even`
 * humans.
 */
export async function fill({ owner }: Ledger): Promise<void> {
  const old = `n < ${ENTRIES / 50}`
  await owner.query(`INSERT INTO writ.scope_set (key, scopes, actions) VALUES
    ('a', '{orders:read}', '{s3:GetObject}'), ('b', '{orders:read,orders:write}', '{s3:GetObject,s3:Put*}'),
    ('c', '{old:scope}', '{ec2:Old*}')`)
  await owner.query(`INSERT INTO writ.scope_set (key, scopes, actions)
    SELECT int4send(n), ARRAY['many:sets', 's' || n], '{}' FROM generate_series(1, 70) n`)
  await owner.query(`SELECT writ.register_roles($1::jsonb)`, [
    JSON.stringify([
      { role_arn: ROLE, environment: 'staging', sensitivity: 'read' },
      { role_arn: OLD_ROLE, environment: 'past', sensitivity: 'read' },
    ]),
  ])
  // In parts, each well within the time that a statement has.
  for (let from = 0; from < ENTRIES; from += ENTRIES / 6) {
    await owner.query(`INSERT INTO writ.entry
      (idx, at, kind, agent, environment, human, operator, issuance_id, code, body, leaf_hash, batch_no, tier, scope_set, source_ip)
    SELECT n * ${EVERY}, timestamptz '2026-01-01Z' + n * interval '1 second', k.kind,
      CASE WHEN ${old} THEN 'old' WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END,
      CASE WHEN ${old} THEN 'past' ELSE 'staging' END,
      CASE WHEN ${old} THEN 'old' WHEN n % 2 = 1 THEN 'even-human' ELSE 'odd-human' END,
      CASE WHEN n = 7 THEN 'once' END,
      lpad(to_hex(CASE WHEN k.kind = 'issuance.denied' THEN NULL ELSE n - n % 3 END), 12, '0'),
      CASE WHEN k.kind = 'issuance.denied' THEN CASE WHEN ${old} THEN 'old' ELSE 'scope_unknown' END END,
      b.body, sha256('\\x00'::bytea || b.body), n, CASE WHEN ${old} THEN 'sandbox' ELSE 'staging' END,
      CASE WHEN ${old} THEN 3 ELSE 1 + n % 2 END,
      CASE WHEN ${old} THEN inet '198.51.100.1' ELSE inet '192.0.2.0' + n % 200 END
    FROM generate_series(${from}, ${from + ENTRIES / 6 - 1}) n,
      LATERAL (SELECT CASE n % 3 WHEN 0 THEN 'issuance.intended' WHEN 1 THEN 'issuance.issued' ELSE 'issuance.denied' END) k(kind),
      LATERAL (SELECT convert_to(jsonb_build_object('v', 2, 'index', n * ${EVERY}, 'kind', k.kind, 'at', '2026-01-01T00:00:00.000000Z')::text, 'UTF8')) b(body)`)
  }
  await owner.query(`INSERT INTO writ.intent (issuance_id, entry_idx, at, agent, environment, role_arn, sensitivity, scopes,
      policy_digest, permissions_sha256, not_after, payload_sha256)
    SELECT e.issuance_id, e.idx, e.at, e.agent, e.environment, CASE e.environment WHEN 'past' THEN '${OLD_ROLE}' ELSE '${ROLE}' END,
      'read', '{orders:read}', 'd', 'p', e.at + interval '1 hour', ''
    FROM writ.entry e WHERE e.kind = 'issuance.intended'`)
  // The last hundred have no outcome yet.
  await owner.query(`INSERT INTO writ.outcome (issuance_id, entry_idx, at, state, access_key_id, expires_at, error_code, intent_idx)
    SELECT i.issuance_id, i.entry_idx + 1, i.at, s.state, CASE s.state WHEN 'issued' THEN 'ASIA' || i.issuance_id END,
      CASE s.state WHEN 'issued' THEN i.not_after END, CASE s.state WHEN 'failed' THEN 'aws_refused' END, i.entry_idx
    FROM writ.intent i, LATERAL (SELECT CASE i.environment WHEN 'past' THEN 'failed' ELSE 'issued' END) s(state)
    WHERE i.entry_idx < ${SIZE - 300 * EVERY}`)
  await owner.query(`INSERT INTO writ.log_batch (batch_no, first_idx, entries, chain, at)
    SELECT n, n * ${EVERY}, ${EVERY}, sha256(''), timestamptz '2026-01-01Z' + n * interval '1 second'
    FROM generate_series(0, ${ENTRIES - 1}) n`)
  await owner.query(`UPDATE writ.log_head SET size = ${SIZE}`)
  await owner.query(`UPDATE writ.maintenance SET settled = ${SIZE - 300 * EVERY}`)
}
