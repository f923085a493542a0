-- Stops: one row an engaged or released one, and what is stopped at this moment, which every append looks at. What is
-- to die in IAM because of them. How fast each agent goes, counted where everybody counts the same.

ALTER TABLE writ.challenge
  DROP CONSTRAINT challenge_purpose_check,
  ADD CONSTRAINT challenge_purpose_check
    CHECK (purpose IN ('decision', 'vouch', 'release', 'close', 'register', 'sign-in'));

CREATE TABLE writ.stop (
  id          text PRIMARY KEY CHECK (id ~ '^[0-9a-z]{12}$'),
  kind        text NOT NULL CHECK (kind IN ('agent', 'human', 'environment', 'account', 'everything')),
  -- Empty for everything. A human's is forgotten at the release; the entry has it beside it until it is erased.
  name        text,
  engaged_idx bigint NOT NULL UNIQUE,
  -- Of that entry, which may be archived before the release that names it.
  leaf        bytea NOT NULL CHECK (length(leaf) = 32),
  engaged_at  timestamptz NOT NULL,
  -- Null where the broker did it by itself.
  engaged_by  text,
  -- Every session that AWS issued before this is to die. Later than the stop: clocks differ, and a session may have
  -- been under way.
  cutoff      timestamptz NOT NULL CHECK (cutoff >= engaged_at),
  approvals_needed integer NOT NULL CHECK (approvals_needed IN (1, 2)),
  -- What was to die because of it; a row that is gone is over.
  kills       bigint[] NOT NULL,
  released_at timestamptz,
  released_by text[],
  CHECK ((released_at IS NULL) = (released_by IS NULL)),
  CHECK (released_at IS NULL OR cardinality(released_by) >= approvals_needed),
  CHECK (name IS NOT NULL OR (kind = 'human' AND released_at IS NOT NULL)),
  CHECK (engaged_by IS NOT NULL OR (kind = 'agent' AND approvals_needed = 1)),
  CHECK (engaged_by IS NULL OR approvals_needed = 2)
);
-- Somebody's beside the broker's own: else what a human stops after the broker did would be released by one.
CREATE UNIQUE INDEX stop_engaged ON writ.stop (kind, lower(name), (engaged_by IS NULL)) WHERE released_at IS NULL;
CREATE INDEX stop_at ON writ.stop (engaged_at DESC, id);

-- Who wants it released, each with a signature over just that.
CREATE TABLE writ.stop_release (
  stop_id  text NOT NULL REFERENCES writ.stop (id),
  operator text NOT NULL,
  operator_names text[] NOT NULL CHECK (operator = ANY (operator_names)),
  at       timestamptz NOT NULL,
  proof    jsonb NOT NULL,
  PRIMARY KEY (stop_id, operator)
);

-- In lower case, and gone with the release. An agent in a stopped environment is stopped there, whoever asks.
CREATE TABLE writ.stopped (
  kind    text NOT NULL,
  name    text NOT NULL CHECK (name = lower(name)),
  stop_id text NOT NULL REFERENCES writ.stop (id),
  PRIMARY KEY (kind, name, stop_id)
);

-- A stop is released once; nothing else about it changes.
CREATE FUNCTION writ.guard_stop() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE mutable text[] := ARRAY['released_at', 'released_by', 'name'];
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.released_at IS NULL AND NEW.released_at >= OLD.cutoff
     AND to_jsonb(NEW) - mutable = to_jsonb(OLD) - mutable
     AND (NEW.name = OLD.name OR (NEW.name IS NULL AND OLD.kind = 'human'))
     AND NEW.released_by = ARRAY(SELECT operator FROM writ.stop_release WHERE stop_id = OLD.id ORDER BY operator) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a stop can only be released, once, by those who signed' USING ERRCODE = 'WR001';
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON writ.stop FOR EACH ROW EXECUTE FUNCTION writ.guard_stop();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.stop EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.stop_release
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.stop_release EXECUTE FUNCTION writ.refuse_change();

-- What is stopped cannot be started by taking its row away.
CREATE FUNCTION writ.guard_stopped() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM writ.stop WHERE id = OLD.stop_id AND released_at IS NOT NULL) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'the stop is engaged' USING ERRCODE = 'WR001';
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON writ.stopped FOR EACH ROW EXECUTE FUNCTION writ.guard_stopped();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.stopped EXECUTE FUNCTION writ.refuse_change();

