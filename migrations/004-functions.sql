-- Everything the broker may do to the record. Each function is one autocommit statement: a client that
-- stops between BEGIN and COMMIT would hold the head's lock and stall every other replica.
--
-- `SET search_path = writ, pg_temp` with pg_temp last: named earlier or left out, a caller's temporary table
-- called `grants` would be read in place of ours.

CREATE FUNCTION writ.put_intent(c writ.log_cursor, p jsonb, OUT cursor_after writ.log_cursor, OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  v_sha bytea := sha256(convert_to(p::text, 'UTF8'));
  v_old writ.intent;
  v_role writ.role_catalog;
  g writ.grants;
  v_scopes text[] := ARRAY(SELECT jsonb_array_elements_text(p->'scopes'));
  v_not_after timestamptz := (p->>'not_after')::timestamptz;
  v_refused text;
  v_use integer;
BEGIN
  cursor_after := c;
  -- A retry with the same id gets the stored verdict, a different request under a used id does not.
  SELECT * INTO v_old FROM writ.intent WHERE issuance_id = p->>'issuance_id';
  IF FOUND THEN
    IF v_old.payload_sha256 <> v_sha THEN
      RAISE EXCEPTION 'issuance id used for another request' USING ERRCODE = 'WR006';
    END IF;
    verdict := jsonb_build_object('status', 'ok', 'index', v_old.entry_idx, 'at', v_old.at, 'grant_use', v_old.grant_use);
    RETURN;
  END IF;
  SELECT * INTO v_role FROM writ.role_catalog WHERE role_arn = p->>'role_arn' AND environment = p->>'environment';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'role not in the catalog' USING ERRCODE = 'WR007';
  END IF;
  IF p->>'grant_id' IS NOT NULL THEN
    -- Locked by the caller already, in id order.
    SELECT * INTO g FROM writ.grants WHERE id = p->>'grant_id';
    v_refused := CASE
      WHEN NOT FOUND OR (g.agent, g.environment, g.role_arn, g.scopes)
        IS DISTINCT FROM (p->>'agent', p->>'environment', p->>'role_arn', v_scopes) THEN 'grant_required'
      WHEN g.policy_digest <> p->>'policy_digest' OR g.permissions_sha256 <> p->>'permissions_sha256' THEN 'grant_stale'
      WHEN g.revoked_at IS NOT NULL THEN 'grant_revoked'
      WHEN c.at < g.not_before THEN 'grant_not_yet_valid'
      WHEN c.at >= g.expires_at OR v_not_after > g.expires_at THEN 'grant_expired'
      WHEN g.uses >= g.max_uses THEN 'grant_used_up'
    END;
  ELSIF v_role.sensitivity = 'production-write' THEN
    v_refused := 'grant_required';
  END IF;
  IF v_refused IS NOT NULL THEN
    cursor_after := writ.log_put(c, 'issuance.denied', jsonb_build_object(
      'agent', p->>'agent', 'environment', p->>'environment', 'human', p->>'human', 'grant_id', p->>'grant_id',
      'code', v_refused), p->'payload');
    verdict := jsonb_build_object('status', 'refused', 'code', v_refused, 'index', c.next_idx, 'at', c.at);
    RETURN;
  END IF;
  IF g.id IS NOT NULL THEN
    v_use := g.uses + 1;
    UPDATE writ.grants SET uses = v_use WHERE id = g.id;
    INSERT INTO writ.grant_use (grant_id, use_no, issuance_id) VALUES (g.id, v_use, p->>'issuance_id');
  END IF;
  INSERT INTO writ.intent (issuance_id, entry_idx, at, agent, environment, role_arn, sensitivity, scopes, policy_digest,
    permissions_sha256, not_after, human, human_how, issuer, subject, source_ip, reason, ticket,
    grant_id, grant_use, grant_max, grant_expires, payload_sha256)
  VALUES (p->>'issuance_id', c.next_idx, c.at, p->>'agent', p->>'environment', p->>'role_arn', v_role.sensitivity, v_scopes,
    p->>'policy_digest', p->>'permissions_sha256', v_not_after, p->>'human', p->>'human_how', p->>'issuer', p->>'subject',
    p->>'source_ip', p->>'reason', p->>'ticket', g.id, v_use, g.max_uses, g.expires_at, v_sha);
  cursor_after := writ.log_put(c, 'issuance.intended', jsonb_build_object(
    'agent', p->>'agent', 'environment', p->>'environment', 'human', p->>'human', 'issuance_id', p->>'issuance_id',
    'grant_id', g.id),
    coalesce(p->'payload', '{}') || jsonb_strip_nulls(jsonb_build_object('grant_use', v_use, 'grant_max', g.max_uses)));
  verdict := jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at, 'grant_use', v_use);
