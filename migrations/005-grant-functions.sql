-- Asking for a grant, deciding, withdrawing, revoking. One autocommit statement each, like writ.append.

CREATE FUNCTION writ.request_fields(r writ.grant_request) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('agent', r.agent, 'environment', r.environment, 'human', r.human, 'request_id', r.id)
$$;

-- Answers {status: ok, id, created: bool} or {status: refused, code}. The same content asked again while
-- pending is the same request. An agent has at most three pending: it must not be able to flood its approvers.
CREATE FUNCTION writ.open_grant_request(p jsonb) RETURNS jsonb
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
    c := writ.log_put(c, 'grant_request.expired', writ.request_fields(r), '{}');
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
  c := writ.log_put(c, 'grant_request.opened', writ.request_fields(r),
    to_jsonb(r) - 'state' - 'closed_at' - 'created_at' - 'id');
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'id', r.id, 'created', true);
END $$;

-- One human's decision. Answers {status: ok, state, grant_id?, approvals} or {status: refused, code}.
-- One deny ends the request; the last approval needed makes the grant.
CREATE FUNCTION writ.decide_grant_request(p jsonb) RETURNS jsonb
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
  INSERT INTO writ.grant_decision (request_id, operator, decision, at, comment, proof_kind, proof, operator_names, operator_teams)
  VALUES (r.id, p->>'operator', p->>'decision', c.at, p->>'comment', p->>'proof_kind', p->'proof', v_names, v_teams);
  c := writ.log_put(c, 'grant_request.' || CASE p->>'decision' WHEN 'approve' THEN 'approved' ELSE 'denied' END,
    writ.request_fields(r) || jsonb_build_object('operator', p->>'operator'),
    jsonb_strip_nulls(jsonb_build_object('comment', p->>'comment', 'proof_kind', p->>'proof_kind', 'proof', p->'proof',
      'policy_digest', r.policy_digest, 'permissions_sha256', r.permissions_sha256)));
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
      to_jsonb(g) - 'id' - 'revoked_at' - 'revoked_by' - 'revoke_reason' - 'uses');
  END IF;
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'state', r.state, 'grant_id', g.id,
    'approvals', coalesce(cardinality(v_approvers), 0));
END $$;

-- The agent that asked, or an operator, takes a pending request back.
CREATE FUNCTION writ.withdraw_grant_request(p_id text, p_by text, p_operator text) RETURNS jsonb
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
    jsonb_build_object('by', p_by));
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- From the return of this call on, no session is issued or delivered on the grant.
CREATE FUNCTION writ.revoke_grant(p_id text, p_operator text, p_reason text) RETURNS jsonb
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
    jsonb_build_object('reason', p_reason, 'uses', g.uses));
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'already', false);
END $$;

GRANT EXECUTE ON FUNCTION writ.open_grant_request(jsonb), writ.decide_grant_request(jsonb),
  writ.withdraw_grant_request(text, text, text), writ.revoke_grant(text, text, text) TO writ_broker;
