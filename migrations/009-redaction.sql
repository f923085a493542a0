-- Erasing what the record says of people. Only the owner may: who has the broker's login must not be able to
-- erase who did what. Bodies, leaf hashes, checkpoints and proofs stay as they were.

-- --- what may change about rows that were final ---------------------------------------------------------

ALTER TABLE writ.grant_request
  ALTER COLUMN reason DROP NOT NULL,
  ALTER COLUMN content_sha256 DROP NOT NULL,
  -- A human decides on what is there to read.
  ADD CONSTRAINT grant_request_whole CHECK (state <> 'pending' OR (reason IS NOT NULL AND content_sha256 IS NOT NULL));

-- A request closes once; after that it can lose what it says of people, and everything else stays as it was.
-- The hash of the content goes too: it is one of that data, without salt.
CREATE OR REPLACE FUNCTION writ.guard_grant_request() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE erasable text[] := ARRAY['reason', 'ticket', 'human', 'human_how', 'barred_humans', 'content_sha256'];
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.state = 'pending' AND NEW.state <> 'pending' AND NEW.closed_at IS NOT NULL
     AND to_jsonb(NEW) - 'state' - 'closed_at' = to_jsonb(OLD) - 'state' - 'closed_at' THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.state <> 'pending' AND to_jsonb(NEW) - erasable = to_jsonb(OLD) - erasable
     AND num_nonnulls(NEW.reason, NEW.ticket, NEW.human, NEW.human_how, NEW.content_sha256) = 0
     AND NEW.barred_humans = '{}' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a grant request can only be closed, once, and then erased' USING ERRCODE = 'WR001';
END $$;

CREATE FUNCTION writ.guard_decision_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.comment IS NULL AND to_jsonb(NEW) - 'comment' = to_jsonb(OLD) - 'comment' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'writ.grant_decision is append-only' USING ERRCODE = 'WR001';
END $$;
DROP TRIGGER append_only ON writ.grant_decision;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.grant_decision
  FOR EACH ROW EXECUTE FUNCTION writ.guard_decision_change();

-- A grant is used one at a time and revoked once; the words of who revoked it may be erased.
CREATE OR REPLACE FUNCTION writ.guard_grant() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE mutable text[] := ARRAY['uses', 'revoked_at', 'revoked_by', 'revoke_reason'];
BEGIN
  IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - mutable = to_jsonb(OLD) - mutable
     AND ((NEW.uses = OLD.uses + 1 AND OLD.revoked_at IS NULL AND NEW.revoked_at IS NULL)
       OR (NEW.uses = OLD.uses AND OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)) THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.revoked_at IS NOT NULL AND NEW.revoke_reason IS NULL
     AND to_jsonb(NEW) - 'revoke_reason' = to_jsonb(OLD) - 'revoke_reason' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a grant can only be used or revoked' USING ERRCODE = 'WR001';
END $$;

-- --- which rows ------------------------------------------------------------------------------------------

-- Entries from p_from on that `human`, `subject` or `indexes` name. A subject has no index: the log is read.
CREATE FUNCTION writ.redaction_names(p jsonb, p_from bigint) RETURNS bigint[]
LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  SELECT coalesce(array_agg(idx ORDER BY idx), '{}') FROM (
    SELECT e.idx FROM writ.entry e WHERE e.idx >= p_from AND e.human = p->>'human'
    UNION
    SELECT e.idx FROM jsonb_array_elements(p->'indexes') run
    JOIN writ.entry e ON e.idx BETWEEN (run->>0)::bigint AND (run->>1)::bigint WHERE e.idx >= p_from
    UNION
    SELECT e.idx FROM writ.entry e WHERE p ? 'subject' AND e.idx >= p_from AND e.salt IS NOT NULL
      AND convert_from(e.personal, 'UTF8')::jsonb->>'subject' = p->>'subject'
  ) named
$$;

-- Whose words a request holds: the human's it was for, or one who was barred from approving it.
CREATE FUNCTION writ.redaction_requests(p jsonb, p_idx bigint[]) RETURNS text[]
LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  SELECT coalesce(array_agg(r.id ORDER BY r.id), '{}') FROM writ.grant_request r
  WHERE r.human = p->>'human' OR p->>'human' = ANY (r.barred_humans)
     OR r.id IN (SELECT e.request_id FROM writ.entry e WHERE e.idx = ANY (p_idx) AND e.kind = 'grant_request.opened')