END $$;

CREATE FUNCTION writ.put_outcome(c writ.log_cursor, p jsonb, OUT cursor_after writ.log_cursor, OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  v_old writ.outcome;
  i writ.intent;
  g writ.grants;
BEGIN
  cursor_after := c;
  SELECT * INTO v_old FROM writ.outcome WHERE issuance_id = p->>'issuance_id';
  IF FOUND THEN
    -- Swept as abandoned while AWS was slow, or told twice: only the very same outcome may be delivered on.
    verdict := CASE WHEN v_old.state = p->>'state' AND v_old.access_key_id IS NOT DISTINCT FROM p->>'access_key_id'
      THEN jsonb_build_object('status', 'ok', 'index', v_old.entry_idx, 'at', v_old.at)
      ELSE jsonb_build_object('status', 'refused', 'code', 'outcome_conflict', 'index', v_old.entry_idx, 'at', v_old.at) END;
    RETURN;
  END IF;
  SELECT * INTO i FROM writ.intent WHERE issuance_id = p->>'issuance_id';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'outcome without an intent' USING ERRCODE = 'WR008';
  END IF;
  IF p->>'state' NOT IN ('issued', 'failed') THEN
    RAISE EXCEPTION 'not an outcome: %', p->>'state' USING ERRCODE = 'WR008';
  END IF;
  INSERT INTO writ.outcome (issuance_id, entry_idx, at, state, access_key_id, expires_at, error_code, packed_policy_percent)
  VALUES (i.issuance_id, c.next_idx, c.at, p->>'state', p->>'access_key_id', (p->>'expires_at')::timestamptz,
          p->>'error_code', (p->>'packed_policy_percent')::integer);
  cursor_after := writ.log_put(c, 'issuance.' || (p->>'state'), jsonb_build_object(
    'agent', i.agent, 'environment', i.environment, 'human', i.human, 'issuance_id', i.issuance_id, 'grant_id', i.grant_id,
    'code', p->>'error_code'), jsonb_strip_nulls(p - 'op' - 'state'));
  verdict := jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at);
  -- Revoked while AWS was minting: recorded as issued, because it exists, and not handed out.
  IF p->>'state' = 'issued' AND i.grant_id IS NOT NULL THEN
    SELECT * INTO g FROM writ.grants WHERE id = i.grant_id;
    IF g.revoked_at IS NOT NULL THEN
      verdict := verdict || jsonb_build_object('status', 'refused', 'code', 'grant_revoked');
    END IF;
  END IF;
END $$;

