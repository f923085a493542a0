-- Keys that operators sign with, and what they sign. A token says who somebody is; only a key of their own says
-- that they, and no program at their desk, decided.

CREATE TABLE writ.operator_key (
  -- A WebAuthn credential id in base64url, or an SSH fingerprint `SHA256:…`.
  id           text PRIMARY KEY CHECK (length(id) BETWEEN 16 AND 1400),
  operator     text NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('passkey', 'ssh-sk')),
  -- COSE in base64url, or `sk-ssh-… BASE64`. One key is one person's: two names on it would make a quorum of one.
  public_key   text NOT NULL UNIQUE,
  label        text NOT NULL CHECK (length(label) BETWEEN 1 AND 64),
  aaguid       text,
  transports   text[] NOT NULL DEFAULT '{}',
  backed_up    boolean,
  sign_count   bigint NOT NULL DEFAULT 0 CHECK (sign_count >= 0),
  added_at     timestamptz NOT NULL,
  -- The operator who signed for it; null when it was enrolled with a one-time code.
  vouched_by   text CHECK (lower(vouched_by) <> lower(operator)),
  -- Their signature: whoever has the broker's login can call the function that adds a key, and cannot make one.
  proof        jsonb CHECK ((vouched_by IS NULL) = (proof IS NULL)),
  last_used_at timestamptz,
  removed_at   timestamptz,
  removed_by   text,
  CHECK ((removed_at IS NULL) = (removed_by IS NULL))
);
CREATE INDEX operator_key_operator ON writ.operator_key (operator, added_at);

-- A key is used, and removed once; it never becomes another's and never comes back.
CREATE FUNCTION writ.guard_operator_key() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE mutable text[] := ARRAY['sign_count', 'last_used_at', 'backed_up', 'removed_at', 'removed_by'];
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.removed_at IS NULL AND NEW.sign_count >= OLD.sign_count
     AND to_jsonb(NEW) - mutable = to_jsonb(OLD) - mutable THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a key can only be used or removed' USING ERRCODE = 'WR001';
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON writ.operator_key
  FOR EACH ROW EXECUTE FUNCTION writ.guard_operator_key();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.operator_key EXECUTE FUNCTION writ.refuse_change();

-- A key of one's own that waits for somebody else to vouch for it.
CREATE TABLE writ.proposed_key (
  id         text PRIMARY KEY CHECK (id ~ '^[0-9a-z]{12}$'),
  operator   text NOT NULL,
  key        jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  closed_at  timestamptz
);
CREATE INDEX proposed_key_open ON writ.proposed_key (created_at) WHERE closed_at IS NULL;

-- One-time codes for a first key, or after the loss of all. Only the owner of the database makes one; only its hash
-- is here.
CREATE TABLE writ.enrolment_code (
  code_sha256 text PRIMARY KEY CHECK (code_sha256 ~ '^[0-9a-f]{64}$'),
  operator    text NOT NULL,
  created_at  timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL,
  used_at     timestamptz
);

-- What somebody is asked to sign. Each is used once.
CREATE TABLE writ.challenge (
  id         text PRIMARY KEY CHECK (id ~ '^[0-9a-z]{12}$'),
  purpose    text NOT NULL CHECK (purpose IN ('decision', 'vouch', 'register', 'sign-in')),
  -- Who must sign; null where that is what the signature is to tell.
  operator   text,
  -- Canonical text; for registering and signing in, random bytes in base64url.
  document   text NOT NULL CHECK (length(document) BETWEEN 16 AND 65536),
  -- What the document has the hash of only: a comment, and its salt. Gone as soon as it is signed.
  personal   jsonb,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL CHECK (expires_at <= created_at + interval '15 minutes'),
  used_at    timestamptz,
  CHECK (operator IS NOT NULL OR purpose IN ('register', 'sign-in'))
);
CREATE INDEX challenge_expires ON writ.challenge (expires_at);