-- The stop that holds for a request, if any. `p_humans`: the owner, and whom the agent acts for.
CREATE FUNCTION writ.stop_on(p_agent text, p_environment text, p_account text, p_humans text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  SELECT stop_id FROM writ.stopped WHERE kind = 'agent' AND name = lower(p_agent)
  UNION ALL SELECT stop_id FROM writ.stopped WHERE kind = 'environment' AND name = lower(p_environment)
  UNION ALL SELECT stop_id FROM writ.stopped WHERE kind = 'account' AND name = p_account
  UNION ALL SELECT stop_id FROM writ.stopped WHERE kind = 'everything'
  UNION ALL SELECT stop_id FROM writ.stopped WHERE kind = 'human' AND name = ANY (ARRAY(SELECT lower(x) FROM unnest(p_humans) x))
  LIMIT 1
$$;

-- Twelve digits, from an ARN of a role.
CREATE FUNCTION writ.account_of(p_role_arn text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT split_part(p_role_arn, ':', 5)
$$;

-- --- what is to die in IAM --------------------------------------------------------------------------------

-- Sessions of a role that a Deny has to hit: of one agent, for one human, one issuance, or all of the role. Kept until
-- every one of them is over by itself. 015 has what becomes of it.
CREATE TABLE writ.kill (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  role_arn   text NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('agent', 'human', 'issuance', 'role')),
  -- Agent, value of the session tag that names the human, issuance id; empty for the role.
  target     text NOT NULL,
  -- Whose token was issued before this; a deny on one issuance needs none.
  cutoff     timestamptz NOT NULL,
  ends       timestamptz NOT NULL,
  asked_at   timestamptz NOT NULL,
  -- When IAM had the Deny, read back; null before.
  written_at timestamptz,
  -- Written as a cutoff for the whole role, for want of room.
  widened    boolean NOT NULL DEFAULT false,
  UNIQUE (role_arn, kind, target)
);
CREATE INDEX kill_ends ON writ.kill (ends);
CREATE INDEX kill_unwritten ON writ.kill (role_arn) WHERE written_at IS NULL;
CREATE INDEX kill_by_target ON writ.kill (kind, target);

-- No session of Writ's lives longer (AssumeRole, DurationSeconds).
CREATE FUNCTION writ.longest_session() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '12 hours' $$;

-- Asked for again, it reaches further and has to be written anew.
CREATE FUNCTION writ.ask_kill(p_role text, p_kind text, p_target text, p_cutoff timestamptz, p_ends timestamptz, p_at timestamptz)
RETURNS void LANGUAGE sql SET search_path = writ, pg_temp AS $$
  INSERT INTO writ.kill AS k (role_arn, kind, target, cutoff, ends, asked_at)
  VALUES (p_role, p_kind, p_target, p_cutoff, p_ends, p_at)
  ON CONFLICT (role_arn, kind, target) DO UPDATE SET
    cutoff = greatest(k.cutoff, excluded.cutoff), ends = greatest(k.ends, excluded.ends), asked_at = excluded.asked_at,
    written_at = CASE WHEN k.kind <> 'issuance' AND excluded.cutoff > k.cutoff THEN NULL ELSE k.written_at END
$$;

CREATE TYPE writ.kill_target AS (role_arn text, kind text, target text);

-- The few sessions that are not over, among all there ever were.
CREATE INDEX intent_not_after ON writ.intent (not_after);

-- What has to die for a stop by what was intended from an entry on and is not over. Only what a token proved of a human
-- is in a session's tags; what an agent said itself dies one by one.
CREATE FUNCTION writ.sessions_out(p_kind text, p_name text, p_agents text[], p_humans text[], p_tags text[], p_from bigint, p_at timestamptz)
RETURNS SETOF writ.kill_target LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  SELECT i.role_arn, 'role', '' FROM writ.intent i
    WHERE p_kind IN ('environment', 'account', 'everything') AND i.not_after > p_at AND i.entry_idx >= p_from
      AND (p_kind = 'everything' OR (p_kind = 'environment' AND i.environment = p_name)
        OR (p_kind = 'account' AND writ.account_of(i.role_arn) = p_name))
  UNION SELECT i.role_arn, 'agent', i.agent FROM writ.intent i
    WHERE i.agent = ANY (p_agents) AND i.not_after > p_at AND i.entry_idx >= p_from
  UNION SELECT h.role_arn, CASE WHEN h.claimed THEN 'issuance' ELSE 'human' END, CASE WHEN h.claimed THEN h.issuance_id ELSE tag END
    FROM (SELECT i.role_arn, i.issuance_id,
            coalesce(convert_from(e.personal, 'UTF8')::jsonb->>'human_how' = 'self-claimed', false) AS claimed
          FROM writ.intent i JOIN writ.entry e ON e.idx = i.entry_idx
          WHERE p_kind = 'human' AND i.not_after > p_at AND i.entry_idx >= p_from AND lower(e.human) = ANY (p_humans)) h
      CROSS JOIN LATERAL unnest(CASE WHEN h.claimed THEN '{-}' ELSE p_tags END) tag
$$;

-- --- engaging and releasing -------------------------------------------------------------------------------

-- A list of the log's, or nothing where it would not fit into an entry.
CREATE FUNCTION writ.short_list(p_names text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN octet_length(to_jsonb(p_names)::text) <= 24000 THEN to_jsonb(p_names) END
$$;

-- Takes {id, kind, name, names, agents, tags, roles, operator?, reason, proof?, cause?, personal, seen}: `names` are all
-- names of what is stopped (of a human, every one that policy knows), `agents` [{name, roles}] with the roles that policy
-- gives them (the agent itself, or those that a human owns), `tags` the values of the session tag that name the human,
-- `roles` those of an environment, an account, or all. Answers {status: ok, id, created, index, at, cutoff}.
--
-- From its commit on no append lets anything of it through, on whichever replica: they all take the head's lock.
CREATE FUNCTION writ.engage_stop(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  s writ.stop;
  v_kind text := p->>'kind';
  v_name text := coalesce(p->>'name', '');
  v_names text[] := ARRAY(SELECT DISTINCT lower(x) FROM jsonb_array_elements_text(coalesce(p->'names', '[]') || to_jsonb(v_name)) x);
  v_agents text[] := ARRAY(SELECT DISTINCT x->>'name' FROM jsonb_array_elements(coalesce(p->'agents', '[]')) x ORDER BY 1);
  v_tags text[] := ARRAY(SELECT DISTINCT jsonb_array_elements_text(coalesce(p->'tags', '[]')));
  v_from bigint;
  v_want writ.kill_target[];
  v_want_one writ.kill_target;
  v_kills bigint[];
  v_roles text[];
  v_cutoff timestamptz;
  v_needed integer;
BEGIN
  -- Most of the looking before the head is held: everything below this index is visible, and what comes after is looked
  -- at again.
  SELECT size INTO v_from FROM writ.log_head;
  v_want := ARRAY(
    SELECT ROW(r, 'role', '')::writ.kill_target FROM jsonb_array_elements_text(coalesce(p->'roles', '[]')) r
    UNION SELECT ROW(r, 'agent', a->>'name')::writ.kill_target
      FROM jsonb_array_elements(coalesce(p->'agents', '[]')) a, jsonb_array_elements_text(a->'roles') r
    UNION SELECT x::writ.kill_target FROM writ.sessions_out(v_kind, v_name, v_agents, v_names, v_tags, 0, clock_timestamp()) x);
  c := writ.log_open();
  SELECT * INTO s FROM writ.stop WHERE kind = v_kind AND lower(name) = lower(v_name) AND released_at IS NULL
    AND (engaged_by IS NOT NULL OR p->>'operator' IS NULL) ORDER BY engaged_by IS NULL LIMIT 1;
  IF FOUND THEN
    RETURN jsonb_build_object('status', 'ok', 'id', s.id, 'created', false, 'index', s.engaged_idx, 'at', s.engaged_at, 'cutoff', s.cutoff);
  END IF;
  v_want := v_want || ARRAY(SELECT x::writ.kill_target FROM writ.sessions_out(v_kind, v_name, v_agents, v_names, v_tags, v_from, c.at) x);
  v_roles := ARRAY(SELECT DISTINCT role_arn FROM unnest(v_want) ORDER BY 1);
  -- The margin: what was being minted as the stop came may live a little longer than any intent says.
  v_cutoff := date_trunc('second', c.at) + interval '60 seconds';
  FOR v_want_one IN SELECT DISTINCT (x).* FROM unnest(v_want) x ORDER BY 1, 2, 3 LOOP
    PERFORM writ.ask_kill(v_want_one.role_arn, v_want_one.kind, v_want_one.target, v_cutoff,
      v_cutoff + writ.longest_session(), c.at);
  END LOOP;
  v_kills := ARRAY(SELECT k.id FROM writ.kill k WHERE (k.role_arn, k.kind, k.target) IN (SELECT w.role_arn, w.kind, w.target
    FROM unnest(v_want) w) ORDER BY k.id);
  v_needed := CASE WHEN p->>'operator' IS NULL THEN 1 ELSE 2 END;
  c := writ.log_put(c, 'stop.engaged', jsonb_build_object('operator', p->>'operator',
      'agent', CASE WHEN v_kind = 'agent' THEN v_name END, 'environment', CASE WHEN v_kind = 'environment' THEN v_name END),
    jsonb_strip_nulls(jsonb_build_object('stop', p->>'id', 'stops', v_kind,
      'name', CASE WHEN v_kind <> 'human' THEN nullif(v_name, '') END,
      'agents', CASE WHEN v_kind = 'human' THEN writ.short_list(v_agents) END, 'cutoff', v_cutoff,
      'approvals_needed', v_needed, 'roles', writ.short_list(v_roles), 'denies', cardinality(v_kills),
      'proof', p->'proof', 'cause', p->'cause')),
    coalesce(p->'personal', '{}') || jsonb_build_object('reason', p->>'reason', 'human', CASE WHEN v_kind = 'human' THEN v_name END),
    coalesce(p->'seen', '{}'));
  INSERT INTO writ.stop (id, kind, name, engaged_idx, leaf, engaged_at, engaged_by, cutoff, approvals_needed, kills)
  VALUES (p->>'id', v_kind, v_name, c.next_idx - 1, substr(c.leaves, length(c.leaves) - 31), c.at, p->>'operator', v_cutoff, v_needed, v_kills)
  RETURNING * INTO s;
  INSERT INTO writ.stopped (kind, name, stop_id)
    SELECT v_kind, x, s.id FROM unnest(v_names) x
    -- Whoever owns them meanwhile: they go on with the release.
    UNION SELECT 'agent', lower(x), s.id FROM unnest(v_agents) x;
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'id', s.id, 'created', true, 'index', s.engaged_idx, 'at', s.engaged_at, 'cutoff', s.cutoff);
END $$;

-- Takes back every pending request of what is stopped. A row waits for nobody who waits for the head, so this comes after
-- the stop and not within it; until then the trigger below keeps such a request from becoming a grant.
CREATE FUNCTION writ.withdraw_stopped() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  r writ.grant_request;
  v_ids text[];
  v_n integer := 0;
BEGIN
  IF NOT EXISTS (SELECT FROM writ.stopped) THEN RETURN 0; END IF;
  v_ids := ARRAY(SELECT q.id FROM writ.grant_request q WHERE q.state = 'pending'
    AND writ.stop_on(q.agent, q.environment, q.account, q.barred_humans || coalesce(q.human, '')) IS NOT NULL
    ORDER BY q.id LIMIT 1000 FOR UPDATE);
  IF v_ids = '{}' THEN RETURN 0; END IF;
  c := writ.log_open();
  FOR r IN UPDATE writ.grant_request SET state = 'withdrawn', closed_at = c.at
           WHERE id = ANY (v_ids) AND state = 'pending'
             -- Released while this waited for the head.
             AND writ.stop_on(agent, environment, account, barred_humans || coalesce(human, '')) IS NOT NULL RETURNING * LOOP
    c := writ.log_put(c, 'grant_request.withdrawn', writ.request_fields(r),
      jsonb_build_object('by', 'stop:' || writ.stop_on(r.agent, r.environment, r.account, r.barred_humans || coalesce(r.human, ''))),
      NULL, writ.request_seen(r));
    v_n := v_n + 1;
  END LOOP;
  PERFORM writ.log_seal(c);
  RETURN v_n;
END $$;

-- Nothing is asked for, and nothing granted, while it is stopped. Under the head's lock, as every request and grant comes.
CREATE FUNCTION writ.guard_stopped_request() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE r writ.grant_request;
BEGIN
  IF NOT EXISTS (SELECT FROM writ.stopped) THEN RETURN NEW; END IF;
  IF TG_TABLE_NAME = 'grant_request' THEN r := NEW;
  ELSE SELECT * INTO STRICT r FROM writ.grant_request WHERE id = NEW.request_id;
  END IF;
  IF writ.stop_on(r.agent, r.environment, r.account, r.barred_humans || coalesce(r.human, '')) IS NOT NULL THEN
    RAISE EXCEPTION 'stopped' USING ERRCODE = 'WR012';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stopped BEFORE INSERT ON writ.grant_request FOR EACH ROW EXECUTE FUNCTION writ.guard_stopped_request();
CREATE TRIGGER stopped BEFORE INSERT ON writ.grants FOR EACH ROW EXECUTE FUNCTION writ.guard_stopped_request();

-- One person's signature that a stop be released; with as many as it takes, it is. Takes {stop_id, operator, operator_names,
-- proof, challenge, sign_count, personal, seen}. Answers {status: ok, released, signed, needed} or {status: refused, code,
-- seconds?}. Whoever is stopped does not release themselves.
CREATE FUNCTION writ.release_stop(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  s writ.stop;
  d jsonb := writ.document_of(p->'proof'->>'document');
  v_names text[] := ARRAY(SELECT jsonb_array_elements_text(p->'operator_names'));
  v_signed text[];
  v_refused text;
  v_about jsonb;
BEGIN
  SELECT * INTO s FROM writ.stop WHERE id = p->>'stop_id' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF s.released_at IS NOT NULL THEN RETURN jsonb_build_object('status', 'refused', 'code', 'stop_released'); END IF;
  IF EXISTS (SELECT FROM writ.stop_release x WHERE x.stop_id = s.id AND writ.share_a_name(x.operator_names, v_names)) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'already_decided');
  END IF;
  IF s.kind = 'human' AND EXISTS (SELECT FROM writ.stopped x JOIN unnest(v_names) n ON x.name = lower(n)
                                  WHERE x.stop_id = s.id AND x.kind = 'human') THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'approver_is_beneficiary');
  END IF;
  -- Sessions from before the cutoff are dead; one from after it has to be from after the stop too.
  IF clock_timestamp() < s.cutoff THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'stop_too_fresh',
      'seconds', ceil(extract(epoch FROM s.cutoff - clock_timestamp())));
  END IF;
  IF NOT coalesce(d ?& '{origin,rp_id,nonce,issued_at,expires_at}'
      AND d - '{origin,rp_id,nonce,issued_at,expires_at}'::text[] = jsonb_build_object('type', 'writ.release.v1',
        'operator', p->>'operator', 'stop', s.id, 'stops', s.kind, 'name', CASE WHEN s.kind <> 'human' THEN s.name END,
        'approvals_needed', s.approvals_needed,
        'stop_leaf', encode(s.leaf, 'hex')), false) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'signed_something_else');
  END IF;
  v_refused := writ.take_signature('release', p->>'operator', p->'proof', p->>'challenge', (p->>'sign_count')::bigint);
  IF v_refused IS NOT NULL THEN RETURN jsonb_build_object('status', 'refused', 'code', v_refused); END IF;
  c := writ.log_open();
  IF NOT writ.in_date(d) THEN RETURN jsonb_build_object('status', 'refused', 'code', 'challenge_over'); END IF;
  INSERT INTO writ.stop_release (stop_id, operator, operator_names, at, proof) VALUES (s.id, p->>'operator', v_names, c.at, p->'proof');
  v_about := jsonb_build_object('agent', CASE WHEN s.kind = 'agent' THEN s.name END,
    'environment', CASE WHEN s.kind = 'environment' THEN s.name END);
  c := writ.log_put(c, 'stop.release_signed', v_about || jsonb_build_object('operator', p->>'operator'),
    jsonb_build_object('stop', s.id, 'proof_kind', p->'proof'->>'kind', 'proof', p->'proof'), p->'personal', p->'seen');
  v_signed := ARRAY(SELECT operator FROM writ.stop_release WHERE stop_id = s.id ORDER BY operator);
  IF cardinality(v_signed) >= s.approvals_needed THEN
    UPDATE writ.stop SET released_at = c.at, released_by = v_signed, name = CASE WHEN kind <> 'human' THEN name END WHERE id = s.id;
    DELETE FROM writ.stopped WHERE stop_id = s.id;
    c := writ.log_put(c, 'stop.released', v_about,
      jsonb_strip_nulls(jsonb_build_object('stop', s.id, 'stops', s.kind, 'name', CASE WHEN s.kind <> 'human' THEN nullif(s.name, '') END,
        'released_by', v_signed)), NULL, CASE WHEN s.kind = 'human' THEN jsonb_build_object('human', s.name) END);
  END IF;
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'released', cardinality(v_signed) >= s.approvals_needed,
    'signed', cardinality(v_signed), 'needed', s.approvals_needed);
