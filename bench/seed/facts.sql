-- What the entries rest on. `seed.run` says how many there will be, and the time of the first one.

-- The same number for the same question, between 0 and 1: who asked in an intent asks in its outcome too.
CREATE FUNCTION seed.u(n bigint, what bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS
  'SELECT (hashint8extended(n, what) & 2147483647) / 2147483648.0::double precision';
CREATE FUNCTION seed.id(about text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT left(md5(about), 12)$$;
-- Three seconds from one entry to the next, fifty to a batch, which has one time.
CREATE FUNCTION seed.at(n bigint) RETURNS timestamptz LANGUAGE sql STABLE AS
  $$SELECT (SELECT first FROM seed.run) + n / 50 * interval '150 seconds'$$;
CREATE FUNCTION seed.stamp(at timestamptz) RETURNS text LANGUAGE sql STABLE AS
  $$SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')$$;

CREATE TABLE seed.place (environment text PRIMARY KEY, tier text NOT NULL, account text NOT NULL);
INSERT INTO seed.place VALUES ('development', 'development', '222233334444'), ('production-eu', 'production', '111122223333'),
  ('production-us', 'production', '111122224444'), ('staging', 'staging', '333344445555'), ('sandbox', 'sandbox', '444455556666');

-- 0 to 299 the usual ones, 300 seldom, 301 only long ago; twenty teams with two sets of scopes each, and one each
-- of the seldom and the old.
CREATE TABLE seed.agent AS
SELECT a, 'agent-' || lpad(a::text, 5, '0') AS name,
  CASE a WHEN 300 THEN 'seldom' WHEN 301 THEN 'former' ELSE 'team-' || a % 20 END AS team FROM generate_series(0, 301) a;
CREATE UNIQUE INDEX ON seed.agent (a);
-- The seldom and the old have an action of their own, so that a review can ask for it.
CREATE TABLE seed.scopes AS
SELECT team, way, scopes, actions, sha256(convert_to(to_jsonb(scopes)::text || to_jsonb(actions)::text, 'UTF8')) AS hash, 0 AS id
FROM (SELECT DISTINCT team FROM seed.agent) t, unnest(ARRAY['read', 'write']) way, LATERAL (
  SELECT ARRAY['seldom:tables'] AS scopes, ARRAY['dynamodb:GetItem'] AS actions WHERE team = 'seldom'
  UNION ALL SELECT ARRAY['former:queues'], ARRAY['sqs:ReceiveMessage'] WHERE team = 'former'
  UNION ALL SELECT ARRAY[team || ':read'], ARRAY['s3:GetObject', 's3:ListBucket'] WHERE team LIKE 'team-%' AND way = 'read'
  UNION ALL SELECT ARRAY[team || ':read', team || ':write'], ARRAY['s3:GetObject', 's3:ListBucket', 's3:PutObject']
    WHERE team LIKE 'team-%' AND way = 'write') s;
INSERT INTO writ.scope_set (key, scopes, actions) SELECT DISTINCT hash, scopes, actions FROM seed.scopes;
UPDATE seed.scopes s SET id = w.id FROM writ.scope_set w WHERE w.key = s.hash;
INSERT INTO writ.role_catalog (role_arn, environment, sensitivity, first_seen)
SELECT format('arn:aws:iam::%s:role/writ/%s-%s', p.account, a.name, w), p.environment,
  CASE WHEN w = 'read' THEN w WHEN p.tier = 'production' THEN 'production-write' ELSE w END, seed.at(0)
FROM seed.agent a, seed.place p, unnest(ARRAY['read', 'write']) w;

-- A grant for each 40,000 entries, of a hundred uses.
CREATE TABLE seed.granted AS
SELECT g, seed.id('grant/' || g) AS id, seed.id('request/' || g) AS request_id, a.name AS agent, a.a,
  format('arn:aws:iam::111122223333:role/writ/%s-write', a.name) AS role_arn,
  ARRAY[a.team || ':read', a.team || ':write'] AS scopes,
  greatest(seed.at(g * 40000 - 400), seed.at(0)) AS created_at, seed.at(g * 40000 + 40000) + interval '1 day' AS expires_at
FROM seed.run r, generate_series(0, r.entries / 40000) g, seed.agent a WHERE a.a = floor(300 * power(seed.u(g, 9), 3));
CREATE UNIQUE INDEX ON seed.granted (g);
INSERT INTO writ.grant_request (id, created_at, expires_at, state, closed_at, agent, environment, account, role_arn, scopes,
  policy_digest, permissions, permissions_sha256, max_uses, valid_seconds, max_session_seconds, approvals_needed, reason,
  requested_by, barred_humans, barred_teams, content_sha256)
SELECT request_id, created_at - interval '1 hour', created_at + interval '1 day', 'granted', created_at, agent, 'production-eu',
  '111122223333', role_arn, scopes, 'sha256:' || encode(sha256('policy'), 'hex'), '[]',
  encode(sha256(convert_to(role_arn, 'UTF8')), 'hex'), 100, 259200, 900, 1, 'orders of last night have to be put right',
  'agent:' || agent, '{}', '{}', encode(sha256(convert_to(id, 'UTF8')), 'hex') FROM seed.granted;
INSERT INTO writ.grant_decision (request_id, operator, decision, at, proof_kind, proof, operator_names, operator_teams)
SELECT request_id, 'operator-01', 'approve', created_at, 'fresh-token', '{"kind": "fresh-token"}', '{operator-01}', '{}' FROM seed.granted;
INSERT INTO writ.grants (id, request_id, created_at, agent, environment, role_arn, scopes, policy_digest, permissions_sha256,
  max_uses, uses, not_before, expires_at, max_session_seconds, approved_by)
SELECT id, request_id, created_at, agent, 'production-eu', role_arn, scopes, 'sha256:' || encode(sha256('policy'), 'hex'),
  encode(sha256(convert_to(role_arn, 'UTF8')), 'hex'), 100, 100, created_at, expires_at, 900, '{operator-01}' FROM seed.granted;

INSERT INTO writ.log_batch (batch_no, first_idx, entries, chain, at)
SELECT k + 1, k * 50, least(50, r.entries - k * 50), sha256(int8send(k)), seed.at(k * 50)
FROM seed.run r, generate_series(0, (r.entries - 1) / 50) k;
-- Before the partitions are made: they are made up to the head.
UPDATE writ.log_head SET size = r.entries, batch_no = b.batch_no, chain = b.chain, at = b.at
FROM seed.run r, (SELECT * FROM writ.log_batch ORDER BY batch_no DESC LIMIT 1) b;
UPDATE writ.maintenance SET settled = (SELECT greatest(entries - 2000, 0) FROM seed.run);
SELECT writ.make_partitions(2);