-- Answers when it will be over.
CREATE FUNCTION writ.put_challenge(p jsonb) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE v_expires timestamptz := clock_timestamp() + make_interval(secs => (p->>'seconds')::integer);
BEGIN
  -- Few at a time, so that nobody who is not signed in yet can fill the table.
  DELETE FROM writ.challenge WHERE id IN (
    SELECT id FROM writ.challenge WHERE expires_at < clock_timestamp() - interval '1 day'
    ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED);
  INSERT INTO writ.challenge (id, purpose, operator, document, personal, created_at, expires_at)
  VALUES (p->>'id', p->>'purpose', p->>'operator', p->>'document', p->'personal', clock_timestamp(), v_expires);
  RETURN v_expires;
END $$;

-- Uses a challenge up. Null when there is none of this purpose, or it was used, or is over.
CREATE FUNCTION writ.take_challenge(p_id text, p_purpose text) RETURNS writ.challenge
LANGUAGE sql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
  UPDATE writ.challenge SET used_at = clock_timestamp()
  WHERE id = p_id AND purpose = p_purpose AND used_at IS NULL AND clock_timestamp() < expires_at
  RETURNING *
$$;

-- The same for a signed document: by whom it had to be, with a key that they hold, and this very text. Answers null,
-- or the code of a refusal. The signature itself is checked by the broker before, and by every verifier after.
CREATE FUNCTION writ.take_signature(p_purpose text, p_operator text, p_proof jsonb, p_challenge text, p_count bigint)
RETURNS text
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE k writ.operator_key;
BEGIN
  SELECT * INTO k FROM writ.operator_key WHERE id = p_proof->>'key_id' AND operator = p_operator AND kind = p_proof->>'kind'
    AND public_key = p_proof->>'public_key' AND removed_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN RETURN 'key_unknown'; END IF;
  -- Checked by the broker too, which read the count before this lock. A key that does not count says 0, or nothing.
  IF greatest(p_count, k.sign_count) > 0 AND p_count <= k.sign_count THEN RETURN 'signature_invalid'; END IF;
  UPDATE writ.challenge SET used_at = clock_timestamp(), personal = NULL
  WHERE id = p_challenge AND purpose = p_purpose AND operator = p_operator AND document = p_proof->>'document'
    AND used_at IS NULL AND clock_timestamp() < expires_at;
  IF NOT FOUND THEN RETURN 'challenge_over'; END IF;
  UPDATE writ.operator_key SET last_used_at = clock_timestamp(), sign_count = greatest(sign_count, coalesce(p_count, 0))
  WHERE id = k.id;
  RETURN NULL;
END $$;

-- Under the head's lock, as every key comes: two names at once cannot both find it free.
CREATE FUNCTION writ.key_taken(k jsonb) RETURNS boolean
LANGUAGE sql SET search_path = writ, pg_temp AS $$
  SELECT EXISTS (SELECT FROM writ.operator_key WHERE id = k->>'id' OR public_key = k->>'public_key')
$$;

-- `p` has `personal` ({source_ip}) and `seen` (the same, where it is an address), as all of the functions below.
CREATE FUNCTION writ.insert_key(c INOUT writ.log_cursor, p_operator text, k jsonb, p_by text, p_payload jsonb, p jsonb)
LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
BEGIN
  INSERT INTO writ.operator_key (id, operator, kind, public_key, label, aaguid, transports, backed_up, sign_count, added_at, vouched_by, proof)
  VALUES (k->>'id', p_operator, k->>'kind', k->>'public_key', k->>'label', k->>'aaguid',
    ARRAY(SELECT jsonb_array_elements_text(coalesce(k->'transports', '[]'))), (k->>'backed_up')::boolean,
    coalesce((k->>'sign_count')::bigint, 0), c.at, p_by, p_payload->'proof');
  c := writ.log_put(c, 'operator.key_added', jsonb_build_object('operator', coalesce(p_by, p_operator)),
    jsonb_strip_nulls(jsonb_build_object('of', p_operator, 'key_id', k->>'id', 'key_kind', k->>'kind',
      'public_key', k->>'public_key', 'label', k->>'label', 'aaguid', k->>'aaguid')) || p_payload, p->'personal', p->'seen');
