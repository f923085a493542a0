-- Where each webhook is in the log. Entries are sent in the order of their index, by one replica at a time;
-- a replica that was stopped and woke up again can move nothing, because the fence has moved on.

CREATE TABLE writ.webhook (
  name            text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  -- Everything before it was delivered, or is of a kind that the webhook does not take.
  next_idx        bigint NOT NULL CHECK (next_idx >= 0),
  -- Failed ones in a row, and since when.
  attempts        integer NOT NULL DEFAULT 0,
  failing_since   timestamptz,
  next_attempt_at timestamptz NOT NULL DEFAULT '-infinity',
  -- A word of ours, never text of the receiver.
  last_failure    text CHECK (last_failure ~ '^[a-z0-9_]{1,40}$'),
  last_success_at timestamptz,
  disabled_at     timestamptz,
  disabled_why    text,
  holder          text NOT NULL DEFAULT 'nobody',
  fence           bigint NOT NULL DEFAULT 0,
  until           timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE TRIGGER no_delete BEFORE DELETE ON writ.webhook FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.webhook EXECUTE FUNCTION writ.refuse_change();

-- A webhook seen for the first time begins at the head: nobody asked for the years before.
CREATE FUNCTION writ.begin_webhook(p_name text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
  INSERT INTO writ.webhook (name, next_idx) SELECT p_name, size FROM writ.log_head ON CONFLICT (name) DO NOTHING
$$;

-- Makes the caller the one who delivers, or keeps it so, for p_seconds. No row while somebody else is, while the
-- webhook is disabled, or before its next attempt.
CREATE FUNCTION writ.claim_webhook(p_name text, p_holder text, p_seconds integer)
RETURNS TABLE (fence bigint, next_idx bigint, attempts integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE w writ.webhook;
BEGIN
  SELECT * INTO w FROM writ.webhook t WHERE t.name = p_name FOR UPDATE;
  IF NOT FOUND OR w.disabled_at IS NOT NULL OR clock_timestamp() < w.next_attempt_at
     OR (w.holder <> p_holder AND clock_timestamp() < w.until) THEN
    RETURN;
  END IF;
  UPDATE writ.webhook t SET holder = p_holder, fence = w.fence + (w.holder <> p_holder)::integer,
    until = clock_timestamp() + make_interval(secs => least(greatest(p_seconds, 1), 60))
  WHERE t.name = p_name;
  RETURN QUERY SELECT w.fence + (w.holder <> p_holder)::integer, w.next_idx, w.attempts;
END $$;

CREATE FUNCTION writ.release_webhook(p_name text, p_fence bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
  UPDATE writ.webhook SET until = '-infinity' WHERE name = p_name AND fence = p_fence
$$;

-- True when recorded: the caller still holds the fence, and nobody moved the place since it looked.
CREATE FUNCTION writ.advance_webhook(p_name text, p_fence bigint, p_from bigint, p_to bigint, p_delivered boolean,
  p_seconds integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
BEGIN
  UPDATE writ.webhook SET next_idx = p_to,
    until = clock_timestamp() + make_interval(secs => least(greatest(p_seconds, 1), 60)),
    attempts = CASE WHEN p_delivered THEN 0 ELSE attempts END,
    failing_since = CASE WHEN p_delivered THEN NULL ELSE failing_since END,
    last_failure = CASE WHEN p_delivered THEN NULL ELSE last_failure END,
    last_success_at = CASE WHEN p_delivered THEN clock_timestamp() ELSE last_success_at END
  WHERE name = p_name AND fence = p_fence AND clock_timestamp() < until AND disabled_at IS NULL
    AND next_idx = p_from AND p_to > p_from AND p_to <= (SELECT size FROM writ.log_head);
  RETURN FOUND;
END $$;

-- Counts a failed attempt and sets the next, or disables the webhook when it has been failing for
-- p_give_up_seconds (0: at once). The entry that tells of it commits with it, or neither does. Answers whether it
-- is disabled now; null when the fence is lost.
CREATE FUNCTION writ.fail_webhook(p_name text, p_fence bigint, p_idx bigint, p_why text, p_delay_seconds integer,
  p_give_up_seconds integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  w writ.webhook;
  c writ.log_cursor;
  v_over boolean;
BEGIN
  SELECT * INTO w FROM writ.webhook
  WHERE name = p_name AND fence = p_fence AND clock_timestamp() < until AND disabled_at IS NULL AND next_idx = p_idx
  FOR UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  w.failing_since := coalesce(w.failing_since, clock_timestamp());
  v_over := clock_timestamp() >= w.failing_since + make_interval(secs => p_give_up_seconds);
  UPDATE writ.webhook SET attempts = w.attempts + 1, failing_since = w.failing_since, last_failure = p_why,
    next_attempt_at = clock_timestamp() + make_interval(secs => least(greatest(p_delay_seconds, 1), 86400)),
    disabled_at = CASE WHEN v_over THEN clock_timestamp() END, disabled_why = CASE WHEN v_over THEN p_why END,
    until = '-infinity'
  WHERE name = p_name;
  IF v_over THEN
    -- Lock order: the webhook, then the head; nobody who holds the head asks for a webhook.
    c := writ.log_open();
    c := writ.log_put(c, 'webhook.disabled', jsonb_build_object('code', p_why),
      jsonb_build_object('webhook', p_name, 'next_index', w.next_idx));
    PERFORM writ.log_seal(c);
  END IF;
  RETURN v_over;
END $$;

-- Goes on where the webhook stopped, now; of one that was not disabled it only ends the wait. Entries that are no
-- longer here are left out, and the log says so: `next_index` is further than in the entry that disabled it.
-- Null when there is no such webhook, else whether it was disabled.
CREATE FUNCTION writ.enable_webhook(p_name text, p_operator text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  w writ.webhook;
  c writ.log_cursor;
  v_next bigint;
BEGIN
  SELECT * INTO w FROM writ.webhook WHERE name = p_name FOR UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  v_next := coalesce((SELECT min(idx) FROM writ.entry WHERE idx >= w.next_idx), w.next_idx);
  UPDATE writ.webhook SET attempts = 0, failing_since = NULL, next_attempt_at = '-infinity', disabled_at = NULL,
    disabled_why = NULL, next_idx = v_next
  WHERE name = p_name;
  IF w.disabled_at IS NOT NULL THEN
    c := writ.log_open();
    c := writ.log_put(c, 'webhook.enabled', jsonb_build_object('operator', p_operator),
      jsonb_build_object('webhook', p_name, 'next_index', v_next));
    PERFORM writ.log_seal(c);
  END IF;
  RETURN w.disabled_at IS NOT NULL;
END $$;

GRANT SELECT ON writ.webhook TO writ_broker;
GRANT EXECUTE ON FUNCTION writ.begin_webhook(text), writ.claim_webhook(text, text, integer),
  writ.release_webhook(text, bigint), writ.advance_webhook(text, bigint, bigint, bigint, boolean, integer),
  writ.fail_webhook(text, bigint, bigint, text, integer, integer), writ.enable_webhook(text, text) TO writ_broker;
