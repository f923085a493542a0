-- What becomes of a kill: which replica writes the Deny of a role, what is there, and since when nothing is. Single
-- issuances, and all those of a grant, are revoked here.

-- One row a role that something is to die on. Lock order: a row of this table, then the head, then kills; who holds the
-- head asks for no row of this table.
CREATE TABLE writ.deny_role (
  role_arn    text PRIMARY KEY,
  holder      text NOT NULL DEFAULT 'nobody',
  -- Changes with every claim: who was paused and wakes up again marks nothing.
  fence       bigint NOT NULL DEFAULT 0,
  until       timestamptz NOT NULL DEFAULT '-infinity',
  -- The last attempt, and those in a row that failed.
  tried_at    timestamptz NOT NULL DEFAULT '-infinity',
  attempts    integer NOT NULL DEFAULT 0,
  next_at     timestamptz NOT NULL DEFAULT '-infinity',
  -- A code of ours, never text of AWS's.
  last_error  text CHECK (last_error ~ '^[a-z0-9_]{1,40}$'),
  -- When the log was last told that something is unwritten.
  told_at     timestamptz,
  -- Of our statements, as IAM had them when they were last written; null for none.
  statements_sha256 text CHECK (statements_sha256 ~ '^[0-9a-f]{64}$'),
  -- How often it was looked at since, and when the next look is due: a writer that was paused can put an older document
  -- over a newer one, and IAM has no way to forbid that.
  checks      integer NOT NULL DEFAULT 0,
  check_at    timestamptz NOT NULL DEFAULT 'infinity',
  checked_at  timestamptz
);
-- Not of each row: one that was removed and made again must not count from one again.
CREATE SEQUENCE writ.deny_fence;

-- How far what is pruned lies back: longer than any statement that may still ask for it to live on.
CREATE FUNCTION writ.prune_after() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '1 minute' $$;

-- When the next look is due after `p_checks` of them.
CREATE FUNCTION writ.check_after(p_checks integer) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_checks WHEN 0 THEN interval '5 seconds' WHEN 1 THEN interval '30 seconds' ELSE interval '5 minutes' END
$$;

