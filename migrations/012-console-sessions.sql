-- Who is signed in to the console. A cookie holds the secret, a row only its SHA-256: whoever reads a backup, or
-- has the broker's login, can be nobody with it.

CREATE TABLE writ.console_session (
  token_sha256     text PRIMARY KEY CHECK (token_sha256 ~ '^[0-9a-f]{64}$'),
  -- Names the session; opens nothing.
  id               text NOT NULL UNIQUE CHECK (id ~ '^[0-9a-z]{12}$'),
  operator         text NOT NULL,
  method           text NOT NULL CHECK (method IN ('oidc', 'passkey')),
  -- Issuer, subject and the claims that policy looks at, to ask policy again at every request. Gone when it ends.
  identity         jsonb,
  created_at       timestamptz NOT NULL,
  authenticated_at timestamptz NOT NULL,
  seen_at          timestamptz NOT NULL,
  expires_at       timestamptz NOT NULL CHECK (expires_at <= created_at + interval '12 hours'),
  -- Since when the token is good.
  token_at         timestamptz NOT NULL,
  -- The token that follows, offered and not seen yet: an answer that never arrived must sign nobody out.
  next_sha256      text UNIQUE CHECK (next_sha256 ~ '^[0-9a-f]{64}$'),
  next_at          timestamptz,
  -- The one before, for requests that were under way.
  previous_sha256  text UNIQUE CHECK (previous_sha256 ~ '^[0-9a-f]{64}$'),
  previous_until   timestamptz,
  ended_at         timestamptz,
  why              text CHECK (why IN ('signed_out', 'ended', 'ended_by_admin', 'signed_in_again', 'policy_changed',
                                       'token_reused', 'expired', 'idle')),
  CHECK ((ended_at IS NULL) = (why IS NULL)),
  CHECK (CASE WHEN ended_at IS NULL THEN (identity IS NULL) = (method = 'passkey') ELSE identity IS NULL END)
);
CREATE INDEX console_session_operator ON writ.console_session (operator, created_at);
CREATE INDEX console_session_live ON writ.console_session (expires_at) WHERE ended_at IS NULL;
CREATE INDEX console_session_ended ON writ.console_session (ended_at) WHERE ended_at IS NOT NULL;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.console_session EXECUTE FUNCTION writ.refuse_change();

-- Null while a session is good, else why it is not.
CREATE FUNCTION writ.session_over(s writ.console_session) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN s.ended_at IS NOT NULL THEN s.why
              WHEN clock_timestamp() >= s.expires_at THEN 'expired'
              WHEN clock_timestamp() >= s.seen_at + interval '1 hour' THEN 'idle' END
$$;

-- Ends a session that the caller has locked. Lock order: sessions, then the head.
CREATE FUNCTION writ.end_session_row(c INOUT writ.log_cursor, s writ.console_session, p_why text, p_by text)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
BEGIN
  UPDATE writ.console_session SET ended_at = c.at, why = p_why, identity = NULL, next_sha256 = NULL, next_at = NULL
  WHERE id = s.id;
  c := writ.log_put(c, 'operator.session_ended', jsonb_build_object('operator', s.operator),
    jsonb_strip_nulls(jsonb_build_object('session', s.id, 'why', p_why, 'by', p_by)), NULL);
END $$;

-- Ends what ran out, and forgets what ended a month ago. A few at a time, whenever somebody signs in.
CREATE FUNCTION writ.sweep_sessions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  s writ.console_session;
  v_over writ.console_session[];
BEGIN
  DELETE FROM writ.console_session WHERE id IN (
    SELECT id FROM writ.console_session WHERE ended_at < clock_timestamp() - interval '30 days'
    ORDER BY ended_at LIMIT 20 FOR UPDATE SKIP LOCKED);
  v_over := ARRAY(SELECT o FROM writ.console_session o WHERE o.ended_at IS NULL AND writ.session_over(o) IS NOT NULL
                  ORDER BY o.id LIMIT 20 FOR UPDATE SKIP LOCKED);
  IF v_over = '{}' THEN RETURN 0; END IF;
  c := writ.log_open();
  FOREACH s IN ARRAY v_over LOOP
    c := writ.end_session_row(c, s, writ.session_over(s), NULL);
  END LOOP;
  PERFORM writ.log_seal(c);
  RETURN cardinality(v_over);
END $$;

-- Takes {token_sha256, id, operator, method, identity?, authenticated_at, replaces?}. `replaces` is the id of this
-- browser's session before: it ends, since nobody has its cookie any more who should.
CREATE FUNCTION writ.session_start(p jsonb) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  s writ.console_session;
  v_now timestamptz;
BEGIN
  SELECT * INTO s FROM writ.console_session WHERE id = p->>'replaces' AND ended_at IS NULL FOR UPDATE;
  IF FOUND THEN
    c := writ.log_open();
    c := writ.end_session_row(c, s, 'signed_in_again', NULL);
    PERFORM writ.log_seal(c);
  END IF;
  -- After that, although it locks rows with the head held: it waits for none of them.
  PERFORM writ.sweep_sessions();
  v_now := clock_timestamp();
  INSERT INTO writ.console_session (token_sha256, id, operator, method, identity, created_at, authenticated_at, seen_at,
    expires_at, token_at)
  VALUES (p->>'token_sha256', p->>'id', p->>'operator', p->>'method', nullif(p->'identity', 'null'), v_now,
    -- A clock that runs ahead must not make somebody fresh for longer.
    least((p->>'authenticated_at')::timestamptz, v_now), v_now, v_now + interval '12 hours', v_now);
  RETURN v_now + interval '12 hours';