$$;

-- Those entries, the ones about those requests, and what followed from an intent among them. Only rows that have
-- something to erase; version 1 has its data in the body.
CREATE FUNCTION writ.redaction_entries(p_idx bigint[], p_requests text[], p_from bigint, OUT erasable bigint[], OUT version_1 bigint)
LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  WITH named AS (
    SELECT unnest(p_idx) AS idx
    UNION SELECT e.idx FROM writ.entry e WHERE e.request_id = ANY (p_requests) AND e.idx >= p_from
    UNION SELECT f.idx FROM writ.entry e JOIN writ.entry f ON f.issuance_id = e.issuance_id
      WHERE e.idx = ANY (p_idx) AND e.kind = 'issuance.intended' AND f.personal IS NULL AND f.idx >= p_from
  ), found AS (
    SELECT e.idx, convert_from(e.body, 'UTF8')::jsonb->>'v' = '1' AS old FROM named JOIN writ.entry e USING (idx)
    WHERE num_nonnulls(e.personal, e.salt, e.human, e.source_ip) > 0
  )
  SELECT coalesce(array_agg(idx ORDER BY idx) FILTER (WHERE NOT old), '{}'), count(*) FILTER (WHERE old) FROM found
$$;

-- Detached partitions, until somebody drops them. No broker may look in here.
CREATE SCHEMA writ_archive;
REVOKE ALL ON SCHEMA writ_archive FROM PUBLIC;