CREATE FUNCTION writ.put_delivery(c writ.log_cursor, p jsonb, OUT cursor_after writ.log_cursor, OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  i writ.issuance;
  g writ.grants;
BEGIN
  SELECT * INTO i FROM writ.issuance WHERE issuance_id = p->>'issuance_id';
  SELECT * INTO g FROM writ.grants WHERE id = i.grant_id;
  verdict := jsonb_build_object('status', 'refused', 'at', c.at, 'code', CASE
    WHEN i.issuance_id IS NULL OR i.state <> 'issued' OR i.agent <> p->>'agent' OR c.at >= i.not_after THEN 'session_over'
    WHEN g.revoked_at IS NOT NULL THEN 'grant_revoked'
    WHEN c.at >= g.expires_at THEN 'grant_expired' END);
  IF verdict->>'code' IS NOT NULL THEN
    cursor_after := c;
    RETURN;
  END IF;
  cursor_after := writ.log_put(c, 'issuance.delivered', jsonb_build_object(
    'agent', i.agent, 'environment', i.environment, 'human', i.human, 'issuance_id', i.issuance_id, 'grant_id', i.grant_id),
    p->'payload');
  verdict := jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at);
END $$;

CREATE FUNCTION writ.put_denial(c writ.log_cursor, p jsonb, OUT cursor_after writ.log_cursor, OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE d writ.denial;
BEGIN
  cursor_after := c;
  SELECT * INTO d FROM writ.denial WHERE key = p->>'key' ORDER BY entry_idx DESC LIMIT 1;
  IF FOUND AND c.at < d.last_at + interval '10 seconds' AND c.at < d.at + interval '5 minutes' THEN
    UPDATE writ.denial SET repeats = repeats + 1, last_at = c.at WHERE entry_idx = d.entry_idx;
    verdict := jsonb_build_object('status', 'ok', 'index', d.entry_idx, 'at', d.at, 'repeats', d.repeats + 1);
    RETURN;
  END IF;
  INSERT INTO writ.denial (entry_idx, key, at, last_at) VALUES (c.next_idx, p->>'key', c.at, c.at);
  cursor_after := writ.log_put(c, p->>'kind', p->'fields', p->'payload');
  verdict := jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at, 'repeats', 0);
END $$;

-- The group commit. `p_items` is an array of {op: intent|outcome|delivery|denial|event, …}; the answer has
-- one verdict an item, in order.
CREATE FUNCTION writ.append(p_items jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE
  c writ.log_cursor;
  p jsonb;
  step record;
  v_all jsonb[] := '{}';
BEGIN
  -- Every grant the batch touches, in id order, before the head: the one order that cannot deadlock.
  PERFORM FROM writ.grants WHERE id IN (
    SELECT item->>'grant_id' FROM jsonb_array_elements(p_items) item WHERE item->>'op' = 'intent'
    UNION SELECT i.grant_id FROM jsonb_array_elements(p_items) item JOIN writ.intent i ON i.issuance_id = item->>'issuance_id'
      WHERE item->>'op' IN ('outcome', 'delivery') AND i.grant_id IS NOT NULL)
  ORDER BY id FOR UPDATE;
  c := writ.log_open();
  FOR p IN SELECT value FROM jsonb_array_elements(p_items) LOOP
    CASE p->>'op'
      WHEN 'intent' THEN step := writ.put_intent(c, p);
      WHEN 'outcome' THEN step := writ.put_outcome(c, p);
      WHEN 'delivery' THEN step := writ.put_delivery(c, p);
      WHEN 'denial' THEN
        IF p->>'kind' NOT IN ('issuance.denied', 'identity.refused', 'grant_request.refused', 'operator.refused') THEN
          RAISE EXCEPTION 'not a denial: %', p->>'kind' USING ERRCODE = 'WR009';
        END IF;
        step := writ.put_denial(c, p);
      WHEN 'event' THEN
        IF p->>'kind' NOT IN ('broker.started', 'policy.loaded', 'policy.rejected', 'log.origin_started', 'log.exported') THEN
          RAISE EXCEPTION 'not an event of its own: %', p->>'kind' USING ERRCODE = 'WR009';
        END IF;
        SELECT writ.log_put(c, p->>'kind', coalesce(p->'fields', '{}'), p->'payload') AS cursor_after,
          jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at) AS verdict INTO step;
      ELSE RAISE EXCEPTION 'unknown op' USING ERRCODE = 'WR009';
    END CASE;
    c := step.cursor_after;
    v_all := v_all || step.verdict;
  END LOOP;
  PERFORM writ.log_seal(c);
  RETURN to_jsonb(v_all);