END $$;

-- That somebody is there: moves the idle end, at most once a minute, and takes the offered token into use.
CREATE FUNCTION writ.session_seen(p_sha256 text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
BEGIN
  UPDATE writ.console_session s SET token_sha256 = s.next_sha256, token_at = clock_timestamp(), seen_at = clock_timestamp(),
    previous_sha256 = s.token_sha256, previous_until = clock_timestamp() + interval '10 seconds',
    next_sha256 = NULL, next_at = NULL
  WHERE s.next_sha256 = p_sha256 AND writ.session_over(s) IS NULL;
  IF FOUND THEN RETURN; END IF;
  UPDATE writ.console_session s SET seen_at = clock_timestamp()
  WHERE p_sha256 IN (s.token_sha256, s.previous_sha256) AND s.seen_at < clock_timestamp() - interval '1 minute'
    AND (s.token_sha256 = p_sha256 OR clock_timestamp() < s.previous_until) AND writ.session_over(s) IS NULL;
END $$;

-- Offers the token that follows. False when another request just did, or the session is over.
CREATE FUNCTION writ.session_rotate(p_old_sha256 text, p_new_sha256 text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
BEGIN
  UPDATE writ.console_session s SET next_sha256 = p_new_sha256, next_at = clock_timestamp()
  WHERE s.token_sha256 = p_old_sha256 AND writ.session_over(s) IS NULL
    AND (s.next_at IS NULL OR s.next_at < clock_timestamp() - interval '1 minute');
  RETURN FOUND;
END $$;

-- Somebody showed again that it is them. The token before ends at once: whoever else holds it must not be fresh.
CREATE FUNCTION writ.session_authenticated(p_old_sha256 text, p_new_sha256 text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
BEGIN
  UPDATE writ.console_session s SET token_sha256 = p_new_sha256, token_at = clock_timestamp(), seen_at = clock_timestamp(),
    authenticated_at = clock_timestamp(), next_sha256 = NULL, next_at = NULL,
    previous_sha256 = p_old_sha256, previous_until = '-infinity'
  WHERE s.token_sha256 = p_old_sha256 AND writ.session_over(s) IS NULL;
  RETURN FOUND;
END $$;

-- Null when there is no such session (of p_operator, where given), else whether it was still open.
CREATE FUNCTION writ.session_end(p jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  s writ.console_session;
BEGIN
  SELECT * INTO s FROM writ.console_session
  WHERE id = p->>'id' AND (p->>'operator' IS NULL OR operator = p->>'operator') FOR UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF s.ended_at IS NOT NULL THEN RETURN false; END IF;
  c := writ.log_open();
  c := writ.end_session_row(c, s, p->>'why', p->>'by');
  PERFORM writ.log_seal(c);
  RETURN true;
END $$;

-- Sign-ins under way at an issuer. What they are about lies in the browser's cookie; this row makes that cookie
-- unalterable, good once and for ten minutes, on every replica and without a key that all of them share.
CREATE TABLE writ.sign_in (
  state_sha256  text PRIMARY KEY CHECK (state_sha256 ~ '^[0-9a-f]{64}$'),
  cookie_sha256 text NOT NULL CHECK (cookie_sha256 ~ '^[0-9a-f]{64}$'),
  expires_at    timestamptz NOT NULL
);
CREATE INDEX sign_in_expires ON writ.sign_in (expires_at);

CREATE FUNCTION writ.sign_in_begin(p_state_sha256 text, p_cookie_sha256 text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
BEGIN
  -- Faster than anybody can add: nobody is signed in yet who calls this.
  DELETE FROM writ.sign_in WHERE state_sha256 IN (
    SELECT state_sha256 FROM writ.sign_in WHERE expires_at < clock_timestamp() ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED);
  INSERT INTO writ.sign_in (state_sha256, cookie_sha256, expires_at)
  VALUES (p_state_sha256, p_cookie_sha256, clock_timestamp() + interval '10 minutes');
END $$;

-- Whether this state was given to the browser that holds this cookie, was not used before and is in time. A try
-- with another cookie uses it up too.
CREATE FUNCTION writ.sign_in_take(p_state_sha256 text, p_cookie_sha256 text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
  WITH taken AS (DELETE FROM writ.sign_in WHERE state_sha256 = p_state_sha256 RETURNING *)
  SELECT coalesce((SELECT cookie_sha256 = p_cookie_sha256 AND clock_timestamp() < expires_at FROM taken), false)
$$;

GRANT SELECT ON writ.console_session TO writ_broker;
GRANT EXECUTE ON FUNCTION writ.session_over(writ.console_session), writ.sweep_sessions(), writ.session_start(jsonb),
  writ.session_seen(text), writ.session_rotate(text, text), writ.session_authenticated(text, text),
  writ.session_end(jsonb), writ.sign_in_begin(text, text), writ.sign_in_take(text, text) TO writ_broker;
