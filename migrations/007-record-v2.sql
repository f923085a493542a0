-- Version 2 of the record: personal data beside the log instead of in it, partitions, and what reviews search by.
--
-- A body of version 2 carries `personal`, SHA-256(0x03 ‖ salt ‖ personal data), and the data lies in the row.
-- Erasing data and salt leaves every body, hash, checkpoint and proof as it was. Without the salt the hash
-- tells nothing: names and addresses are few enough to try them all.

-- --- partitions of the log, by index ------------------------------------------------------------------

ALTER TABLE writ.entry RENAME TO entry_0;
ALTER TABLE writ.entry_0 RENAME CONSTRAINT entry_pkey TO entry_0_pkey;
DROP INDEX writ.entry_agent, writ.entry_issuance, writ.entry_request, writ.entry_grant, writ.entry_kind;
DROP TRIGGER append_only ON writ.entry_0;
ALTER TABLE writ.entry_0
  ADD COLUMN tier text, ADD COLUMN scope_set integer, ADD COLUMN source_ip inet,
  ADD COLUMN personal bytea, ADD COLUMN salt bytea,
  -- Version 1 has its personal data in the body, where it stays: those rows have a copy and no salt.
  ADD CONSTRAINT entry_salted CHECK (salt IS NULL OR (personal IS NOT NULL AND length(salt) = 16));

CREATE TABLE writ.entry (
  idx         bigint PRIMARY KEY CONSTRAINT entry_idx_check CHECK (idx >= 0),
  at          timestamptz NOT NULL,
  kind        text NOT NULL,
  agent       text,
  environment text,
  human       text,
  operator    text,
  issuance_id text,
  request_id  text,
  grant_id    text,
  code        text,
  body        bytea NOT NULL,
  leaf_hash   bytea NOT NULL CONSTRAINT entry_check CHECK (leaf_hash = sha256('\x00'::bytea || body)),
  batch_no    bigint NOT NULL,
  tier        text,
  scope_set   integer,
  source_ip   inet,
  personal    bytea,
  salt        bytea,
  CONSTRAINT entry_fits_a_bundle CHECK (length(body) <= 65535),
  CONSTRAINT entry_salted CHECK (salt IS NULL OR (personal IS NOT NULL AND length(salt) = 16))
) PARTITION BY RANGE (idx);

-- The scopes and actions of a request, said once: thousands of issuances share a few.
CREATE TABLE writ.scope_set (
  id      integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  -- Over both lists; they are too long to be an index key themselves.
  key     bytea NOT NULL UNIQUE,
  scopes  text[] NOT NULL,
  actions text[] NOT NULL
);
CREATE INDEX scope_set_scopes ON writ.scope_set USING gin (scopes);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.scope_set
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.scope_set EXECUTE FUNCTION writ.refuse_change();

INSERT INTO writ.scope_set (key, scopes, actions)
SELECT DISTINCT sha256(convert_to(to_jsonb(scopes)::text || '[]', 'UTF8')), scopes, '{}'::text[] FROM writ.intent;

UPDATE writ.entry_0 e SET
  tier = convert_from(e.body, 'UTF8')::jsonb->>'tier',
  scope_set = (SELECT s.id FROM writ.scope_set s WHERE s.scopes = i.scopes AND s.actions = '{}'),
  personal = convert_to(jsonb_strip_nulls(jsonb_build_object('human', i.human, 'human_how', i.human_how,
    'subject', i.subject, 'source_ip', i.source_ip, 'reason', i.reason, 'ticket', i.ticket))::text, 'UTF8')
FROM writ.intent i WHERE i.entry_idx = e.idx;

DO $$ BEGIN
  EXECUTE format('ALTER TABLE writ.entry ATTACH PARTITION writ.entry_0 FOR VALUES FROM (0) TO (%s)',
    (1 + (SELECT size FROM writ.log_head) / 1000000) * 1000000);
END $$;

