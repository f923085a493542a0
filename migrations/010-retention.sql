-- Old partitions leave the log for archives: detached by the owner, never deleted. Everything that proves them
-- (tiles, checkpoints) and what issuances stand on (intents, outcomes, grants) stays.

-- The first entry still in the database. What lies below was archived, and is no restore.
CREATE TABLE writ.log_start (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  first    bigint NOT NULL CHECK (first >= 0)
);
INSERT INTO writ.log_start (first) VALUES (0);
CREATE TRIGGER no_delete BEFORE DELETE ON writ.log_start FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.log_start EXECUTE FUNCTION writ.refuse_change();

CREATE VIEW writ.entry_partition AS
SELECT c.relname::text AS name, bound.part[1]::bigint AS first, bound.part[2]::bigint AS until, i.inhdetachpending AS detaching
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid,
  regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''?(\d+)''?\) TO \(''?(\d+)''?\)') AS bound (part)
WHERE i.inhparent = 'writ.entry'::regclass;

-- Every full partition that is still part of the log, in order, and what keeps it there: `young`, `unpublished`
-- (not wholly below p_published entries), `open` (an intent without an outcome), `webhook` (one that has not had
-- it yet), `earlier` (one before it stays).
CREATE FUNCTION writ.archivable(p_before timestamptz, p_published bigint)
RETURNS TABLE (name text, first bigint, until bigint, last_at timestamptz, why_not text)
LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  WITH full_ones AS (
    SELECT p.name, p.first, p.until, (SELECT e.at FROM writ.entry e WHERE e.idx = p.until - 1) AS last_at
    FROM writ.entry_partition p
    WHERE p.until <= (SELECT size FROM writ.log_head) AND p.until > (SELECT s.first FROM writ.log_start s)
  ), judged AS (
    SELECT f.*, CASE
      WHEN f.last_at >= p_before THEN 'young'
      WHEN f.until > p_published THEN 'unpublished'
      WHEN EXISTS (SELECT FROM writ.intent i LEFT JOIN writ.outcome o USING (issuance_id)
                   WHERE o.issuance_id IS NULL AND i.entry_idx < f.until AND i.entry_idx >= (SELECT settled FROM writ.maintenance))
        THEN 'open'
      WHEN EXISTS (SELECT FROM writ.webhook w WHERE w.disabled_at IS NULL AND w.next_idx < f.until) THEN 'webhook'
    END AS why
    FROM full_ones f
  )
  SELECT j.name, j.first, j.until, j.last_at,
    coalesce(j.why, CASE WHEN bool_or(j.why IS NOT NULL) OVER (ORDER BY j.first) THEN 'earlier' END)
  FROM judged j ORDER BY j.first
$$;

-- Says in the log that a partition is archived and begins the log behind it, in one commit; detaching follows.
-- After a crash in between, the partition is below log_start and still attached, which is how it is found again.
-- Takes {by, name, origin, size, root, before}; answers {status: ok, index} or {status: refused, code}.
CREATE FUNCTION writ.record_archive(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  v_first bigint;
  v record;
BEGIN
  SELECT first INTO STRICT v_first FROM writ.log_start FOR UPDATE;
  SELECT * INTO v FROM writ.archivable((p->>'before')::timestamptz, (p->>'size')::bigint) a WHERE a.name = p->>'name';
  IF NOT FOUND OR v.first > v_first THEN RETURN '{"status": "refused", "code": "not_next"}'; END IF;
  IF v.why_not IS NOT NULL THEN RETURN jsonb_build_object('status', 'refused', 'code', v.why_not); END IF;
  c := writ.log_open();
  c := writ.log_put(c, 'log.archived', '{}', jsonb_build_object('by', p->>'by', 'from', v.first, 'to', v.until,
    'origin', p->>'origin', 'size', (p->>'size')::bigint, 'root', p->>'root'));
  PERFORM writ.log_seal(c);
  UPDATE writ.log_start SET first = v.until;
  RETURN jsonb_build_object('status', 'ok', 'index', c.next_idx - 1);
END $$;

REVOKE ALL ON FUNCTION writ.archivable(timestamptz, bigint), writ.record_archive(jsonb) FROM PUBLIC;
GRANT SELECT ON writ.log_start TO writ_broker;