-- The same among the entries of a detached partition.
CREATE FUNCTION writ.redaction_archived(p_table regclass, p jsonb, p_requests text[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = writ, pg_temp AS $$
DECLARE v_found bigint[];
BEGIN
  EXECUTE format($q$
    WITH named AS (
      SELECT idx, kind, issuance_id FROM %1$s WHERE human = $1->>'human' OR request_id = ANY ($2)
        OR EXISTS (SELECT FROM jsonb_array_elements($1->'indexes') run WHERE idx BETWEEN (run->>0)::bigint AND (run->>1)::bigint)
        OR ($1 ? 'subject' AND salt IS NOT NULL AND convert_from(personal, 'UTF8')::jsonb->>'subject' = $1->>'subject')
    )
    SELECT array_agg(e.idx ORDER BY e.idx) FROM %1$s e
    WHERE (e.idx IN (SELECT idx FROM named)
        OR (e.personal IS NULL AND e.issuance_id IN (SELECT issuance_id FROM named WHERE kind = 'issuance.intended')))
      AND num_nonnulls(e.personal, e.salt, e.human, e.source_ip) > 0 AND convert_from(e.body, 'UTF8')::jsonb->>'v' <> '1'
  $q$, p_table) INTO v_found USING p, p_requests;
  RETURN coalesce(v_found, '{}');
END $$;

-- --- erasing ----------------------------------------------------------------------------------------------

-- Takes {by, why, human?, subject?, indexes?: [[first, last], …], dry_run?}; one of human, subject and indexes at
-- least. Answers {status: ok, entries, requests, version_1, alive, mentioned, log?} or {status: refused, code, …}.
-- Everything recorded before its own entry is looked at: what came in meanwhile is looked at again under the
-- head's lock. Lock order: grant requests, grants, entries, head.
CREATE FUNCTION writ.redact(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  v_size bigint;
  v_first bigint;
  v_idx bigint[];
  v_requests text[];
  v_pending text[];
  v_found record;
  v_late record;
  v_answer jsonb;
  v_log bigint;
  v_count bigint;
  v_part record;
  v_table regclass;
  v_name text;
  v_tables text[] := '{}';
  v_archived bigint[];
  v_all bigint[];
BEGIN
  IF coalesce(length(p->>'by'), 0) NOT BETWEEN 1 AND 200 OR coalesce(length(p->>'why'), 0) NOT BETWEEN 1 AND 1000 THEN
    RETURN '{"status": "refused", "code": "by_and_why"}';
  END IF;
  IF num_nonnulls(nullif(p->>'human', ''), nullif(p->>'subject', ''), p->'indexes') = 0 THEN
    RETURN '{"status": "refused", "code": "nobody_named"}';
  END IF;
  -- The entry that tells of an erasure stays for ever, so it must not say whose.
  IF position(lower(p->>'human') IN lower((p->>'by') || E'\n' || (p->>'why'))) > 0
     OR position(lower(p->>'subject') IN lower((p->>'by') || E'\n' || (p->>'why'))) > 0 THEN
    RETURN '{"status": "refused", "code": "names_the_person"}';
  END IF;

  SELECT size INTO STRICT v_size FROM writ.log_head;
  v_idx := writ.redaction_names(p, 0);
  v_requests := writ.redaction_requests(p, v_idx);
  IF NOT coalesce((p->>'dry_run')::boolean, false) THEN
    PERFORM FROM writ.grant_request WHERE id = ANY (v_requests) ORDER BY id FOR UPDATE;
    -- Revoking reads the request's human under the grant's lock, and then records it.
    PERFORM FROM writ.grants WHERE request_id = ANY (v_requests) ORDER BY id FOR UPDATE;
  END IF;
  v_pending := ARRAY(SELECT id FROM writ.grant_request WHERE id = ANY (v_requests) AND state = 'pending' ORDER BY id);
  SELECT * INTO v_found FROM writ.redaction_entries(v_idx, v_requests, 0);
  v_all := v_found.erasable;
  -- Also one that is just being detached, or was left so by a crash: the log no longer shows it.
  FOR v_table, v_name IN SELECT k.oid::regclass, format('%I.%I', k.relnamespace::regnamespace, k.relname)
      FROM pg_catalog.pg_class k
      WHERE k.relnamespace IN ('writ'::regnamespace, 'writ_archive'::regnamespace) AND k.relkind = 'r' AND k.relname ~ '^entry_'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = k.oid AND NOT i.inhdetachpending) LOOP
    v_archived := writ.redaction_archived(v_table, p, v_requests);
    CONTINUE WHEN v_archived = '{}';
    v_all := v_all || v_archived;
    v_tables := v_tables || v_name;
  END LOOP;
  v_requests := ARRAY(SELECT r.id FROM writ.grant_request r WHERE r.id = ANY (v_requests)
    AND (num_nonnulls(r.reason, r.ticket, r.human, r.human_how, r.content_sha256) > 0 OR r.barred_humans <> '{}'
      OR EXISTS (SELECT FROM writ.grant_decision d WHERE d.request_id = r.id AND d.comment IS NOT NULL)
      OR EXISTS (SELECT FROM writ.grants g WHERE g.request_id = r.id AND g.revoke_reason IS NOT NULL)) ORDER BY r.id);
  v_answer := jsonb_build_object('status', 'ok', 'entries', cardinality(v_all),
    'requests', to_jsonb(v_requests), 'pending', to_jsonb(v_pending), 'version_1', v_found.version_1,
    -- Deliveries of these will name the person again.
    'alive', (SELECT count(DISTINCT i.issuance_id) FROM writ.entry e JOIN writ.issuance i ON i.entry_idx = e.idx
              WHERE e.idx = ANY (v_found.erasable) AND i.state IN ('intended', 'issued') AND i.not_after > clock_timestamp()));
  IF (p->>'dry_run')::boolean THEN
    -- In somebody else's words: a human has to look at these. The needle as JSON spells it.
    RETURN v_answer || jsonb_build_object('mentioned', ARRAY(SELECT e.idx FROM writ.entry e
      WHERE p ? 'human' AND e.salt IS NOT NULL AND e.idx <> ALL (v_found.erasable)
        AND position(convert_to(trim('"' FROM (p->'human')::text), 'UTF8') IN e.personal) > 0 ORDER BY e.idx LIMIT 100));
  END IF;
  IF v_pending <> '{}' THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'requests_pending', 'requests', to_jsonb(v_pending));
  END IF;
  IF v_all = '{}' AND v_requests = '{}' THEN RETURN v_answer; END IF;

  -- What one entry alone says: the comment of a decision, the reason of a revocation.
  UPDATE writ.grant_decision d SET comment = NULL FROM writ.entry e
  WHERE e.idx = ANY (v_found.erasable) AND e.kind IN ('grant_request.approved', 'grant_request.denied')
    AND d.request_id = e.request_id AND d.operator = e.operator AND d.comment IS NOT NULL;
  UPDATE writ.grants g SET revoke_reason = NULL FROM writ.entry e
  WHERE e.idx = ANY (v_found.erasable) AND e.kind = 'grant.revoked' AND g.id = e.grant_id AND g.revoke_reason IS NOT NULL;
  UPDATE writ.grant_decision SET comment = NULL WHERE request_id = ANY (v_requests) AND comment IS NOT NULL;
  UPDATE writ.grants SET revoke_reason = NULL WHERE request_id = ANY (v_requests) AND revoke_reason IS NOT NULL;
  UPDATE writ.grant_request SET reason = NULL, ticket = NULL, human = NULL, human_how = NULL, barred_humans = '{}',
    content_sha256 = NULL
  WHERE id = ANY (v_requests);
  -- The key of a denial is a hash, without salt, that names the caller.
  UPDATE writ.denial SET key = 'erased' WHERE entry_idx = ANY (v_found.erasable);
  UPDATE writ.entry SET personal = NULL, salt = NULL, human = NULL, source_ip = NULL WHERE idx = ANY (v_found.erasable);
  GET DIAGNOSTICS v_count = ROW_COUNT;
  IF v_count <> cardinality(v_found.erasable) THEN
    RAISE EXCEPTION 'a partition was detached meanwhile' USING ERRCODE = 'WR011';
  END IF;
  FOREACH v_table IN ARRAY v_tables::regclass[] LOOP
    EXECUTE format('UPDATE %s SET personal = NULL, salt = NULL, human = NULL, source_ip = NULL WHERE idx = ANY ($1)', v_table)
      USING v_all;
  END LOOP;

  c := writ.log_open();
  -- Recorded since the first look. Nothing is, from here to the end.
  v_idx := writ.redaction_names(p, v_size);
  IF EXISTS (SELECT FROM writ.grant_request r WHERE r.human = p->>'human' OR p->>'human' = ANY (r.barred_humans)) THEN
    RAISE EXCEPTION 'a grant request of this person was opened meanwhile' USING ERRCODE = 'WR011';
  END IF;
  SELECT * INTO v_late FROM writ.redaction_entries(v_idx, v_requests, v_size);
  UPDATE writ.denial SET key = 'erased' WHERE entry_idx = ANY (v_late.erasable);
  UPDATE writ.entry SET personal = NULL, salt = NULL, human = NULL, source_ip = NULL WHERE idx = ANY (v_late.erasable);
  v_all := v_all || v_late.erasable;
  v_first := c.next_idx;
  -- At most 1,000 runs or 500 requests in one entry keep its body below 65,535 bytes.
  FOR v_part IN
    WITH one AS (
      SELECT idx, idx - row_number() OVER (ORDER BY idx) AS island FROM unnest(v_all) idx
    ), run AS (
      SELECT jsonb_build_array(min(idx), max(idx)) AS pair, min(idx) AS at FROM one GROUP BY island
    ), runs AS (
      SELECT (row_number() OVER (ORDER BY at) - 1) / 1000 AS chunk, pair, at FROM run
    ), erased AS (
      SELECT chunk, jsonb_agg(pair ORDER BY at) AS pairs FROM runs GROUP BY chunk
    ), asked AS (
      SELECT (n - 1) / 500 AS chunk, jsonb_agg(id ORDER BY n) AS ids FROM unnest(v_requests) WITH ORDINALITY r (id, n)
      GROUP BY (n - 1) / 500
    )
    SELECT pairs, ids FROM erased FULL JOIN asked USING (chunk) ORDER BY chunk
  LOOP
    c := writ.log_put(c, 'log.redacted', '{}', jsonb_strip_nulls(jsonb_build_object('by', p->>'by', 'why', p->>'why',
      'erased', coalesce(v_part.pairs, '[]'), 'requests', v_part.ids)));
  END LOOP;
  v_log := c.next_idx - 1;
  PERFORM writ.log_seal(c);
  RETURN v_answer || jsonb_build_object('entries', cardinality(v_all),
    'log', jsonb_build_array(v_first, v_log),
    'tables', (SELECT to_jsonb(v_tables) || coalesce(jsonb_agg(DISTINCT 'writ.' || e.tableoid::regclass::text), '[]')
               FROM writ.entry e WHERE e.idx = ANY (v_all)));
END $$;

REVOKE ALL ON FUNCTION writ.redact(jsonb), writ.redaction_names(jsonb, bigint), writ.redaction_requests(jsonb, bigint[]),
  writ.redaction_entries(bigint[], text[], bigint), writ.redaction_archived(regclass, jsonb, text[]) FROM PUBLIC;