-- `over` when every session of it has ended by itself; `presumed` a minute after IAM had it: that is how long it may take
-- until it holds everywhere (IAM user guide, "Changes that I make are not always immediately visible").
CREATE FUNCTION writ.kill_state(p_written timestamptz, p_ends timestamptz, p_at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_at >= p_ends THEN 'over' WHEN p_written IS NULL THEN 'asked'
    WHEN p_at < p_written + interval '60 seconds' THEN 'written' ELSE 'presumed' END
$$;

-- As in 014. What waits since long is not younger because it is asked for again, and what may have been pruned has to be
-- written anew.
CREATE OR REPLACE FUNCTION writ.ask_kill(p_role text, p_kind text, p_target text, p_cutoff timestamptz, p_ends timestamptz,
  p_at timestamptz) RETURNS void LANGUAGE sql SET search_path = writ, pg_temp AS $$
  INSERT INTO writ.kill AS k (role_arn, kind, target, cutoff, ends, asked_at)
  VALUES (p_role, p_kind, p_target, p_cutoff, p_ends, p_at)
  ON CONFLICT (role_arn, kind, target) DO UPDATE SET
    cutoff = greatest(k.cutoff, excluded.cutoff), ends = greatest(k.ends, excluded.ends),
    written_at = CASE WHEN (k.kind = 'issuance' OR excluded.cutoff <= k.cutoff) AND k.ends > excluded.asked_at THEN k.written_at END,
    asked_at = CASE WHEN k.written_at IS NULL OR ((k.kind = 'issuance' OR excluded.cutoff <= k.cutoff) AND k.ends > excluded.asked_at)
      THEN k.asked_at ELSE excluded.asked_at END
$$;

-- --- writing ----------------------------------------------------------------------------------------------

-- Makes the caller the one who writes these roles for p_seconds: those with something unwritten first, then those with
-- something to prune or to look at. Answers {role_arn, fence, attempts, statements_sha256, kills: [{id, kind, target,
-- cutoff, written, over}]} each.
CREATE FUNCTION writ.claim_denies(p_holder text, p_seconds integer, p_most integer, p_busy text[]) RETURNS SETOF jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_roles text[];
BEGIN
  INSERT INTO writ.deny_role (role_arn)
    SELECT DISTINCT k.role_arn FROM writ.kill k WHERE k.written_at IS NULL
      AND NOT EXISTS (SELECT FROM writ.deny_role d WHERE d.role_arn = k.role_arn) ORDER BY 1
    ON CONFLICT DO NOTHING;
  v_roles := ARRAY(
    WITH unwritten AS (SELECT k.role_arn, max(k.asked_at) AS asked FROM writ.kill k WHERE k.written_at IS NULL GROUP BY 1),
      over AS (SELECT DISTINCT k.role_arn FROM writ.kill k WHERE k.ends < v_now - writ.prune_after())
    SELECT d.role_arn FROM writ.deny_role d LEFT JOIN unwritten u USING (role_arn) LEFT JOIN over o USING (role_arn)
    WHERE d.until <= v_now AND d.role_arn <> ALL (p_busy)
      -- What was asked for since the last attempt does not wait for the next one.
      AND CASE WHEN d.next_at <= v_now THEN u.role_arn IS NOT NULL OR o.role_arn IS NOT NULL OR d.check_at <= v_now
               ELSE coalesce(u.asked > d.tried_at, false) END
    ORDER BY u.role_arn IS NULL, u.asked, d.role_arn LIMIT least(p_most, 100) FOR UPDATE OF d SKIP LOCKED);
  RETURN QUERY
    UPDATE writ.deny_role d SET holder = p_holder, fence = nextval('writ.deny_fence'), tried_at = v_now,
      until = v_now + make_interval(secs => least(greatest(p_seconds, 1), 60))
    WHERE d.role_arn = ANY (v_roles)
    RETURNING jsonb_build_object('role_arn', d.role_arn, 'fence', d.fence, 'attempts', d.attempts,
      'statements_sha256', d.statements_sha256, 'kills', coalesce((
        SELECT jsonb_agg(jsonb_build_object('id', k.id, 'kind', k.kind, 'target', k.target, 'cutoff', k.cutoff,
          'written', k.written_at IS NOT NULL, 'over', k.ends < v_now - writ.prune_after()) ORDER BY k.id)
        FROM writ.kill k WHERE k.role_arn = d.role_arn), '[]'));
END $$;

-- What an entry says of kills. Whom an agent acted for is not in it: the entry of the stop has that, until it is erased.
CREATE FUNCTION writ.kills_said(p_kills writ.kill[]) RETURNS jsonb LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('kind', k.kind,
    'target', CASE WHEN k.kind IN ('agent', 'issuance') THEN k.target END,
    'cutoff', CASE WHEN k.kind <> 'issuance' THEN k.cutoff END,
    'widened', CASE WHEN k.widened THEN true END)) ORDER BY k.id)
  FROM unnest(p_kills) k
$$;

-- The columns of such an entry: where the role is, and the one agent or issuance that it is about.
CREATE FUNCTION writ.deny_fields(p_role text, p_kills writ.kill[]) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  WITH about AS (
    SELECT k.kind, k.target, coalesce(i.agent, CASE WHEN k.kind = 'agent' THEN k.target END) AS agent, i.grant_id
    FROM unnest(p_kills) k LEFT JOIN writ.intent i ON k.kind = 'issuance' AND i.issuance_id = k.target
  )
  SELECT jsonb_build_object('environment', (SELECT environment FROM writ.role_catalog WHERE role_arn = p_role),
    'agent', CASE WHEN count(agent) = count(*) AND count(DISTINCT agent) = 1 THEN min(agent) END,
    'issuance_id', CASE WHEN count(*) = 1 AND bool_and(kind = 'issuance') THEN min(target) END,
    'grant_id', CASE WHEN count(grant_id) = count(*) AND count(DISTINCT grant_id) = 1 THEN min(grant_id) END)
  FROM about