END $$;

-- An intent whose outcome never came (the process died, AWS hung): possibly minted, never delivered.
-- `p_after` must be longer than the longest a broker waits for AWS; under ten seconds is refused.
CREATE FUNCTION writ.sweep(p_after interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE
  c writ.log_cursor;
  i writ.intent;
  r writ.grant_request;
  v_expired text[];
  v_n integer := 0;
BEGIN
  IF p_after < interval '10 seconds' THEN
    RAISE EXCEPTION 'sweeping this early would abandon issuances under way' USING ERRCODE = 'WR009';
  END IF;
  IF NOT EXISTS (SELECT FROM writ.issuance WHERE state = 'intended' AND at < clock_timestamp() - p_after)
     AND NOT EXISTS (SELECT FROM writ.grant_request WHERE state = 'pending' AND expires_at <= clock_timestamp()) THEN
    RETURN 0;
  END IF;
  v_expired := ARRAY(SELECT id FROM writ.grant_request WHERE state = 'pending' AND expires_at <= clock_timestamp()
                     ORDER BY id FOR UPDATE);
  c := writ.log_open();
  FOR i IN SELECT t.* FROM writ.intent t LEFT JOIN writ.outcome o USING (issuance_id)
           WHERE o.issuance_id IS NULL AND t.at < c.at - p_after ORDER BY t.entry_idx LOOP
    INSERT INTO writ.outcome (issuance_id, entry_idx, at, state) VALUES (i.issuance_id, c.next_idx, c.at, 'abandoned');
    c := writ.log_put(c, 'issuance.abandoned', jsonb_build_object('agent', i.agent, 'environment', i.environment,
      'human', i.human, 'issuance_id', i.issuance_id, 'grant_id', i.grant_id), '{}');
    v_n := v_n + 1;
  END LOOP;
  FOR r IN UPDATE writ.grant_request SET state = 'expired', closed_at = c.at
           WHERE id = ANY (v_expired) RETURNING * LOOP
    c := writ.log_put(c, 'grant_request.expired', jsonb_build_object('agent', r.agent, 'environment', r.environment,
      'human', r.human, 'request_id', r.id), '{}');
    v_n := v_n + 1;
  END LOOP;
  PERFORM writ.log_seal(c);
  RETURN v_n;
END $$;

-- Puts the roles of a policy set into the catalog. Raises WR010 when one is there as something else.
CREATE FUNCTION writ.register_roles(p_roles jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE v record;
BEGIN
  INSERT INTO writ.role_catalog (role_arn, environment, sensitivity, first_seen)
  SELECT r.role_arn, r.environment, r.sensitivity, clock_timestamp()
  FROM jsonb_to_recordset(p_roles) AS r (role_arn text, environment text, sensitivity text)
  ORDER BY r.role_arn
  ON CONFLICT (role_arn) DO NOTHING;
  SELECT r.role_arn, r.environment, r.sensitivity, k.environment AS was_environment, k.sensitivity AS was INTO v
  FROM jsonb_to_recordset(p_roles) AS r (role_arn text, environment text, sensitivity text)
  JOIN writ.role_catalog k USING (role_arn)
  WHERE (r.environment, r.sensitivity) IS DISTINCT FROM (k.environment, k.sensitivity) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'role % is in the catalog as % in %, and cannot become % in %; use another role',
      v.role_arn, v.was, v.was_environment, v.sensitivity, v.environment USING ERRCODE = 'WR010';
  END IF;
END $$;

GRANT EXECUTE ON FUNCTION writ.append(jsonb), writ.sweep(interval), writ.register_roles(jsonb) TO writ_broker;