-- Each filter of a review has an index that ends in the index of the entry, so that a page is read in order
-- and the hundredth costs what the first does, however rare or long ago what is looked for may be.
CREATE INDEX entry_kind ON writ.entry (kind, idx);
CREATE INDEX entry_agent ON writ.entry (agent, idx) WHERE agent IS NOT NULL;
CREATE INDEX entry_environment ON writ.entry (environment, idx) WHERE environment IS NOT NULL;
CREATE INDEX entry_human ON writ.entry (human, idx) WHERE human IS NOT NULL;
CREATE INDEX entry_operator ON writ.entry (operator, idx) WHERE operator IS NOT NULL;
CREATE INDEX entry_issuance ON writ.entry (issuance_id, idx) WHERE issuance_id IS NOT NULL;
CREATE INDEX entry_request ON writ.entry (request_id, idx) WHERE request_id IS NOT NULL;
CREATE INDEX entry_grant ON writ.entry (grant_id, idx) WHERE grant_id IS NOT NULL;
CREATE INDEX entry_code ON writ.entry (code, idx) WHERE code IS NOT NULL;
CREATE INDEX entry_tier ON writ.entry (tier, idx) WHERE tier IS NOT NULL;
CREATE INDEX entry_scope_set ON writ.entry (scope_set, idx) WHERE scope_set IS NOT NULL;
CREATE INDEX entry_source_ip ON writ.entry (source_ip, idx) WHERE source_ip IS NOT NULL;
-- From a time to an index: time never runs backwards along the log.
CREATE INDEX log_batch_at ON writ.log_batch (at, first_idx);

-- An entry loses its personal data, once, and nothing else about it changes. Only the owner may update at all.
CREATE FUNCTION writ.guard_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.personal IS NULL AND NEW.salt IS NULL AND NEW.human IS NULL AND NEW.source_ip IS NULL
     AND to_jsonb(NEW) - '{personal,salt,human,source_ip}'::text[] = to_jsonb(OLD) - '{personal,salt,human,source_ip}'::text[] THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'writ.entry is append-only' USING ERRCODE = 'WR001';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.entry
  FOR EACH ROW EXECUTE FUNCTION writ.guard_entry();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.entry EXECUTE FUNCTION writ.refuse_change();

-- One row that maintenance locks, so that two replicas never do it at once.
-- Every intent below `settled` has its outcome: the sweep need not look there.
CREATE TABLE writ.maintenance (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  settled  bigint NOT NULL CHECK (settled >= 0)
);
INSERT INTO writ.maintenance (settled) VALUES (0);

-- Makes sure that `p_ahead` partitions lie ahead of the one being filled. Built aside and attached: attaching
-- lets appends go on, where CREATE TABLE … PARTITION OF would wait for every reader with all writers behind it.
CREATE FUNCTION writ.make_partitions(p_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE
  v_per bigint := 1000000;
  v_next bigint;
  v_until bigint;
  v_name text;
  v_made integer := 0;
BEGIN
  v_until := ((SELECT size FROM writ.log_head) / v_per + 1 + least(greatest(p_ahead, 1), 8)) * v_per;
  -- Read before the lock: this runs every few seconds and nearly always has nothing to do.
  IF writ.partitioned_until() >= v_until THEN RETURN 0; END IF;
  PERFORM FROM writ.maintenance FOR UPDATE;
  v_next := writ.partitioned_until();
  WHILE v_next < v_until LOOP
    v_name := 'entry_' || v_next / v_per;
    EXECUTE format('CREATE TABLE writ.%I (LIKE writ.entry INCLUDING ALL)', v_name);
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.%I EXECUTE FUNCTION writ.refuse_change()', v_name);
    EXECUTE format('ALTER TABLE writ.entry ATTACH PARTITION writ.%I FOR VALUES FROM (%s) TO (%s)', v_name, v_next, v_next + v_per);
    v_next := v_next + v_per;
    v_made := v_made + 1;
  END LOOP;
  RETURN v_made;
END $$;

-- Up to which index there is a partition for every entry to come.
CREATE FUNCTION writ.partitioned_until() RETURNS bigint
LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  SELECT max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(\d+)''?\)'))[1]::bigint)
  FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = 'writ.entry'::regclass
$$;
SELECT writ.make_partitions(2);

-- --- appending ------------------------------------------------------------------------------------------