END $$;

-- As in 004. Two replicas that start at once put the same roles in: whichever of the unique indexes finds out first.
CREATE OR REPLACE FUNCTION writ.register_roles(p_roles jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE v record;
BEGIN
  INSERT INTO writ.role_catalog (role_arn, environment, sensitivity, first_seen)
  SELECT r.role_arn, r.environment, r.sensitivity, clock_timestamp()
  FROM jsonb_to_recordset(p_roles) AS r (role_arn text, environment text, sensitivity text)
  ORDER BY r.role_arn
  ON CONFLICT DO NOTHING;
  SELECT r.role_arn, r.environment, r.sensitivity, k.environment AS was_environment, k.sensitivity AS was INTO v
  FROM jsonb_to_recordset(p_roles) AS r (role_arn text, environment text, sensitivity text)
  JOIN writ.role_catalog k USING (role_arn)
  WHERE (r.environment, r.sensitivity) IS DISTINCT FROM (k.environment, k.sensitivity) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'role % is in the catalog as % in %, and cannot become % in %; use another role',
      v.role_arn, v.was, v.was_environment, v.sensitivity, v.environment USING ERRCODE = 'WR010';
  END IF;
END $$;

-- --- how fast an agent goes -------------------------------------------------------------------------------

-- Counts by slots of time: `issued` of 10 s, `expires` of 5 min (when sessions end), `denied`, `over` and `red` of a
-- minute. What was denied in no known environment stands under an empty name and counts in all: made-up names fill no
-- table and hide nothing. Counted under the head's lock, so that no two replicas each see the last place free.
CREATE TABLE writ.pace (
  agent       text NOT NULL,
  environment text NOT NULL,
  what        text NOT NULL,
  slot        bigint NOT NULL,
  n           integer NOT NULL,
  PRIMARY KEY (agent, environment, what, slot)
) WITH (fillfactor = 60);

-- The scopes of sessions, each with the last slot of 5 min that one was begun with it in.
CREATE TABLE writ.pace_scope (
  agent       text NOT NULL,
  environment text NOT NULL,
  scope       text NOT NULL,
  slot        bigint NOT NULL,
  PRIMARY KEY (agent, environment, scope)
) WITH (fillfactor = 60);

CREATE FUNCTION writ.slot_of(p_at timestamptz, p_seconds integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT floor(extract(epoch FROM p_at) / p_seconds)::bigint
$$;

-- Sessions that are out already count from the first day.
INSERT INTO writ.pace (agent, environment, what, slot, n)
SELECT i.agent, i.environment, 'expires', writ.slot_of(i.not_after, 300), count(*)
FROM writ.intent i LEFT JOIN writ.outcome o USING (issuance_id)
WHERE i.entry_idx >= coalesce((SELECT first_idx FROM writ.log_batch WHERE at > now() - writ.longest_session() ORDER BY at, first_idx LIMIT 1), 0)
  AND i.not_after > now() AND o.state IS DISTINCT FROM 'failed'
GROUP BY 1, 2, 4;

CREATE FUNCTION writ.pace_add(p_agent text, p_environment text, p_what text, p_slot bigint, p_n integer) RETURNS void
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
BEGIN
  INSERT INTO writ.pace AS t (agent, environment, what, slot, n) VALUES (p_agent, p_environment, p_what, p_slot, p_n)
  ON CONFLICT (agent, environment, what, slot) DO UPDATE SET n = t.n + excluded.n;
END $$;

-- Attempts (`over`, `red`) within the last hour.
CREATE FUNCTION writ.attempts_of(p_agent text, p_environment text, p_what text, p_at timestamptz) RETURNS integer
LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  SELECT coalesce(sum(n), 0)::integer FROM writ.pace
  WHERE agent = p_agent AND environment IN (p_environment, '') AND what = p_what AND slot >= writ.slot_of(p_at, 60) - 60
$$;

-- Whoever is let go on begins anew: with the attempts of before, the next one alone would stop it again.
CREATE FUNCTION writ.forget_attempts() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
BEGIN
  DELETE FROM writ.pace WHERE agent = OLD.name AND what IN ('over', 'red');
  RETURN NULL;
END $$;
CREATE TRIGGER forget_attempts AFTER UPDATE ON writ.stop
  FOR EACH ROW WHEN (OLD.kind = 'agent' AND NEW.released_at IS NOT NULL) EXECUTE FUNCTION writ.forget_attempts();

-- `scopes` of the last hour; `fresh` those of this slot, which need not be written again.
CREATE TYPE writ.pace_now AS (issued integer, live integer, denied integer, scopes jsonb, fresh jsonb);

-- How fast each of these agents has gone in the environment beside it: of the last minute, of this moment, of the last
-- hour. A slot that has begun counts whole. All of a batch at once: a query for each took four times as long. Planned once,
-- and never to read the whole table, which is small at that time.
CREATE FUNCTION writ.paces_of(p_agents text[], p_environments text[], p_at timestamptz) RETURNS writ.pace_now[]
LANGUAGE plpgsql STABLE SET search_path = writ, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_10s bigint := floor(extract(epoch FROM p_at) / 10);
  v_minute bigint := v_10s / 6;
  v_5min bigint := v_10s / 30;
BEGIN
  RETURN ARRAY(SELECT ROW(c.issued, c.live, c.denied, s.scopes, s.fresh)::writ.pace_now
    FROM unnest(p_agents, p_environments) WITH ORDINALITY k (agent, environment, nth),
    LATERAL (SELECT coalesce(sum(n) FILTER (WHERE what = 'issued'), 0) AS issued,
        greatest(coalesce(sum(n) FILTER (WHERE what = 'expires'), 0), 0) AS live,
        coalesce(sum(n) FILTER (WHERE what = 'denied'), 0) AS denied
      FROM writ.pace t WHERE t.agent = k.agent AND t.environment IN (k.environment, '')
        AND ((what = 'issued' AND slot >= v_10s - 6) OR (what = 'expires' AND slot >= v_5min) OR (what = 'denied' AND slot >= v_minute - 60))) c,
    LATERAL (SELECT coalesce(jsonb_agg(scope), '[]') AS scopes, coalesce(jsonb_agg(scope) FILTER (WHERE slot >= v_5min), '[]') AS fresh
      FROM writ.pace_scope t WHERE t.agent = k.agent AND t.environment = k.environment AND slot >= v_5min - 12) s
    ORDER BY k.nth);
END $$;

-- Which limit one more session with these scopes would go over; null for none. `p_limits` {issuances_per_minute,
-- live_sessions, scopes_per_hour, denials_per_hour}.
CREATE FUNCTION writ.over_limit(w writ.pace_now, p_limits jsonb, p_scopes jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE v_most integer := (p_limits->>'scopes_per_hour')::integer;
BEGIN
  IF w.denied >= (p_limits->>'denials_per_hour')::integer THEN RETURN 'denials_per_hour'; END IF;
  IF w.issued >= (p_limits->>'issuances_per_minute')::integer THEN RETURN 'issuances_per_minute'; END IF;
  IF w.live >= (p_limits->>'live_sessions')::integer THEN RETURN 'live_sessions'; END IF;
  IF w.scopes @> p_scopes THEN
    IF jsonb_array_length(w.scopes) > v_most THEN RETURN 'scopes_per_hour'; END IF;
  ELSIF (SELECT count(DISTINCT x) FROM jsonb_array_elements_text(w.scopes || p_scopes) x) > v_most THEN
    RETURN 'scopes_per_hour';
  END IF;
  RETURN NULL;
END $$;

-- What ran out of every window. A few thousand rows at a time.
CREATE FUNCTION writ.sweep_pace() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE
  v_n integer;
  v_scopes integer;
BEGIN
  DELETE FROM writ.pace WHERE (agent, environment, what, slot) IN (
    SELECT agent, environment, what, slot FROM writ.pace
    WHERE slot < CASE what WHEN 'issued' THEN writ.slot_of(clock_timestamp(), 10) - 7
                           WHEN 'expires' THEN writ.slot_of(clock_timestamp(), 300) - 1
                           ELSE writ.slot_of(clock_timestamp(), 60) - 61 END
    LIMIT 5000 FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS v_n = ROW_COUNT;
  DELETE FROM writ.pace_scope WHERE (agent, environment, scope) IN (
    SELECT agent, environment, scope FROM writ.pace_scope
    WHERE slot < writ.slot_of(clock_timestamp(), 300) - 13 LIMIT 5000 FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS v_scopes = ROW_COUNT;
  RETURN v_n + v_scopes;
END $$;

-- What a decision needs to know that changes from one moment to the next: {stop, pace}.
CREATE FUNCTION writ.standing_of(p_agent text, p_environment text, p_account text, p_humans text[]) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = writ, pg_temp AS $$
  SELECT jsonb_build_object('stop', writ.stop_on(p_agent, p_environment, p_account, p_humans),
    'pace', to_jsonb((writ.paces_of(ARRAY[p_agent], ARRAY[p_environment], clock_timestamp()))[1]) - 'fresh')
$$;

-- --- appending --------------------------------------------------------------------------------------------

-- An intent that the database refuses by itself: the same entry as one that the broker refused.
CREATE FUNCTION writ.refuse_intent(c writ.log_cursor, p jsonb, p_code text, p_more jsonb, OUT entry writ.entry,
  OUT intent writ.intent, OUT outcome writ.outcome, OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
BEGIN
  entry := writ.log_compose(c, 'issuance.denied', jsonb_build_object('agent', p->>'agent', 'environment', p->>'environment',
    'tier', p->>'tier', 'grant_id', p->>'grant_id', 'code', p_code), p->'payload', p->'personal', p->'seen');
  verdict := jsonb_build_object('status', 'refused', 'code', p_code, 'index', c.next_idx, 'at', c.at) || p_more;
END $$;

-- As in 007, but for what it hashes.
CREATE OR REPLACE FUNCTION writ.put_intent(c writ.log_cursor, p jsonb, OUT entry writ.entry, OUT intent writ.intent, OUT outcome writ.outcome,
  OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  -- Without the personal data: a hash of it without salt would outlive its erasure. What stands and how fast the agent
  -- may go changes between a try and its retry, which is no other request for that.
  v_sha bytea := sha256(convert_to((p - '{personal,seen,humans,limits}'::text[])::text, 'UTF8'));
  v_old writ.intent;
  v_role writ.role_catalog;
  g writ.grants;
  v_scopes text[] := ARRAY(SELECT jsonb_array_elements_text(p->'scopes'));
  v_not_after timestamptz := (p->>'not_after')::timestamptz;
  v_refused text;
  v_use integer;
BEGIN
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
    entry := writ.log_compose(c, 'issuance.denied', jsonb_build_object(
      'agent', p->>'agent', 'environment', p->>'environment', 'tier', p->>'tier', 'grant_id', p->>'grant_id',
      'code', v_refused), p->'payload', p->'personal', p->'seen');
    verdict := jsonb_build_object('status', 'refused', 'code', v_refused, 'index', c.next_idx, 'at', c.at);
    RETURN;
  END IF;
  IF g.id IS NOT NULL THEN
    v_use := g.uses + 1;
    UPDATE writ.grants SET uses = v_use WHERE id = g.id;
    INSERT INTO writ.grant_use (grant_id, use_no, issuance_id) VALUES (g.id, v_use, p->>'issuance_id');
  END IF;
  intent.issuance_id := p->>'issuance_id';
  intent.entry_idx := c.next_idx;
  intent.at := c.at;
  intent.agent := p->>'agent';
  intent.environment := p->>'environment';
  intent.role_arn := p->>'role_arn';
  intent.sensitivity := v_role.sensitivity;
  intent.scopes := v_scopes;
  intent.policy_digest := p->>'policy_digest';
  intent.permissions_sha256 := p->>'permissions_sha256';
  intent.not_after := v_not_after;
  intent.grant_id := g.id;
  intent.grant_use := v_use;
  intent.grant_max := g.max_uses;
  intent.grant_expires := g.expires_at;
  intent.payload_sha256 := v_sha;
  entry := writ.log_compose(c, 'issuance.intended', jsonb_build_object(
    'agent', p->>'agent', 'environment', p->>'environment', 'tier', p->>'tier', 'issuance_id', p->>'issuance_id',
    'sensitivity', v_role.sensitivity, 'grant_id', g.id),
    coalesce(p->'payload', '{}') || jsonb_strip_nulls(jsonb_build_object('grant_use', v_use, 'grant_max', g.max_uses)),
    p->'personal', p->'seen');
  verdict := jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at, 'grant_use', v_use);
END $$;

-- As in 007. Before anything is let out it looks at what is stopped and how fast the agent goes, under the head's lock:
-- what was decided on older facts ends here. An intent may say `humans` (owner, and whom it acts for) and `limits`; an
-- outcome and a delivery say `humans`; a denial `paced_in` (environment, or empty) and `counts_as`.
CREATE OR REPLACE FUNCTION writ.append(p_items jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE
  c writ.log_cursor;
  p jsonb;
  step record;
  v_all jsonb[] := '{}';
  v_entries writ.entry[] := '{}';
  v_intents writ.intent[] := '{}';
  v_outcomes writ.outcome[] := '{}';
  -- Issuances that rows not inserted yet tell of.
  v_pending text[] := '{}';
  v_any_stop boolean;
  v_stop text;
  v_limit text;
  -- How fast each agent of the batch goes, read once; `v_at` is where that of an item stands.
  v_keys text[] := '{}';
  v_paces writ.pace_now[] := '{}';
  v_at integer;
  w writ.pace_now;
  -- What the batch adds to the counts.
  v_counts writ.pace[] := '{}';
  v_10s bigint;
  i writ.intent;
BEGIN
  -- Every grant the batch touches, in id order, before the head: the one order that cannot deadlock.
  PERFORM FROM writ.grants WHERE id IN (
    SELECT item->>'grant_id' FROM jsonb_array_elements(p_items) item WHERE item->>'op' = 'intent'
    UNION SELECT t.grant_id FROM jsonb_array_elements(p_items) item JOIN writ.intent t ON t.issuance_id = item->>'issuance_id'
      WHERE item->>'op' IN ('outcome', 'delivery') AND t.grant_id IS NOT NULL)
  ORDER BY id FOR UPDATE;
  c := writ.log_open();
  v_10s := floor(extract(epoch FROM c.at) / 10);
  v_any_stop := EXISTS (SELECT FROM writ.stopped);
  FOR p IN SELECT value FROM jsonb_array_elements(p_items) LOOP
    IF p->>'issuance_id' = ANY (v_pending) THEN
      -- A retry beside its first try, an outcome beside its intent: what is looked up has to be there.
      INSERT INTO writ.entry SELECT * FROM unnest(v_entries);
      INSERT INTO writ.intent SELECT * FROM unnest(v_intents);
      INSERT INTO writ.outcome SELECT * FROM unnest(v_outcomes);
      v_entries := '{}';
      v_intents := '{}';
      v_outcomes := '{}';
      v_pending := '{}';
    END IF;
    v_stop := NULL;
    IF v_any_stop AND p->>'op' IN ('intent', 'outcome', 'delivery') THEN
      SELECT * INTO i FROM writ.intent WHERE issuance_id = p->>'issuance_id';
      v_stop := writ.stop_on(coalesce(i.agent, p->>'agent'), coalesce(i.environment, p->>'environment'),
        writ.account_of(coalesce(i.role_arn, p->>'role_arn')),
        ARRAY(SELECT jsonb_array_elements_text(coalesce(p->'humans', '[]'))));
    END IF;
    CASE p->>'op'
      WHEN 'intent' THEN
        IF v_keys = '{}' THEN
          SELECT array_agg(a || ' ' || e), writ.paces_of(array_agg(a), array_agg(e), c.at) INTO v_keys, v_paces
          FROM (SELECT DISTINCT item->>'agent' AS a, item->>'environment' AS e FROM jsonb_array_elements(p_items) item
                WHERE item->>'op' = 'intent') k;
        END IF;
        v_at := array_position(v_keys, (p->>'agent') || ' ' || (p->>'environment'));
        w := v_paces[v_at];
        v_limit := writ.over_limit(w, p->'limits', p->'scopes');
        -- A retry of what was let through is none of it again.
        IF v_limit IS NOT NULL AND EXISTS (SELECT FROM writ.intent WHERE issuance_id = p->>'issuance_id') THEN
          v_limit := NULL;
        END IF;
        IF v_stop IS NOT NULL THEN
          step := writ.refuse_intent(c, p, 'agent_stopped', jsonb_build_object('stop', v_stop));
        ELSIF v_limit IS NOT NULL THEN
          PERFORM writ.pace_add(p->>'agent', p->>'environment', 'over', writ.slot_of(c.at, 60), 1);
          step := writ.refuse_intent(c, p, 'over_limit', jsonb_build_object('limit', v_limit,
            'attempts', writ.attempts_of(p->>'agent', p->>'environment', 'over', c.at)));
        ELSE
          step := writ.put_intent(c, p);
          IF (step.intent).issuance_id IS NOT NULL THEN
            w.issued := w.issued + 1;
            w.live := w.live + 1;
            v_counts := v_counts || ROW(p->>'agent', p->>'environment', 'issued', v_10s, 1)::writ.pace
              || ROW(p->>'agent', p->>'environment', 'expires', floor(extract(epoch FROM (step.intent).not_after) / 300), 1)::writ.pace;
            IF NOT w.fresh @> (p->'scopes') THEN
              INSERT INTO writ.pace_scope AS t (agent, environment, scope, slot)
                SELECT p->>'agent', p->>'environment', x, v_10s / 30 FROM unnest((step.intent).scopes) x
                ON CONFLICT (agent, environment, scope) DO UPDATE SET slot = excluded.slot;
              w.scopes := (SELECT jsonb_agg(DISTINCT x) FROM jsonb_array_elements(w.scopes || (p->'scopes')) x);
              w.fresh := w.fresh || (p->'scopes');
            END IF;
            v_paces[v_at] := w;
          END IF;
        END IF;
      WHEN 'outcome' THEN
        step := writ.put_outcome(c, p - 'humans');
        IF p->>'state' = 'failed' AND (step.outcome).issuance_id IS NOT NULL THEN
          SELECT * INTO i FROM writ.intent WHERE issuance_id = p->>'issuance_id';
          PERFORM writ.pace_add(i.agent, i.environment, 'expires', writ.slot_of(i.not_after, 300), -1);
        END IF;
        -- Stopped while AWS was minting: recorded as issued, because it exists, and not handed out.
        IF v_stop IS NOT NULL AND p->>'state' = 'issued' AND step.verdict->>'status' = 'ok' THEN
          step.verdict := step.verdict || jsonb_build_object('status', 'refused', 'code', 'agent_stopped', 'stop', v_stop);
        END IF;
      WHEN 'delivery' THEN
        IF v_stop IS NOT NULL THEN
          SELECT NULL::writ.entry AS entry, NULL::writ.intent AS intent, NULL::writ.outcome AS outcome,
            jsonb_build_object('status', 'refused', 'at', c.at, 'code', 'agent_stopped', 'stop', v_stop) AS verdict INTO step;
        ELSE
          step := writ.put_delivery(c, p - 'humans');
        END IF;
      WHEN 'denial' THEN
        IF p->>'kind' NOT IN ('issuance.denied', 'identity.refused', 'grant_request.refused', 'operator.refused') THEN
          RAISE EXCEPTION 'not a denial: %', p->>'kind' USING ERRCODE = 'WR009';
        END IF;
        step := writ.put_denial(c, p);
        IF p ? 'paced_in' THEN
          -- SDKs ask again by themselves: what repeats is no further denial, but it is a further attempt.
          IF (step.entry).idx IS NOT NULL AND p->'fields'->>'code' NOT IN ('over_limit', 'agent_stopped') THEN
            PERFORM writ.pace_add(p->'fields'->>'agent', p->>'paced_in', 'denied', writ.slot_of(c.at, 60), 1);
          END IF;
          IF p->>'counts_as' IN ('over', 'red') THEN
            PERFORM writ.pace_add(p->'fields'->>'agent', p->>'paced_in', p->>'counts_as', writ.slot_of(c.at, 60), 1);
            step.verdict := step.verdict || jsonb_build_object('attempts',
              writ.attempts_of(p->'fields'->>'agent', p->>'paced_in', p->>'counts_as', c.at));
          END IF;
        END IF;
      WHEN 'event' THEN
        -- What only the owner does (log.redacted, log.archived) is not among them.
        IF p->>'kind' NOT IN ('broker.started', 'policy.loaded', 'policy.rejected', 'log.origin_started', 'log.exported',
                              'operator.signed_in') THEN
          RAISE EXCEPTION 'not an event of its own: %', p->>'kind' USING ERRCODE = 'WR009';
        END IF;
        SELECT writ.log_compose(c, p->>'kind', coalesce(p->'fields', '{}'), p->'payload', p->'personal', p->'seen') AS entry,
          NULL::writ.intent AS intent, NULL::writ.outcome AS outcome,
          jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at) AS verdict INTO step;
      ELSE RAISE EXCEPTION 'unknown op' USING ERRCODE = 'WR009';
    END CASE;
    IF (step.entry).idx IS NOT NULL THEN
      v_entries := array_append(v_entries, step.entry);
      c.leaves := c.leaves || (step.entry).leaf_hash;
      c.next_idx := c.next_idx + 1;
    END IF;
    IF (step.intent).issuance_id IS NOT NULL THEN
      v_intents := array_append(v_intents, step.intent);
      v_pending := array_append(v_pending, (step.intent).issuance_id);
    END IF;
    IF (step.outcome).issuance_id IS NOT NULL THEN
      v_outcomes := array_append(v_outcomes, step.outcome);
      v_pending := array_append(v_pending, (step.outcome).issuance_id);
    END IF;
    v_all := array_append(v_all, step.verdict);
  END LOOP;
  INSERT INTO writ.entry SELECT * FROM unnest(v_entries);
  IF v_intents <> '{}' THEN
    INSERT INTO writ.intent SELECT * FROM unnest(v_intents);
  END IF;
  -- Of the whole batch: its intents may be in the table already, inserted for what followed them.
  IF v_counts <> '{}' THEN
    INSERT INTO writ.pace AS t SELECT agent, environment, what, slot, sum(n) FROM unnest(v_counts) GROUP BY 1, 2, 3, 4
      ON CONFLICT (agent, environment, what, slot) DO UPDATE SET n = t.n + excluded.n;
  END IF;
  IF v_outcomes <> '{}' THEN
    INSERT INTO writ.outcome SELECT * FROM unnest(v_outcomes);
  END IF;
  PERFORM writ.log_seal(c);
  RETURN to_jsonb(v_all);
END $$;

GRANT SELECT ON writ.stop, writ.stop_release, writ.stopped, writ.kill, writ.pace, writ.pace_scope TO writ_broker;
GRANT EXECUTE ON FUNCTION writ.engage_stop(jsonb), writ.withdraw_stopped(), writ.release_stop(jsonb), writ.sweep_pace(),
  writ.standing_of(text, text, text, text[]), writ.stop_on(text, text, text, text[]), writ.account_of(text) TO writ_broker;
