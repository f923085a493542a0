-- A key is removed because it is lost, or somebody else has it: whoever signed in with it must not stay. Which key a
-- session began with is not kept, so all that began with a passkey of theirs end; not the one that asks for it.
ALTER TABLE writ.console_session DROP CONSTRAINT console_session_why_check;
ALTER TABLE writ.console_session ADD CONSTRAINT console_session_why_check CHECK (why IN ('signed_out', 'ended',
  'ended_by_admin', 'signed_in_again', 'policy_changed', 'token_reused', 'expired', 'idle', 'key_removed'));

CREATE OR REPLACE FUNCTION writ.remove_key(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  k writ.operator_key;
  s writ.console_session;
  v_open writ.console_session[];
BEGIN
  SELECT * INTO k FROM writ.operator_key WHERE id = p->>'key_id' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF k.removed_at IS NOT NULL THEN RETURN jsonb_build_object('status', 'ok'); END IF;
  -- Before the log's head, as whatever else ends sessions takes them.
  v_open := ARRAY(SELECT o FROM writ.console_session o
                  WHERE o.operator = k.operator AND o.method = 'passkey' AND o.ended_at IS NULL
                    AND o.id IS DISTINCT FROM p->>'session' ORDER BY o.id FOR UPDATE);
  c := writ.log_open();
  UPDATE writ.operator_key SET removed_at = c.at, removed_by = p->>'operator' WHERE id = k.id;
  c := writ.log_put(c, 'operator.key_removed', jsonb_build_object('operator', p->>'operator'),
    jsonb_build_object('of', k.operator, 'key_id', k.id), p->'personal', p->'seen');
  FOREACH s IN ARRAY v_open LOOP
    c := writ.end_session_row(c, s, 'key_removed', CASE WHEN p->>'operator' <> k.operator THEN p->>'operator' END);
  END LOOP;
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok');
END $$;