CREATE FUNCTION writ.scope_set_of(p_scopes jsonb, p_actions jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  v_key bytea := sha256(convert_to(p_scopes::text || p_actions::text, 'UTF8'));
  v_id integer;
BEGIN
  SELECT id INTO v_id FROM writ.scope_set WHERE key = v_key;
  IF NOT FOUND THEN
    -- Under the head's lock, so nobody else inserts the same.
    INSERT INTO writ.scope_set (key, scopes, actions)
    VALUES (v_key, ARRAY(SELECT jsonb_array_elements_text(p_scopes)), ARRAY(SELECT jsonb_array_elements_text(p_actions)))
    RETURNING id INTO v_id;
  END IF;
  RETURN v_id;
END $$;

DROP FUNCTION writ.log_put(writ.log_cursor, text, jsonb, jsonb);
-- The body is composed here, so that index and time in it are the database's own.
--
-- `p_fields` are columns that the body says too; `p_personal` lies beside the body under its salted hash.
-- `p_seen` are columns only: `human` on what follows from an entry that names the human, `source_ip` where it is
-- an address, `scopes` and `actions` for the scope set.
CREATE FUNCTION writ.log_compose(c writ.log_cursor, p_kind text, p_fields jsonb, p_payload jsonb, p_personal jsonb, p_seen jsonb)
RETURNS writ.entry
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  e writ.entry;
BEGIN
  e.idx := c.next_idx;
  e.at := c.at;
  e.kind := p_kind;
  e.agent := p_fields->>'agent';
  e.environment := p_fields->>'environment';
  e.human := coalesce(p_personal->>'human', p_seen->>'human');
  e.operator := p_fields->>'operator';
  e.issuance_id := p_fields->>'issuance_id';
  e.request_id := p_fields->>'request_id';
  e.grant_id := p_fields->>'grant_id';
  e.code := p_fields->>'code';
  e.tier := p_fields->>'tier';
  IF p_seen ? 'scopes' THEN
    e.scope_set := writ.scope_set_of(p_seen->'scopes', p_seen->'actions');
  END IF;
  e.source_ip := (p_seen->>'source_ip')::inet;
  e.personal := convert_to(nullif(jsonb_strip_nulls(p_personal), '{}')::text, 'UTF8');
  IF e.personal IS NOT NULL THEN
    -- 122 random bits of the server's strong source.
    e.salt := uuid_send(gen_random_uuid());
  END IF;
  e.body := convert_to((coalesce(p_payload, '{}') || jsonb_strip_nulls(p_fields || jsonb_build_object(
    'personal', encode(sha256('\x03'::bytea || e.salt || e.personal), 'hex'),
    'v', 2, 'index', c.next_idx, 'kind', p_kind,
    'at', to_char(c.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))))::text, 'UTF8');
  e.leaf_hash := sha256('\x00'::bytea || e.body);
  e.batch_no := c.batch_no;
  RETURN e;
END $$;

-- One entry at a time, for what comes one at a time.
CREATE FUNCTION writ.log_put(c writ.log_cursor, p_kind text, p_fields jsonb, p_payload jsonb,
  p_personal jsonb DEFAULT NULL, p_seen jsonb DEFAULT NULL)
RETURNS writ.log_cursor
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  e writ.entry := writ.log_compose(c, p_kind, p_fields, p_payload, p_personal, p_seen);
BEGIN
  INSERT INTO writ.entry SELECT e.*;
  c.next_idx := c.next_idx + 1;
  c.leaves := c.leaves || e.leaf_hash;
  RETURN c;
END $$;

DROP VIEW writ.issuance;
DROP INDEX writ.intent_at;
ALTER TABLE writ.intent DROP COLUMN human, DROP COLUMN human_how, DROP COLUMN issuer, DROP COLUMN subject,
  DROP COLUMN source_ip, DROP COLUMN reason, DROP COLUMN ticket;
CREATE INDEX intent_role ON writ.intent (role_arn, entry_idx);
-- Failed and abandoned issuances in the order of their intents.
ALTER TABLE writ.outcome ADD COLUMN intent_idx bigint;
ALTER TABLE writ.outcome DISABLE TRIGGER append_only;
UPDATE writ.outcome o SET intent_idx = i.entry_idx FROM writ.intent i WHERE i.issuance_id = o.issuance_id;
ALTER TABLE writ.outcome ENABLE TRIGGER append_only;
ALTER TABLE writ.outcome ALTER COLUMN intent_idx SET NOT NULL;
CREATE INDEX outcome_state ON writ.outcome (state, intent_idx);

-- Personal data is looked up where it may be erased; a row without it says null.
CREATE VIEW writ.issuance AS
SELECT i.issuance_id, i.entry_idx, i.at, i.agent, i.environment, i.role_arn, i.sensitivity, i.scopes, i.policy_digest,
       i.permissions_sha256, i.not_after, i.grant_id, i.grant_use, coalesce(o.state, 'intended') AS state,
       o.access_key_id, o.expires_at, o.error_code, o.at AS outcome_at
FROM writ.intent i LEFT JOIN writ.outcome o USING (issuance_id);

DROP FUNCTION writ.put_intent(writ.log_cursor, jsonb), writ.put_outcome(writ.log_cursor, jsonb),
  writ.put_delivery(writ.log_cursor, jsonb), writ.put_denial(writ.log_cursor, jsonb);

-- Each of these answers the rows to insert, and inserts none of them: writ.append does, a batch at once. A statement a
-- row read the checks of each table anew and took twice as long.

CREATE FUNCTION writ.put_intent(c writ.log_cursor, p jsonb, OUT entry writ.entry, OUT intent writ.intent, OUT outcome writ.outcome,
  OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  -- Without the personal data: a hash of it without salt would outlive its erasure.
  v_sha bytea := sha256(convert_to((p - '{personal,seen}'::text[])::text, 'UTF8'));
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

CREATE FUNCTION writ.put_outcome(c writ.log_cursor, p jsonb, OUT entry writ.entry, OUT intent writ.intent, OUT outcome writ.outcome,
  OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  v_old writ.outcome;
  i writ.intent;
  g writ.grants;
BEGIN
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
  -- Revoked while AWS was minting: recorded as issued, because it exists, and not handed out.
  IF p->>'state' = 'issued' AND i.grant_id IS NOT NULL THEN
    SELECT * INTO g FROM writ.grants WHERE id = i.grant_id;
    IF g.revoked_at IS NOT NULL THEN
      verdict := verdict || jsonb_build_object('status', 'refused', 'code', 'grant_revoked');
    END IF;
  END IF;
END $$;

CREATE FUNCTION writ.put_delivery(c writ.log_cursor, p jsonb, OUT entry writ.entry, OUT intent writ.intent, OUT outcome writ.outcome,
  OUT verdict jsonb)
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
    RETURN;
  END IF;
  entry := writ.log_compose(c, 'issuance.delivered', jsonb_build_object(
    'agent', i.agent, 'environment', i.environment, 'issuance_id', i.issuance_id, 'grant_id', i.grant_id),
    p->'payload', p->'personal', p->'seen');
  verdict := jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at);
END $$;

CREATE FUNCTION writ.put_denial(c writ.log_cursor, p jsonb, OUT entry writ.entry, OUT intent writ.intent, OUT outcome writ.outcome,
  OUT verdict jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE d writ.denial;
BEGIN
  SELECT * INTO d FROM writ.denial WHERE key = p->>'key' ORDER BY entry_idx DESC LIMIT 1;
  IF FOUND AND c.at < d.last_at + interval '10 seconds' AND c.at < d.at + interval '5 minutes' THEN
    UPDATE writ.denial SET repeats = repeats + 1, last_at = c.at WHERE entry_idx = d.entry_idx;
    verdict := jsonb_build_object('status', 'ok', 'index', d.entry_idx, 'at', d.at, 'repeats', d.repeats + 1);
    RETURN;
  END IF;
  INSERT INTO writ.denial (entry_idx, key, at, last_at) VALUES (c.next_idx, p->>'key', c.at, c.at);
  entry := writ.log_compose(c, p->>'kind', p->'fields', p->'payload', p->'personal', p->'seen');
  verdict := jsonb_build_object('status', 'ok', 'index', c.next_idx, 'at', c.at, 'repeats', 0);
END $$;

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
BEGIN
  -- Every grant the batch touches, in id order, before the head: the one order that cannot deadlock.
  PERFORM FROM writ.grants WHERE id IN (
    SELECT item->>'grant_id' FROM jsonb_array_elements(p_items) item WHERE item->>'op' = 'intent'
    UNION SELECT i.grant_id FROM jsonb_array_elements(p_items) item JOIN writ.intent i ON i.issuance_id = item->>'issuance_id'
      WHERE item->>'op' IN ('outcome', 'delivery') AND i.grant_id IS NOT NULL)
  ORDER BY id FOR UPDATE;
  c := writ.log_open();
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
  IF v_outcomes <> '{}' THEN
    INSERT INTO writ.outcome SELECT * FROM unnest(v_outcomes);
  END IF;
  PERFORM writ.log_seal(c);
  RETURN to_jsonb(v_all);
END $$;

-- Looks only at what is not settled, and remembers how far everything is: the whole history was read every
-- quarter of a minute before.
CREATE OR REPLACE FUNCTION writ.sweep(p_after interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE
  c writ.log_cursor;
  i writ.intent;
  r writ.grant_request;
  v_expired text[];
  v_n integer := 0;
  v_settled bigint;
  v_size bigint;
  v_open bigint;
  v_abandoned text[];
BEGIN
  IF p_after < interval '10 seconds' THEN
    RAISE EXCEPTION 'sweeping this early would abandon issuances under way' USING ERRCODE = 'WR009';
  END IF;
  SELECT settled INTO STRICT v_settled FROM writ.maintenance FOR UPDATE;
  -- Read first: every intent below this size is visible to what follows.
  SELECT size INTO STRICT v_size FROM writ.log_head;
  SELECT min(t.entry_idx), array_agg(t.issuance_id) FILTER (WHERE t.at < clock_timestamp() - p_after)
  INTO v_open, v_abandoned
  FROM writ.intent t LEFT JOIN writ.outcome o USING (issuance_id)
  WHERE t.entry_idx >= v_settled AND o.issuance_id IS NULL;
  v_settled := least(coalesce(v_open, v_size), v_size);
  UPDATE writ.maintenance SET settled = v_settled WHERE settled < v_settled;
  v_expired := ARRAY(SELECT id FROM writ.grant_request WHERE state = 'pending' AND expires_at <= clock_timestamp()
                     ORDER BY id FOR UPDATE);
  IF v_abandoned IS NULL AND v_expired = '{}' THEN RETURN 0; END IF;
  c := writ.log_open();
  FOR i IN SELECT t.* FROM writ.intent t LEFT JOIN writ.outcome o USING (issuance_id)
           WHERE t.issuance_id = ANY (v_abandoned) AND o.issuance_id IS NULL ORDER BY t.entry_idx LOOP
    INSERT INTO writ.outcome (issuance_id, entry_idx, at, state, intent_idx)
    VALUES (i.issuance_id, c.next_idx, c.at, 'abandoned', i.entry_idx);
    c := writ.log_put(c, 'issuance.abandoned', jsonb_build_object('agent', i.agent, 'environment', i.environment,
      'issuance_id', i.issuance_id, 'grant_id', i.grant_id), '{}', NULL,
      (SELECT jsonb_build_object('human', e.human) FROM writ.entry e WHERE e.idx = i.entry_idx));
    v_n := v_n + 1;
  END LOOP;
  FOR r IN UPDATE writ.grant_request SET state = 'expired', closed_at = c.at
           WHERE id = ANY (v_expired) RETURNING * LOOP
    c := writ.log_put(c, 'grant_request.expired', writ.request_fields(r), '{}', NULL, writ.request_seen(r));
    v_n := v_n + 1;
  END LOOP;
  PERFORM writ.log_seal(c);
  RETURN v_n;
END $$;

-- --- grants ----------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION writ.request_fields(r writ.grant_request) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('agent', r.agent, 'environment', r.environment, 'request_id', r.id)
$$;
CREATE FUNCTION writ.request_seen(r writ.grant_request) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('human', r.human)
$$;

CREATE OR REPLACE FUNCTION writ.open_grant_request(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  r writ.grant_request;
  v_expired text[];
BEGIN
  -- Rows before the head, as everywhere: those that ran out no longer count and free their content.
  v_expired := ARRAY(SELECT id FROM writ.grant_request WHERE agent = p->>'agent' AND state = 'pending'
                     AND expires_at <= clock_timestamp() ORDER BY id FOR UPDATE);
  -- Counted under the head's lock, so that two calls at once cannot both find two pending.
  c := writ.log_open();
  FOR r IN UPDATE writ.grant_request SET state = 'expired', closed_at = c.at WHERE id = ANY (v_expired) RETURNING * LOOP
    c := writ.log_put(c, 'grant_request.expired', writ.request_fields(r), '{}', NULL, writ.request_seen(r));
  END LOOP;
  SELECT * INTO r FROM writ.grant_request
    WHERE agent = p->>'agent' AND content_sha256 = p->>'content_sha256' AND state = 'pending';
  IF FOUND THEN
    PERFORM writ.log_seal(c);
    RETURN jsonb_build_object('status', 'ok', 'id', r.id, 'created', false);
  END IF;
  IF (p->>'limit_pending')::boolean AND 3 <= (SELECT count(*) FROM writ.grant_request
      WHERE agent = p->>'agent' AND state = 'pending' AND requested_by = p->>'requested_by') THEN
    PERFORM writ.log_seal(c);
    RETURN jsonb_build_object('status', 'refused', 'code', 'grant_requests_pending');
  END IF;
  INSERT INTO writ.grant_request (id, created_at, expires_at, agent, environment, account, role_arn, scopes, policy_digest,
    permissions, permissions_sha256, max_uses, valid_seconds, not_before, max_session_seconds, approvals_needed, reason,
    ticket, human, human_how, requested_by, barred_humans, barred_teams, content_sha256)
  VALUES (p->>'id', c.at, c.at + make_interval(secs => (p->>'pending_seconds')::integer), p->>'agent', p->>'environment',
    p->>'account', p->>'role_arn', ARRAY(SELECT jsonb_array_elements_text(p->'scopes')), p->>'policy_digest',
    p->'permissions', p->>'permissions_sha256', (p->>'max_uses')::integer, (p->>'valid_seconds')::integer,
    (p->>'not_before')::timestamptz, (p->>'max_session_seconds')::integer, (p->>'approvals_needed')::integer, p->>'reason',
    p->>'ticket', p->>'human', p->>'human_how', p->>'requested_by',
    ARRAY(SELECT jsonb_array_elements_text(p->'barred_humans')), ARRAY(SELECT jsonb_array_elements_text(p->'barred_teams')),
    p->>'content_sha256')
  RETURNING * INTO r;
  c := writ.log_put(c, 'grant_request.opened',
    writ.request_fields(r) || jsonb_build_object('tier', p->>'tier'),
    -- The hash of the content is one of personal data without salt.
    jsonb_strip_nulls(to_jsonb(r) - '{id,state,closed_at,created_at,human,human_how,reason,ticket,barred_humans,content_sha256}'::text[]),
    jsonb_build_object('human', r.human, 'human_how', r.human_how, 'reason', r.reason, 'ticket', r.ticket,
      'barred_humans', CASE WHEN r.barred_humans <> '{}' THEN to_jsonb(r.barred_humans) END),
    jsonb_build_object('scopes', p->'scopes', 'actions', coalesce(p->'actions', '[]')));
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'id', r.id, 'created', true);
END $$;

CREATE OR REPLACE FUNCTION writ.decide_grant_request(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  r writ.grant_request;
  g writ.grants;
  v_names text[] := ARRAY(SELECT jsonb_array_elements_text(p->'operator_names'));
  v_teams text[] := ARRAY(SELECT jsonb_array_elements_text(p->'operator_teams'));
  v_approvers text[];
  v_from timestamptz;
BEGIN
  SELECT * INTO r FROM writ.grant_request WHERE id = p->>'request_id' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF EXISTS (SELECT FROM writ.grant_decision WHERE request_id = r.id AND operator = p->>'operator') THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'already_decided');
  END IF;
  IF r.state <> 'pending' OR clock_timestamp() >= r.expires_at THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'request_closed');
  END IF;
  -- What was approved is what the approver saw: the caller says which digest it showed.
  IF p->>'policy_digest' IS DISTINCT FROM r.policy_digest OR p->>'permissions_sha256' IS DISTINCT FROM r.permissions_sha256 THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'grant_stale');
  END IF;
  IF p->>'decision' = 'approve' AND r.barred_humans && v_names THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'approver_is_beneficiary');
  END IF;
  IF p->>'decision' = 'approve' AND r.barred_teams && v_teams THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'approver_is_owner');
  END IF;
  c := writ.log_open();
  -- Again by the log's own clock: waiting for the head may have taken the rest of the hour.
  IF c.at >= r.expires_at THEN RETURN jsonb_build_object('status', 'refused', 'code', 'request_closed'); END IF;
  INSERT INTO writ.grant_decision (request_id, operator, decision, at, comment, proof_kind, proof, operator_names, operator_teams)
  VALUES (r.id, p->>'operator', p->>'decision', c.at, p->>'comment', p->>'proof_kind', p->'proof', v_names, v_teams);
  c := writ.log_put(c, 'grant_request.' || CASE p->>'decision' WHEN 'approve' THEN 'approved' ELSE 'denied' END,
    writ.request_fields(r) || jsonb_build_object('operator', p->>'operator'),
    jsonb_build_object('proof_kind', p->>'proof_kind', 'proof', p->'proof',
      'policy_digest', r.policy_digest, 'permissions_sha256', r.permissions_sha256),
    jsonb_build_object('comment', p->>'comment'), writ.request_seen(r));
  SELECT array_agg(operator ORDER BY operator) INTO v_approvers
    FROM writ.grant_decision WHERE request_id = r.id AND decision = 'approve';
  IF p->>'decision' = 'deny' THEN
    UPDATE writ.grant_request SET state = 'denied', closed_at = c.at WHERE id = r.id RETURNING * INTO r;
  ELSIF cardinality(v_approvers) >= r.approvals_needed THEN
    v_from := greatest(c.at, r.not_before);
    INSERT INTO writ.grants (id, request_id, created_at, agent, environment, role_arn, scopes, policy_digest,
      permissions_sha256, max_uses, not_before, expires_at, max_session_seconds, approved_by)
    VALUES (p->>'grant_id', r.id, c.at, r.agent, r.environment, r.role_arn, r.scopes, r.policy_digest, r.permissions_sha256,
      r.max_uses, v_from, date_trunc('milliseconds', v_from + make_interval(secs => r.valid_seconds)),
      r.max_session_seconds, v_approvers)
    RETURNING * INTO g;
    UPDATE writ.grant_request SET state = 'granted', closed_at = c.at WHERE id = r.id RETURNING * INTO r;
    c := writ.log_put(c, 'grant.created', writ.request_fields(r) || jsonb_build_object('grant_id', g.id),
      to_jsonb(g) - '{id,created_at,revoked_at,revoked_by,revoke_reason,uses}'::text[], NULL, writ.request_seen(r));
  END IF;
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'state', r.state, 'grant_id', g.id,
    'approvals', coalesce(cardinality(v_approvers), 0));