$$;

-- IAM has it: read back. Takes {role_arn, fence, kills: [{id, cutoff, widened}], over: [id], document_sha256?,
-- statements_sha256?}, the kills as they were rendered; one that has been asked for again meanwhile, to reach further, stays
-- unwritten. False when somebody else has claimed the role since.
CREATE FUNCTION writ.deny_written(p jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  d writ.deny_role;
  v_over bigint[] := ARRAY(SELECT jsonb_array_elements_text(p->'over')::bigint);
  v_new bigint[];
  v_written writ.kill[];
  v_removed writ.kill[];
BEGIN
  SELECT * INTO d FROM writ.deny_role WHERE role_arn = p->>'role_arn' AND fence = (p->>'fence')::bigint FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  c := writ.log_open();
  v_new := ARRAY(SELECT id FROM writ.kill WHERE role_arn = d.role_arn AND written_at IS NULL);
  WITH rendered AS (
    SELECT (r->>'id')::bigint AS id, (r->>'cutoff')::timestamptz AS cutoff, (r->>'widened')::boolean AS widened
    FROM jsonb_array_elements(p->'kills') r
  ), marked AS (
    UPDATE writ.kill k SET written_at = coalesce(k.written_at, c.at), widened = r.widened
    FROM rendered r WHERE k.id = r.id AND k.role_arn = d.role_arn AND k.cutoff = r.cutoff
      AND (k.written_at IS NULL OR k.widened <> r.widened)
    RETURNING k.*
  ) SELECT array_agg(m::writ.kill) INTO v_written FROM marked m WHERE m.id = ANY (v_new);
  WITH gone AS (
    DELETE FROM writ.kill k WHERE k.role_arn = d.role_arn AND k.id = ANY (v_over) AND k.ends < c.at - writ.prune_after() RETURNING k.*
  ) SELECT array_agg(g::writ.kill) INTO v_removed FROM gone g;
  -- Asked for again while it was taken away.
  UPDATE writ.kill SET written_at = NULL, asked_at = c.at WHERE role_arn = d.role_arn AND id = ANY (v_over) AND written_at IS NOT NULL;
  UPDATE writ.deny_role SET until = '-infinity', attempts = 0, next_at = '-infinity', last_error = NULL, told_at = NULL,
    statements_sha256 = p->>'statements_sha256', checks = 0, checked_at = c.at, check_at = c.at + writ.check_after(0)
  WHERE role_arn = d.role_arn;
  IF v_written IS NOT NULL THEN
    c := writ.log_put(c, 'deny.written', writ.deny_fields(d.role_arn, v_written), jsonb_strip_nulls(jsonb_build_object(
      'role_arn', d.role_arn, 'kills', writ.kills_said(v_written), 'document_sha256', p->>'document_sha256',
      'widened', CASE WHEN EXISTS (SELECT FROM unnest(v_written) k WHERE k.widened) THEN true END,
      'waited_ms', (SELECT ceil(extract(epoch FROM c.at - min(k.asked_at)) * 1000)::bigint FROM unnest(v_written) k))));
  END IF;
  IF v_removed IS NOT NULL THEN
    c := writ.log_put(c, 'deny.removed', writ.deny_fields(d.role_arn, v_removed), jsonb_strip_nulls(jsonb_build_object(
      'role_arn', d.role_arn, 'kills', writ.kills_said(v_removed), 'document_sha256', p->>'document_sha256')));
  END IF;
  PERFORM writ.log_seal(c);
  RETURN true;
END $$;

-- It is as it was written. A role that nothing is to die on any more is looked at three times, then forgotten.
CREATE FUNCTION writ.deny_checked(p_role text, p_fence bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
BEGIN
  UPDATE writ.deny_role SET until = '-infinity', attempts = 0, next_at = '-infinity', last_error = NULL, checks = checks + 1,
    checked_at = clock_timestamp(), check_at = clock_timestamp() + writ.check_after(checks + 1)
  WHERE role_arn = p_role AND fence = p_fence;
  IF NOT FOUND THEN RETURN false; END IF;
  DELETE FROM writ.deny_role WHERE role_arn = p_role AND fence = p_fence AND checks >= 3
    AND NOT EXISTS (SELECT FROM writ.kill k WHERE k.role_arn = p_role);
  RETURN true;
END $$;

-- It is not: nothing of the role counts as written until it is again. The caller goes on to write it.
CREATE FUNCTION writ.deny_drifted(p_role text, p_fence bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  v_lost writ.kill[];
BEGIN
  PERFORM FROM writ.deny_role WHERE role_arn = p_role AND fence = p_fence FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  c := writ.log_open();
  WITH lost AS (
    UPDATE writ.kill k SET written_at = NULL, asked_at = c.at WHERE k.role_arn = p_role AND k.written_at IS NOT NULL AND k.ends > c.at
    RETURNING k.*
  ) SELECT array_agg(l::writ.kill) INTO v_lost FROM lost l;
  UPDATE writ.deny_role SET last_error = 'deny_drifted', told_at = c.at WHERE role_arn = p_role;
  IF v_lost IS NOT NULL THEN
    c := writ.log_put(c, 'deny.failed', writ.deny_fields(p_role, v_lost) || jsonb_build_object('code', 'deny_drifted'),
      jsonb_build_object('role_arn', p_role, 'unwritten', cardinality(v_lost), 'waited_ms', 0));
  END IF;
  PERFORM writ.log_seal(c);
  RETURN true;
END $$;

-- It could not be written, or looked at: tried again after p_delay_ms. False when somebody else has claimed the role since.
CREATE FUNCTION writ.deny_failed(p_role text, p_fence bigint, p_code text, p_delay_ms integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
BEGIN
  UPDATE writ.deny_role SET until = '-infinity', attempts = attempts + 1, last_error = p_code,
    next_at = clock_timestamp() + make_interval(secs => least(greatest(p_delay_ms, 0), 300000) / 1000.0)
  WHERE role_arn = p_role AND fence = p_fence;
  RETURN FOUND;
END $$;

-- Somebody wrote who held no claim any more: what is there now has to be looked at.
CREATE FUNCTION writ.recheck_deny(p_role text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
  UPDATE writ.deny_role SET check_at = '-infinity' WHERE role_arn = p_role
$$;

-- Tells the log of every role that something has waited on for ten seconds, and again every ten minutes. Whoever should
-- write it may hang, or be gone.
CREATE FUNCTION writ.tell_denies() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  d writ.deny_role;
  v_roles text[];
  v_late writ.kill[];
  v_n integer := 0;
BEGIN
  v_roles := ARRAY(SELECT t.role_arn FROM writ.deny_role t
    WHERE coalesce(t.told_at < clock_timestamp() - interval '10 minutes', true) AND EXISTS (SELECT FROM writ.kill k
      WHERE k.role_arn = t.role_arn AND k.written_at IS NULL AND k.asked_at < clock_timestamp() - interval '10 seconds'
        AND k.ends > clock_timestamp())
    ORDER BY t.role_arn LIMIT 100 FOR UPDATE SKIP LOCKED);
  IF v_roles = '{}' THEN RETURN 0; END IF;
  c := writ.log_open();
  FOR d IN SELECT * FROM writ.deny_role WHERE role_arn = ANY (v_roles) ORDER BY role_arn LOOP
    v_late := ARRAY(SELECT k FROM writ.kill k WHERE k.role_arn = d.role_arn AND k.written_at IS NULL AND k.ends > c.at);
    CONTINUE WHEN v_late = '{}';
    UPDATE writ.deny_role SET told_at = c.at WHERE role_arn = d.role_arn;
    c := writ.log_put(c, 'deny.failed',
      writ.deny_fields(d.role_arn, v_late) || jsonb_build_object('code', coalesce(d.last_error, 'deny_pending')),
      jsonb_build_object('role_arn', d.role_arn, 'unwritten', cardinality(v_late),
        'waited_ms', (SELECT ceil(extract(epoch FROM c.at - min(k.asked_at)) * 1000)::bigint FROM unnest(v_late) k)));
    v_n := v_n + 1;
  END LOOP;
  PERFORM writ.log_seal(c);
  RETURN v_n;
END $$;

-- --- revoking issuances -----------------------------------------------------------------------------------

-- Sessions that are handed out no more, whatever becomes of the Deny.
CREATE TABLE writ.revoked_issuance (
  issuance_id text PRIMARY KEY REFERENCES writ.intent (issuance_id),
  entry_idx   bigint NOT NULL UNIQUE,
  at          timestamptz NOT NULL,
  operator    text NOT NULL
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.revoked_issuance
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.revoked_issuance EXECUTE FUNCTION writ.refuse_change();

-- Under the head's lock. `p_cause` is the grant whose end this is, if any.
CREATE FUNCTION writ.kill_issuance(c INOUT writ.log_cursor, i writ.intent, p_operator text, p_cause text, p_personal jsonb, p_seen jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE v_issued timestamptz;
BEGIN
  INSERT INTO writ.revoked_issuance (issuance_id, entry_idx, at, operator) VALUES (i.issuance_id, c.next_idx, c.at, p_operator);
  -- AWS issued it before the outcome was told; where none is, it may be issuing it now. The margin: clocks differ.
  SELECT o.at INTO v_issued FROM writ.outcome o WHERE o.issuance_id = i.issuance_id;
  PERFORM writ.ask_kill(i.role_arn, 'issuance', i.issuance_id, date_trunc('second', coalesce(v_issued, c.at)) + interval '61 seconds',
    i.not_after + interval '5 minutes', c.at);
  c := writ.log_put(c, 'issuance.revoked', jsonb_build_object('agent', i.agent, 'environment', i.environment,
      'issuance_id', i.issuance_id, 'grant_id', i.grant_id, 'operator', p_operator),
    jsonb_strip_nulls(jsonb_build_object('role_arn', i.role_arn, 'cause', p_cause)), p_personal,
    coalesce(p_seen, '{}') || coalesce((SELECT jsonb_build_object('human', e.human) FROM writ.entry e
      WHERE e.idx = i.entry_idx AND e.human IS NOT NULL), '{}'));
END $$;

-- Takes {issuance_id, operator, reason, personal?, seen?}. Answers {status: ok, already, over} or {status: refused, code}.
-- From its commit on the session is handed to nobody.
CREATE FUNCTION writ.revoke_issuance(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  i writ.intent;
BEGIN
  SELECT * INTO i FROM writ.intent WHERE issuance_id = p->>'issuance_id';
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  c := writ.log_open();
  IF EXISTS (SELECT FROM writ.revoked_issuance WHERE issuance_id = i.issuance_id) THEN
    RETURN jsonb_build_object('status', 'ok', 'already', true, 'over', c.at >= i.not_after);
  END IF;
  -- There is nothing left to kill.
  IF c.at >= i.not_after THEN RETURN jsonb_build_object('status', 'ok', 'already', false, 'over', true); END IF;
  c := writ.kill_issuance(c, i, p->>'operator', NULL, coalesce(p->'personal', '{}') || jsonb_build_object('reason', p->>'reason'), p->'seen');
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'already', false, 'over', false);
END $$;

-- As in 007, and every session on it is to die.
CREATE OR REPLACE FUNCTION writ.revoke_grant(p_id text, p_operator text, p_reason text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  g writ.grants;
  r writ.grant_request;
  i writ.intent;
BEGIN
  SELECT * INTO g FROM writ.grants WHERE id = p_id FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF g.revoked_at IS NOT NULL THEN RETURN jsonb_build_object('status', 'ok', 'already', true); END IF;
  SELECT * INTO STRICT r FROM writ.grant_request WHERE id = g.request_id;
  c := writ.log_open();
  UPDATE writ.grants SET revoked_at = c.at, revoked_by = p_operator, revoke_reason = p_reason WHERE id = g.id;
  c := writ.log_put(c, 'grant.revoked', writ.request_fields(r) || jsonb_build_object('grant_id', g.id, 'operator', p_operator),
    jsonb_build_object('uses', g.uses), jsonb_build_object('reason', p_reason), writ.request_seen(r));
  -- Nothing is intended on it meanwhile: that would take the grant's row.
  FOR i IN SELECT t.* FROM writ.intent t WHERE t.grant_id = g.id AND t.not_after > c.at
           AND NOT EXISTS (SELECT FROM writ.revoked_issuance v WHERE v.issuance_id = t.issuance_id) ORDER BY t.entry_idx LOOP
    c := writ.kill_issuance(c, i, p_operator, 'grant', jsonb_build_object('reason', p_reason), writ.request_seen(r));
  END LOOP;
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'already', false);
END $$;

CREATE FUNCTION writ.is_revoked(p_issuance text) RETURNS boolean LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  SELECT EXISTS (SELECT FROM writ.revoked_issuance WHERE issuance_id = p_issuance)
$$;

-- As in 007, and nothing that was revoked is handed out again.
CREATE OR REPLACE FUNCTION writ.put_delivery(c writ.log_cursor, p jsonb, OUT entry writ.entry, OUT intent writ.intent,
  OUT outcome writ.outcome, OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  i writ.issuance;
  g writ.grants;
BEGIN
  SELECT * INTO i FROM writ.issuance WHERE issuance_id = p->>'issuance_id';
  SELECT * INTO g FROM writ.grants WHERE id = i.grant_id;
  verdict := jsonb_build_object('status', 'refused', 'at', c.at, 'code', CASE
    WHEN i.issuance_id IS NULL OR i.state <> 'issued' OR i.agent <> p->>'agent' OR c.at >= i.not_after THEN 'session_over'
    WHEN writ.is_revoked(i.issuance_id) THEN 'session_over'
    WHEN g.revoked_at IS NOT NULL THEN 'grant_revoked'
    WHEN c.at >= g.expires_at THEN 'grant_expired' END);
  IF verdict->>'code' IS NOT NULL THEN
    RETURN;
  END IF;
  entry := writ.log_compose(c, 'issuance.delivered', jsonb_build_object(
    'agent', i.agent, 'environment', i.environment, 'issuance_id', i.issuance_id, 'grant_id', i.grant_id),
    p->'payload', p->'personal', p->'seen');
  verdict := jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at);
END $$;

-- As in 007. Revoked while AWS was minting: recorded as issued, because it exists, and not handed out, however often it
-- is told.
CREATE OR REPLACE FUNCTION writ.put_outcome(c writ.log_cursor, p jsonb, OUT entry writ.entry, OUT intent writ.intent,
  OUT outcome writ.outcome, OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  v_old writ.outcome;
  i writ.intent;
  g writ.grants;
BEGIN
  SELECT * INTO i FROM writ.intent WHERE issuance_id = p->>'issuance_id';
  SELECT * INTO v_old FROM writ.outcome WHERE issuance_id = p->>'issuance_id';
  IF v_old.issuance_id IS NOT NULL THEN
    -- Swept as abandoned while AWS was slow, or told twice: only the very same outcome may be delivered on.
    verdict := CASE WHEN v_old.state = p->>'state' AND v_old.access_key_id IS NOT DISTINCT FROM p->>'access_key_id'
      THEN jsonb_build_object('status', 'ok', 'index', v_old.entry_idx, 'at', v_old.at)
      ELSE jsonb_build_object('status', 'refused', 'code', 'outcome_conflict', 'index', v_old.entry_idx, 'at', v_old.at) END;
  ELSE
    IF i.issuance_id IS NULL THEN
      RAISE EXCEPTION 'outcome without an intent' USING ERRCODE = 'WR008';
    END IF;
    IF p->>'state' NOT IN ('issued', 'failed') THEN
      RAISE EXCEPTION 'not an outcome: %', p->>'state' USING ERRCODE = 'WR008';
    END IF;
    outcome.issuance_id := i.issuance_id;
    outcome.entry_idx := c.next_idx;
    outcome.at := c.at;
    outcome.state := p->>'state';
    outcome.access_key_id := p->>'access_key_id';
    outcome.expires_at := (p->>'expires_at')::timestamptz;
    outcome.error_code := p->>'error_code';
    outcome.packed_policy_percent := (p->>'packed_policy_percent')::integer;
    outcome.intent_idx := i.entry_idx;
    entry := writ.log_compose(c, 'issuance.' || (p->>'state'), jsonb_build_object(
      'agent', i.agent, 'environment', i.environment, 'issuance_id', i.issuance_id, 'grant_id', i.grant_id,
      'code', p->>'error_code'), jsonb_strip_nulls(p - '{op,state,error_code,seen}'::text[]), NULL, p->'seen');
    verdict := jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at);
  END IF;
  IF p->>'state' = 'issued' AND verdict->>'status' = 'ok' THEN
    SELECT * INTO g FROM writ.grants WHERE id = i.grant_id;
    IF g.revoked_at IS NOT NULL THEN
      verdict := verdict || jsonb_build_object('status', 'refused', 'code', 'grant_revoked');
    ELSIF writ.is_revoked(i.issuance_id) THEN
      verdict := verdict || jsonb_build_object('status', 'refused', 'code', 'session_over');
    END IF;
  END IF;
END $$;

-- What becomes of an issuance that is to die: by itself, or with its agent, its human (`p_human`, the value of its session
-- tag) or its role, whichever got furthest.
CREATE FUNCTION writ.issuance_end(p_issuance text, p_human text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
  SELECT jsonb_build_object('issuance_id', i.issuance_id, 'agent', i.agent, 'environment', i.environment, 'role', i.role_arn,
    'state', CASE WHEN clock_timestamp() >= i.not_after THEN 'over'
      WHEN k.id IS NULL THEN 'none' ELSE writ.kill_state(k.written_at, i.not_after, clock_timestamp()) END,
    'by', k.kind, 'revoked_at', v.at, 'revoked_by', v.operator, 'asked_at', k.asked_at, 'written_at', k.written_at,
    'presumed_at', k.written_at + interval '60 seconds', 'ends_at', i.not_after, 'widened', coalesce(k.widened, false),
    'problem', CASE WHEN k.written_at IS NULL THEN d.last_error END)
  FROM writ.intent i LEFT JOIN writ.outcome o USING (issuance_id) LEFT JOIN writ.revoked_issuance v USING (issuance_id)
  LEFT JOIN LATERAL (
    SELECT * FROM writ.kill t WHERE t.role_arn = i.role_arn AND ((t.kind = 'issuance' AND t.target = i.issuance_id)
      OR ((t.kind = 'role' OR (t.kind = 'agent' AND t.target = i.agent) OR (t.kind = 'human' AND t.target = p_human)) AND t.cutoff > coalesce(o.at, i.at)))
    ORDER BY t.written_at NULLS LAST, t.id LIMIT 1) k ON true
  LEFT JOIN writ.deny_role d ON d.role_arn = i.role_arn
  WHERE i.issuance_id = p_issuance
$$;

GRANT SELECT ON writ.deny_role, writ.revoked_issuance TO writ_broker;
GRANT EXECUTE ON FUNCTION writ.kill_state(timestamptz, timestamptz, timestamptz), writ.claim_denies(text, integer, integer, text[]),
  writ.deny_written(jsonb), writ.deny_checked(text, bigint), writ.deny_drifted(text, bigint),
  writ.deny_failed(text, bigint, text, integer), writ.recheck_deny(text), writ.tell_denies(), writ.revoke_issuance(jsonb),
  writ.issuance_end(text, text) TO writ_broker;
