-- Entries $1 up to and without $2. In forty of them: eleven intents and their outcomes, twelve deliveries, five
-- refusals, one of something else. Materialised step by step: the planner would write each expression out wherever
-- it is used, and compute it as often.
WITH slots AS MATERIALIZED (
  SELECT n, n / 40 AS b, r.entries, r.first, r.first + n / 50 * interval '150 seconds' AS at,
    (ARRAY[0,1,0,0,1,20,2,3,3,1,2,2,4,4,21,3,5,6,5,0,6,4,22,7,7,2,8,9,9,8,8,9,23,10,10,10,24,30,1,3])[n % 40 + 1] AS slot,
    substr('iisdsxiisdsdisxdiisdsdxisdiissddxisdxodd', (n % 40 + 1)::integer, 1) AS act
  FROM generate_series($1::bigint, $2::bigint - 1) n, seed.run r
), acts AS MATERIALIZED (
  SELECT n, b, at, slot, b * 32 + slot AS key,
    -- The newest intents of one slot have no outcome yet.
    CASE WHEN act = 's' AND slot = 5 AND n >= entries - 2000 THEN 'o' ELSE act END AS act,
    b % 41 = 7 AND slot IN (9, 24, 30) AS seldom,
    b % 4 = 1 AND b < entries / 400 AND slot IN (8, 23, 30) AS former,
    CASE WHEN b % 41 = 7 AND slot = 7 THEN 'failed' WHEN b % 4 = 1 AND b < entries / 400 AND slot = 6 THEN 'abandoned'
      ELSE 'issued' END AS state,
    CASE WHEN slot = 10 AND b % 10 = 0 THEN b / 1000 END AS g,
    CASE WHEN act = 'o' AND b % 1000 BETWEEN 990 AND 992 THEN b / 1000 + 1 END AS asked,
    b < entries / 400 AND b % 4 = 3 AS early,
    CASE WHEN slot <= 10 THEN
      first + (b * 40 + (ARRAY[0,1,6,7,12,16,17,23,26,27,33])[slot + 1]) / 50 * interval '150 seconds' + interval '1 hour'
    END AS not_after,
    CASE WHEN slot <= 10 THEN b * 40 + (ARRAY[0,1,6,7,12,16,17,23,26,27,33])[slot + 1] END AS intent_idx
  FROM slots
), who AS MATERIALIZED (
  SELECT t.*, a.name AS agent, a.team, p.environment, p.tier, p.account, d.id AS grant_id, d.expires_at AS grant_expires,
    CASE WHEN t.g IS NOT NULL THEN (t.b % 1000 / 10 + 1)::integer END AS grant_use,
    CASE WHEN t.g IS NOT NULL THEN 'write' WHEN p.tier <> 'production' AND seed.u(t.key, 3) < 0.5 THEN 'write' ELSE 'read' END AS way,
    CASE WHEN t.act = 'o' THEN NULL WHEN t.seldom THEN 'seldom.person@example.com' WHEN t.former THEN 'former.person@example.com'
      WHEN seed.u(t.key, 4) < 0.4 THEN 'person-' || lpad(floor(2000 * power(seed.u(t.key, 5), 2))::text, 4, '0') || '@example.com'
    END AS human,
    CASE WHEN t.seldom THEN '10.99.0.1' WHEN t.former THEN '10.98.0.1'
      ELSE '10.20.' || floor(power(seed.u(t.key, 6), 2) * 20) || '.' || floor(seed.u(t.key, 7) * 250) + 1 END AS source_ip,
    CASE t.act WHEN 'i' THEN 'issuance.intended' WHEN 's' THEN 'issuance.' || t.state WHEN 'd' THEN 'issuance.delivered'
      WHEN 'x' THEN 'issuance.denied' ELSE CASE
        WHEN t.asked IS NOT NULL AND t.b % 1000 = 990 THEN 'grant_request.opened'
        WHEN t.asked IS NOT NULL AND t.b % 1000 = 991 THEN 'grant_request.approved'
        WHEN t.asked IS NOT NULL THEN 'grant.created'
        WHEN t.seldom THEN 'log.exported' WHEN t.former THEN 'operator.signed_in' WHEN t.early THEN 'policy.rejected'
        WHEN t.b % 500 = 3 THEN 'broker.started' WHEN t.b % 100 = 50 THEN 'policy.loaded' ELSE 'operator.signed_in' END END AS kind,
    CASE WHEN t.act = 'o' THEN CASE WHEN t.seldom THEN 'operator-seldom' WHEN t.former THEN 'operator-former'
      ELSE 'operator-' || lpad(floor(seed.u(t.key, 8) * 20)::text, 2, '0') END END AS someone,
    q.id AS asked_grant, q.request_id AS asked_request
  FROM acts t LEFT JOIN seed.granted d ON d.g = t.g LEFT JOIN seed.granted q ON q.g = t.asked
  JOIN seed.agent a ON a.a = CASE WHEN t.seldom THEN 300 WHEN t.former THEN 301 WHEN t.asked IS NOT NULL THEN coalesce(q.a, 0)
    WHEN t.g IS NOT NULL THEN d.a ELSE floor(300 * power(seed.u(t.key, 1), 3))::integer END
  JOIN seed.place p ON p.environment = CASE WHEN t.seldom THEN 'sandbox' WHEN t.former THEN 'staging'
    WHEN t.g IS NOT NULL OR t.asked IS NOT NULL THEN 'production-eu' WHEN seed.u(t.key, 2) < 0.6 THEN 'development'
    WHEN seed.u(t.key, 2) < 0.9 THEN 'production-eu' ELSE 'production-us' END
), asking AS MATERIALIZED (
  SELECT w.*, s.scopes, s.id AS scope_set, seed.id(w.key::text) AS issuance_id,
    format('arn:aws:iam::%s:role/writ/%s-%s', account, agent, way) AS role_arn,
    CASE WHEN way = 'read' THEN way WHEN tier = 'production' THEN 'production-write' ELSE way END AS sensitivity,
    CASE WHEN act IN ('s', 'x') THEN CASE
      WHEN act = 'x' THEN CASE WHEN seldom THEN 'red_line' WHEN former THEN 'unknown_scope'
        WHEN seed.u(w.key, 10) < 0.6 THEN 'denied' WHEN seed.u(w.key, 10) < 0.9 THEN 'grant_required' ELSE 'stopped' END
      WHEN state = 'failed' THEN 'aws_unavailable' END END AS code,
    upper(seed.id('request/' || n)) AS request, md5('salt/' || n)::uuid AS salt_id,
    CASE WHEN kind IN ('grant_request.approved', 'log.exported', 'operator.signed_in') THEN someone END AS operator
  FROM who w JOIN seed.scopes s USING (team, way)
), beside AS MATERIALIZED (
  SELECT k.*, CASE WHEN act IN ('i', 'd', 'x') OR kind = 'operator.signed_in' THEN uuid_send(salt_id) END AS salt,
    CASE WHEN act IN ('i', 'd', 'x') THEN convert_to(jsonb_strip_nulls(jsonb_build_object('human', human,
        'human_how', CASE WHEN human IS NOT NULL THEN 'issuer-asserted' END, 'subject', 'repo:example/' || agent || ':ref:refs/heads/main',
        'source_ip', source_ip, 'reason', 'orders of last night have to be put right, step ' || slot,
        'ticket', CASE WHEN slot % 3 = 0 THEN 'OPS-' || b END))::text, 'UTF8')
      WHEN kind = 'operator.signed_in' THEN convert_to(jsonb_build_object('subject', someone || '@example.com', 'source_ip', source_ip)::text, 'UTF8')
    END AS personal
  FROM asking k
), bodies AS MATERIALIZED (
  SELECT k.*, convert_to(jsonb_strip_nulls(CASE act
    WHEN 'i' THEN jsonb_build_object('agent', agent, 'environment', environment, 'tier', tier, 'issuance_id', issuance_id,
      'sensitivity', sensitivity, 'request', request, 'account', account, 'role_arn', role_arn, 'scopes', scopes,
      'policy_digest', 'sha256:' || encode(sha256('policy'), 'hex'), 'permissions_sha256', encode(sha256(convert_to(role_arn, 'UTF8')), 'hex'),
      'session_policy', format('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::%s-%s"},{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::%1$s-%2$s/*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"%s"}}}]}', team, environment, seed.stamp(not_after)),
      'tags', jsonb_strip_nulls(jsonb_build_object('writ:agent', agent, 'writ:environment', environment, 'writ:issuance', issuance_id, 'writ:grant', grant_id)),
      'source_identity', agent || '+' || issuance_id, 'not_after', seed.stamp(not_after), 'issuer', 'https://token.actions.githubusercontent.com',
      'grant_id', grant_id, 'grant_use', grant_use, 'grant_max', CASE WHEN grant_use IS NOT NULL THEN 100 END)
    WHEN 's' THEN jsonb_build_object('agent', agent, 'environment', environment, 'issuance_id', issuance_id, 'grant_id', grant_id) ||
      CASE state WHEN 'issued' THEN jsonb_build_object('access_key_id', 'ASIA' || upper(left(md5('key/' || key), 16)), 'expires_at', seed.stamp(not_after),
          'assumed_role_arn', format('arn:aws:sts::%s:assumed-role/%s-%s/%s', account, agent, way, issuance_id),
          'assumed_role_id', 'AROA' || upper(left(md5(role_arn), 16)) || ':' || issuance_id, 'packed_policy_percent', 31)
        WHEN 'failed' THEN jsonb_build_object('code', code) ELSE '{}' END
    WHEN 'd' THEN jsonb_build_object('agent', agent, 'environment', environment, 'issuance_id', issuance_id, 'grant_id', grant_id, 'request', request)
    WHEN 'x' THEN jsonb_build_object('agent', agent, 'environment', environment, 'tier', tier, 'code', code, 'request', request, 'scopes', scopes,
      'policy_digest', 'sha256:' || encode(sha256('policy'), 'hex'), 'issuer', 'https://token.actions.githubusercontent.com',
      'detail', 'What was asked for is not among what this agent may have in ' || environment || '.')
    ELSE CASE kind
      WHEN 'grant_request.opened' THEN jsonb_build_object('agent', agent, 'environment', environment, 'request_id', asked_request, 'tier', tier,
        'account', account, 'role_arn', role_arn, 'scopes', scopes, 'policy_digest', 'sha256:' || encode(sha256('policy'), 'hex'),
        'permissions_sha256', encode(sha256(convert_to(role_arn, 'UTF8')), 'hex'), 'permissions', '[]'::jsonb, 'max_uses', 100,
        'valid_seconds', 259200, 'expires_at', seed.stamp(at + interval '1 day'), 'max_session_seconds', 900, 'approvals_needed', 1,
        'requested_by', 'agent:' || agent, 'barred_teams', '[]'::jsonb)
      WHEN 'grant_request.approved' THEN jsonb_build_object('agent', agent, 'environment', environment, 'request_id', asked_request,
        'operator', someone, 'policy_digest', 'sha256:' || encode(sha256('policy'), 'hex'),
        'permissions_sha256', encode(sha256(convert_to(role_arn, 'UTF8')), 'hex'), 'proof_kind', 'fresh-token',
        'proof', jsonb_build_object('kind', 'fresh-token', 'issuer', 'https://login.example.com', 'subject', someone || '@example.com',
          'authenticated_at', seed.stamp(at), 'issued_at', seed.stamp(at)))
      WHEN 'grant.created' THEN jsonb_build_object('agent', agent, 'environment', environment, 'request_id', asked_request, 'grant_id', asked_grant,
        'role_arn', role_arn, 'scopes', scopes, 'policy_digest', 'sha256:' || encode(sha256('policy'), 'hex'),
        'permissions_sha256', encode(sha256(convert_to(role_arn, 'UTF8')), 'hex'), 'max_uses', 100, 'not_before', seed.stamp(at),
        'expires_at', seed.stamp(at + interval '3 days'), 'max_session_seconds', 900, 'approved_by', ARRAY['operator-01'])
      WHEN 'log.exported' THEN jsonb_build_object('operator', someone, 'request', request, 'from', 0, 'to', n, 'personal_data', false, 'format', 'whole')
      WHEN 'operator.signed_in' THEN jsonb_build_object('operator', someone, 'request', request, 'issuer', 'https://login.example.com',
        'issued_at', seed.stamp(at), 'expires_at', seed.stamp(at + interval '1 hour'))
      WHEN 'broker.started' THEN jsonb_build_object('mode', 'production', 'version', '0.1.0', 'policy_digest', 'sha256:' || encode(sha256('policy'), 'hex'))
      ELSE jsonb_build_object('policy_digest', 'sha256:' || encode(sha256('policy'), 'hex'), 'problems', CASE kind WHEN 'policy.rejected' THEN 1 ELSE 0 END)
    END END || jsonb_build_object('v', 2, 'index', n, 'kind', kind, 'at', seed.stamp(at),
      'personal', encode(sha256('\x03'::bytea || salt || personal), 'hex')))::text, 'UTF8') AS body
  FROM beside k
), entries AS (
  INSERT INTO writ.entry (idx, at, kind, agent, environment, human, operator, issuance_id, request_id, grant_id, code, body, leaf_hash,
    batch_no, tier, scope_set, source_ip, personal, salt)
  SELECT n, at, kind, CASE WHEN act <> 'o' OR asked IS NOT NULL THEN agent END, CASE WHEN act <> 'o' OR asked IS NOT NULL THEN environment END,
    human, operator, CASE WHEN act IN ('i', 's', 'd') THEN issuance_id END, asked_request,
    CASE WHEN act IN ('i', 's', 'd') THEN grant_id WHEN kind = 'grant.created' THEN asked_grant END, code,
    body, sha256('\x00'::bytea || body), n / 50 + 1,
    CASE WHEN act IN ('i', 'x') OR kind = 'grant_request.opened' THEN tier END,
    CASE WHEN act IN ('i', 'x') OR kind = 'grant_request.opened' THEN scope_set END,
    CASE WHEN personal IS NOT NULL THEN source_ip::inet END, personal, salt
  FROM bodies
), intents AS (
  INSERT INTO writ.intent (issuance_id, entry_idx, at, agent, environment, role_arn, sensitivity, scopes, policy_digest,
    permissions_sha256, not_after, grant_id, grant_use, grant_max, grant_expires, payload_sha256)
  SELECT issuance_id, n, at, agent, environment, role_arn, sensitivity, scopes,
    'sha256:' || encode(sha256('policy'), 'hex'), encode(sha256(convert_to(role_arn, 'UTF8')), 'hex'), not_after,
    grant_id, grant_use, CASE WHEN grant_use IS NOT NULL THEN 100 END, grant_expires, sha256(body)
  FROM bodies WHERE act = 'i'
), uses AS (
  INSERT INTO writ.grant_use (grant_id, use_no, issuance_id)
  SELECT grant_id, grant_use, issuance_id FROM bodies WHERE act = 'i' AND grant_id IS NOT NULL
), outcomes AS (
  INSERT INTO writ.outcome (issuance_id, entry_idx, at, state, access_key_id, expires_at, error_code, packed_policy_percent, intent_idx)
  SELECT issuance_id, n, at, state, CASE state WHEN 'issued' THEN 'ASIA' || upper(left(md5('key/' || key), 16)) END,
    CASE state WHEN 'issued' THEN not_after END, code, CASE state WHEN 'issued' THEN 31 END, intent_idx
  FROM bodies WHERE act = 's'
)
INSERT INTO writ.denial (entry_idx, key, at, repeats, last_at)
SELECT n, encode(sha256(int8send(key)), 'base64'), at, (key % 3)::integer, at + interval '5 seconds' FROM bodies WHERE act = 'x'