END $$;

CREATE OR REPLACE FUNCTION writ.withdraw_grant_request(p_id text, p_by text, p_operator text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  r writ.grant_request;
BEGIN
  SELECT * INTO r FROM writ.grant_request WHERE id = p_id FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF r.state <> 'pending' THEN RETURN jsonb_build_object('status', 'refused', 'code', 'request_closed'); END IF;
  c := writ.log_open();
  UPDATE writ.grant_request SET state = 'withdrawn', closed_at = c.at WHERE id = r.id RETURNING * INTO r;
  c := writ.log_put(c, 'grant_request.withdrawn', writ.request_fields(r) || jsonb_build_object('operator', p_operator),
    jsonb_build_object('by', p_by), NULL, writ.request_seen(r));
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok');
END $$;

CREATE OR REPLACE FUNCTION writ.revoke_grant(p_id text, p_operator text, p_reason text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  g writ.grants;
  r writ.grant_request;
BEGIN
  SELECT * INTO g FROM writ.grants WHERE id = p_id FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF g.revoked_at IS NOT NULL THEN RETURN jsonb_build_object('status', 'ok', 'already', true); END IF;
  SELECT * INTO STRICT r FROM writ.grant_request WHERE id = g.request_id;
  c := writ.log_open();
  UPDATE writ.grants SET revoked_at = c.at, revoked_by = p_operator, revoke_reason = p_reason WHERE id = g.id;
  c := writ.log_put(c, 'grant.revoked', writ.request_fields(r) || jsonb_build_object('grant_id', g.id, 'operator', p_operator),
    jsonb_build_object('uses', g.uses), jsonb_build_object('reason', p_reason), writ.request_seen(r));
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'already', false);
END $$;

GRANT SELECT ON writ.entry, writ.scope_set, writ.maintenance, writ.issuance TO writ_broker;
GRANT EXECUTE ON FUNCTION writ.make_partitions(integer), writ.partitioned_until() TO writ_broker;
