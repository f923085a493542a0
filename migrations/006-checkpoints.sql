-- Signed heads of the log. The tree is built behind the log by one replica at a time; what it signs is
-- published outside this database, which is what makes a rewrite in here visible.

-- C2SP tlog-tiles gives an entry's length two bytes. A longer one could be recorded and never proven.
ALTER TABLE writ.entry ADD CONSTRAINT entry_fits_a_bundle CHECK (length(body) <= 65535);

CREATE TABLE writ.log_writer (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  holder   text NOT NULL,
  fence    bigint NOT NULL,
  until    timestamptz NOT NULL
);
INSERT INTO writ.log_writer (holder, fence, until) VALUES ('nobody', 0, '-infinity');

CREATE TABLE writ.checkpoint (
  origin text NOT NULL,
  size   bigint NOT NULL CHECK (size > 0),
  root   bytea NOT NULL CHECK (length(root) = 32),
  -- The complete subtrees at this size: where the next writer goes on. Believed only if they give the signed root.
  peaks  jsonb NOT NULL,
  note   text NOT NULL,
  fence  bigint NOT NULL,
  at     timestamptz NOT NULL,
  PRIMARY KEY (origin, size)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.checkpoint
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.checkpoint EXECUTE FUNCTION writ.refuse_change();

-- Makes the caller the log's writer, or keeps it so, for p_seconds; null while somebody else is. A new holder
-- gets a new fence, so that one who was stopped and woke up again can record nothing.
CREATE FUNCTION writ.claim_log_writer(p_holder text, p_seconds integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE w writ.log_writer;
BEGIN
  SELECT * INTO STRICT w FROM writ.log_writer FOR UPDATE;
  IF w.holder <> p_holder AND clock_timestamp() < w.until THEN RETURN NULL; END IF;
  UPDATE writ.log_writer SET holder = p_holder, fence = w.fence + (w.holder <> p_holder)::integer,
    until = clock_timestamp() + make_interval(secs => least(greatest(p_seconds, 1), 60))
  RETURNING fence INTO w.fence;
  RETURN w.fence;
END $$;

-- True when recorded: the caller still holds the fence, the size grows, and the log is that long.
CREATE FUNCTION writ.record_checkpoint(p_fence bigint, p_origin text, p_size bigint, p_root bytea, p_peaks jsonb, p_note text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
BEGIN
  PERFORM FROM writ.log_writer WHERE fence = p_fence AND clock_timestamp() < until FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  IF p_size <= (SELECT coalesce(max(size), 0) FROM writ.checkpoint WHERE origin = p_origin)
     OR p_size > (SELECT size FROM writ.log_head) THEN
    RETURN false;
  END IF;
  INSERT INTO writ.checkpoint (origin, size, root, peaks, note, fence, at)
  VALUES (p_origin, p_size, p_root, p_peaks, p_note, p_fence, clock_timestamp());
  RETURN true;
END $$;

GRANT SELECT ON writ.log_writer, writ.checkpoint TO writ_broker;
GRANT EXECUTE ON FUNCTION writ.claim_log_writer(text, integer),
  writ.record_checkpoint(bigint, text, bigint, bytea, jsonb, text) TO writ_broker;