END $$;

-- Whether a code would be taken; does not use it up.
CREATE FUNCTION writ.code_usable(p_code_sha256 text, p_operator text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
  SELECT EXISTS (SELECT FROM writ.enrolment_code WHERE code_sha256 = p_code_sha256 AND operator = p_operator
    AND used_at IS NULL AND clock_timestamp() < expires_at)
$$;

-- This and the three that follow answer {status: ok} or {status: refused, code}.

-- A first key, or one after a loss, with a code that only the database's owner can make. A key that cannot be leaves
-- the code as it was.
CREATE FUNCTION writ.add_key_with_code(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE c writ.log_cursor;
BEGIN
  PERFORM FROM writ.enrolment_code WHERE code_sha256 = p->>'code_sha256' AND operator = p->>'operator'
    AND used_at IS NULL AND clock_timestamp() < expires_at FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'code_unusable'); END IF;
  c := writ.log_open();
  IF writ.key_taken(p->'key') THEN RETURN jsonb_build_object('status', 'refused', 'code', 'key_taken'); END IF;
  UPDATE writ.enrolment_code SET used_at = c.at WHERE code_sha256 = p->>'code_sha256';
  c := writ.insert_key(c, p->>'operator', p->'key', NULL, jsonb_build_object('by', 'enrolment-code'), p);
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- At most three wait for each operator.
CREATE FUNCTION writ.propose_key(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE c writ.log_cursor;
BEGIN
  c := writ.log_open();
  IF writ.key_taken(p->'key') THEN RETURN jsonb_build_object('status', 'refused', 'code', 'key_taken'); END IF;
  IF 3 <= (SELECT count(*) FROM writ.proposed_key WHERE operator = p->>'operator' AND closed_at IS NULL AND c.at < expires_at) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'keys_pending');
  END IF;
  INSERT INTO writ.proposed_key (id, operator, key, created_at, expires_at)
  VALUES (p->>'id', p->>'operator', p->'key', c.at, c.at + interval '24 hours');
  c := writ.log_put(c, 'operator.key_proposed', jsonb_build_object('operator', p->>'operator'),
    jsonb_build_object('proposal', p->>'id', 'key_id', p->'key'->>'id', 'key_kind', p->'key'->>'kind', 'label', p->'key'->>'label'),
    p->'personal', p->'seen');
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- Somebody else, with a key of their own, signs that this one is that person's.
CREATE FUNCTION writ.vouch_for_key(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  k writ.proposed_key;
  d jsonb := writ.document_of(p->'proof'->>'document');
  v_refused text;
BEGIN
  SELECT * INTO k FROM writ.proposed_key WHERE id = p->>'proposal' AND closed_at IS NULL AND clock_timestamp() < expires_at FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF lower(k.operator) = lower(p->>'operator') THEN RETURN jsonb_build_object('status', 'refused', 'code', 'voucher_is_owner'); END IF;
  IF (d->>'type', d->>'proposal', d->>'voucher', d->>'operator', d->>'key_id', d->>'key_kind', d->>'public_key', d->>'label')
     IS DISTINCT FROM ('writ.vouch.v1', k.id, p->>'operator', k.operator, k.key->>'id', k.key->>'kind', k.key->>'public_key',
       k.key->>'label') THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'signed_something_else');
  END IF;
  v_refused := writ.take_signature('vouch', p->>'operator', p->'proof', p->>'challenge', (p->>'sign_count')::bigint);
  IF v_refused IS NOT NULL THEN RETURN jsonb_build_object('status', 'refused', 'code', v_refused); END IF;
  c := writ.log_open();
  -- By the clock of the entry, as a verifier will.
  IF NOT writ.in_date(d) THEN RETURN jsonb_build_object('status', 'refused', 'code', 'challenge_over'); END IF;
  IF writ.key_taken(k.key) THEN RETURN jsonb_build_object('status', 'refused', 'code', 'key_taken'); END IF;
  UPDATE writ.proposed_key SET closed_at = c.at WHERE id = k.id;
  c := writ.insert_key(c, k.operator, k.key, p->>'operator', jsonb_build_object('by', 'vouch', 'proposal', k.id,
    'proof_kind', p->'proof'->>'kind', 'proof', p->'proof'), p);
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- A key that is lost or replaced: by whoever holds it, or by an administrator, which the broker checks: roles are policy.
CREATE FUNCTION writ.remove_key(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  k writ.operator_key;
BEGIN
  SELECT * INTO k FROM writ.operator_key WHERE id = p->>'key_id' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF k.removed_at IS NOT NULL THEN RETURN jsonb_build_object('status', 'ok'); END IF;
  c := writ.log_open();
  UPDATE writ.operator_key SET removed_at = c.at, removed_by = p->>'operator' WHERE id = k.id;
  c := writ.log_put(c, 'operator.key_removed', jsonb_build_object('operator', p->>'operator'),
    jsonb_build_object('of', k.operator, 'key_id', k.id), p->'personal', p->'seen');
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- A proposal is taken back, or turned down, by whom it is of or whoever could vouch for it. No key ever came of it.
CREATE FUNCTION writ.withdraw_proposed_key(p_id text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
BEGIN
  UPDATE writ.proposed_key SET closed_at = clock_timestamp() WHERE id = p_id AND closed_at IS NULL;
  RETURN FOUND;
END $$;

-- The passkey that somebody signed in with. False when it was removed meanwhile, or its count is not above the last.
CREATE FUNCTION writ.key_used(p_id text, p_count bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
BEGIN
  UPDATE writ.operator_key SET last_used_at = clock_timestamp(), sign_count = greatest(sign_count, p_count)
  WHERE id = p_id AND removed_at IS NULL AND (p_count > sign_count OR (p_count = 0 AND sign_count = 0));
  RETURN FOUND;
END $$;

-- The owner's alone: whoever has the broker's login could otherwise make themselves an approver. At most a day, and
-- the last one made for a name is the one that counts.
CREATE FUNCTION writ.create_enrolment_code(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  v_expires timestamptz;
BEGIN
  UPDATE writ.enrolment_code SET expires_at = least(expires_at, clock_timestamp())
  WHERE operator = p->>'operator' AND used_at IS NULL;
  c := writ.log_open();
  v_expires := c.at + make_interval(secs => least((p->>'seconds')::integer, 86400));
  INSERT INTO writ.enrolment_code (code_sha256, operator, created_at, expires_at)
  VALUES (p->>'code_sha256', p->>'operator', c.at, v_expires);
  c := writ.log_put(c, 'operator.code_issued', jsonb_build_object('operator', p->>'operator'),
    jsonb_build_object('by', p->>'by', 'expires_at', v_expires), NULL);
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'expires_at', v_expires);
END $$;
REVOKE EXECUTE ON FUNCTION writ.create_enrolment_code(jsonb) FROM PUBLIC;

GRANT SELECT ON writ.operator_key, writ.proposed_key, writ.challenge TO writ_broker;
GRANT EXECUTE ON FUNCTION writ.put_challenge(jsonb), writ.take_challenge(text, text), writ.code_usable(text, text),
  writ.add_key_with_code(jsonb), writ.propose_key(jsonb), writ.vouch_for_key(jsonb), writ.remove_key(jsonb),
  writ.withdraw_proposed_key(text), writ.key_used(text, bigint) TO writ_broker;
