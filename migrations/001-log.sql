-- The log: append-only, chained, every body kept as the exact bytes that were hashed.
--
-- The broker's role can read it and call the functions that append; it can change nothing.

GRANT USAGE ON SCHEMA writ TO writ_broker;
ALTER DEFAULT PRIVILEGES IN SCHEMA writ REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
-- The line above is not enough: PUBLIC gets EXECUTE from the global default, which only this takes away.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE TABLE writ.log_head (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  size     bigint NOT NULL CHECK (size >= 0),
  batch_no bigint NOT NULL CHECK (batch_no >= 0),
  chain    bytea NOT NULL CHECK (length(chain) = 32),
  at       timestamptz NOT NULL
);
INSERT INTO writ.log_head (size, batch_no, chain, at) VALUES (0, 0, sha256('\x02'), clock_timestamp());

-- chain = SHA-256(0x02 ‖ previous chain ‖ size after, 8 bytes ‖ entries, 4 bytes ‖ leaf hashes)
CREATE TABLE writ.log_batch (
  batch_no   bigint PRIMARY KEY,
  first_idx  bigint NOT NULL,
  entries    integer NOT NULL CHECK (entries > 0),
  chain      bytea NOT NULL CHECK (length(chain) = 32),
  at         timestamptz NOT NULL
);

-- leaf_hash = SHA-256(0x00 ‖ body), RFC 9162 section 2.1.1. The columns beside the body exist to be
-- searched; the body says the same and is what is hashed.
CREATE TABLE writ.entry (
  idx         bigint PRIMARY KEY CHECK (idx >= 0),
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
  leaf_hash   bytea NOT NULL CHECK (leaf_hash = sha256('\x00'::bytea || body)),
  batch_no    bigint NOT NULL
);
CREATE INDEX entry_agent ON writ.entry (agent, idx DESC) WHERE agent IS NOT NULL;
CREATE INDEX entry_issuance ON writ.entry (issuance_id, idx) WHERE issuance_id IS NOT NULL;
CREATE INDEX entry_request ON writ.entry (request_id, idx) WHERE request_id IS NOT NULL;
CREATE INDEX entry_grant ON writ.entry (grant_id, idx) WHERE grant_id IS NOT NULL;
CREATE INDEX entry_kind ON writ.entry (kind, idx DESC);

CREATE FUNCTION writ.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'writ.% is append-only', TG_TABLE_NAME USING ERRCODE = 'WR001';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.entry
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.entry EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.log_batch
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.log_batch EXECUTE FUNCTION writ.refuse_change();

-- A run of entries being appended under the head's lock.
CREATE TYPE writ.log_cursor AS (
  next_idx bigint, batch_no bigint, at timestamptz, chain bytea, first_idx bigint, leaves bytea
);

-- Locks the head. Lock order everywhere: grant request, grants by id, head. The time is read after the
-- lock (now() is the transaction's start) and never runs backwards.
CREATE FUNCTION writ.log_open() RETURNS writ.log_cursor
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE h writ.log_head;
BEGIN
  SELECT * INTO STRICT h FROM writ.log_head FOR UPDATE;
  RETURN (h.size, h.batch_no + 1, greatest(clock_timestamp(), h.at), h.chain, h.size, ''::bytea)::writ.log_cursor;
END $$;

-- The body is composed here, so that index and time in it are the database's own.
-- `fields` are the searchable columns; they are part of the body.
CREATE FUNCTION writ.log_put(c writ.log_cursor, p_kind text, p_fields jsonb, p_payload jsonb)
RETURNS writ.log_cursor
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  v_body bytea := convert_to((coalesce(p_payload, '{}') || jsonb_strip_nulls(p_fields) || jsonb_build_object(
    'v', 1, 'index', c.next_idx, 'kind', p_kind,
    'at', to_char(c.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))::text, 'UTF8');
  v_leaf bytea := sha256('\x00'::bytea || v_body);
BEGIN
  INSERT INTO writ.entry (idx, at, kind, agent, environment, human, operator, issuance_id, request_id, grant_id,
                          code, body, leaf_hash, batch_no)
  VALUES (c.next_idx, c.at, p_kind, p_fields->>'agent', p_fields->>'environment', p_fields->>'human',
          p_fields->>'operator', p_fields->>'issuance_id', p_fields->>'request_id', p_fields->>'grant_id',
          p_fields->>'code', v_body, v_leaf, c.batch_no);
  c.next_idx := c.next_idx + 1;
  c.leaves := c.leaves || v_leaf;
  RETURN c;
END $$;

CREATE FUNCTION writ.log_seal(c writ.log_cursor) RETURNS void
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  v_n integer := (c.next_idx - c.first_idx)::integer;
  v_chain bytea;
BEGIN
  IF v_n = 0 THEN RETURN; END IF;
  v_chain := sha256('\x02'::bytea || c.chain || int8send(c.next_idx) || int4send(v_n) || c.leaves);
  INSERT INTO writ.log_batch (batch_no, first_idx, entries, chain, at)
  VALUES (c.batch_no, c.first_idx, v_n, v_chain, c.at);
  UPDATE writ.log_head SET size = c.next_idx, batch_no = c.batch_no, chain = v_chain, at = c.at;
END $$;

GRANT SELECT ON writ.log_head, writ.log_batch, writ.entry TO writ_broker;
