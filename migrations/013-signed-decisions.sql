-- A decision on a production write is signed by a key of the human's own, over all of what they were shown. An agent
-- that was refused waits before it asks again. A named few may break the glass: alone, loudly, and reviewed after.

ALTER TABLE writ.grant_decision
  DROP CONSTRAINT grant_decision_proof_kind_check,
  ADD CONSTRAINT grant_decision_proof_kind_check CHECK (proof_kind IN ('fresh-token', 'passkey', 'ssh-sk')),
  ADD COLUMN break_glass boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT grant_decision_glass_signed
    CHECK (NOT break_glass OR (decision = 'approve' AND proof_kind <> 'fresh-token'));

-- Whether a scope of it deletes. What was asked before this was known counts as if it did: nobody breaks glass for that.
ALTER TABLE writ.grant_request ADD COLUMN destroys boolean NOT NULL DEFAULT true;
-- Read under the head's lock, at every request.
CREATE INDEX grant_request_denied ON writ.grant_request (agent, closed_at) WHERE state = 'denied';

-- --- what is signed ---------------------------------------------------------------------------------------

-- Null for what is no JSON object: a refusal follows, not an error. (Taking fields out of a number would be one.)
CREATE FUNCTION writ.document_of(p_text text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  -- Not in DECLARE: what fails there is not caught below.
  RETURN CASE WHEN jsonb_typeof(p_text::jsonb) = 'object' THEN p_text::jsonb END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN NULL;
END $$;

-- Null for what is no instant. A cast alone takes `tomorrow`, and times of wherever the server thinks it is.
CREATE FUNCTION writ.instant_of(p_text text) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_text ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$' THEN RETURN p_text::timestamptz; END IF;
  RETURN NULL;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END $$;

CREATE FUNCTION writ.needs_signature(r writ.grant_request) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM writ.role_catalog c WHERE c.role_arn = r.role_arn AND c.sensitivity = 'production-write')
$$;

-- Whether a signed document is this decision on this request. `document` is what the human was shown; anything in it
-- that is not so any more, or never was, makes it another decision, and so does a field too many or too few. Never null.
--
-- The database cannot know where the console is, what the network binding was, or the comment's salt.
CREATE FUNCTION writ.same_decision(r writ.grant_request, p_operator text, p_decision text, p_glass boolean, d jsonb)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT d ?& '{origin,rp_id,nonce,issued_at,expires_at,network,comment,not_before,valid_seconds}'
      AND d - '{origin,rp_id,nonce,issued_at,expires_at,network,comment,not_before,valid_seconds}'::text[] = jsonb_build_object(
        'type', 'writ.decision.v1', 'request', r.id, 'approver', p_operator, 'decision', p_decision, 'break_glass', p_glass,
        -- Reason, ticket and human by the entry that has them beside it.
        'request_leaf', encode(e.leaf_hash, 'hex'), 'personal', convert_from(e.body, 'UTF8')::jsonb->'personal',
        'agent', r.agent, 'environment', r.environment, 'tier', e.tier, 'account', r.account, 'role_arn', r.role_arn,
        'scopes', r.scopes, 'permissions', r.permissions, 'permissions_sha256', r.permissions_sha256,
        'policy_digest', r.policy_digest, 'max_uses', r.max_uses, 'max_session_seconds', r.max_session_seconds,
        'approvals_needed', r.approvals_needed)
      AND (d->'not_before' = 'null') = (r.not_before IS NULL)
      AND writ.instant_of(d->>'not_before') IS NOT DISTINCT FROM r.not_before
      -- Whoever breaks the glass may sign for less than was asked, and for an hour at most.
      AND CASE WHEN p_glass AND jsonb_typeof(d->'valid_seconds') = 'number'
            THEN (d->>'valid_seconds')::numeric BETWEEN 60 AND least(r.valid_seconds, 3600)
            ELSE d->'valid_seconds' = to_jsonb(r.valid_seconds) END
    FROM writ.entry e WHERE e.request_id = r.id AND e.kind = 'grant_request.opened' ORDER BY e.idx LIMIT 1), false)
$$;

-- By the clock that counts. A minute is what the broker's may be ahead of it.
CREATE FUNCTION writ.in_date(d jsonb) RETURNS boolean LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(writ.instant_of(d->>'issued_at') <= clock_timestamp() + interval '1 minute'
    AND clock_timestamp() < writ.instant_of(d->>'expires_at')
    AND writ.instant_of(d->>'expires_at') <= writ.instant_of(d->>'issued_at') + interval '15 minutes', false)
$$;

-- Whether the comment is the one in the document: SHA-256(0x03 ‖ salt ‖ comment), the salt in hex.
CREATE FUNCTION writ.same_comment(d jsonb, p_comment text, p_salt text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(CASE WHEN p_comment IS NULL THEN d->'comment' = 'null'
    WHEN p_salt ~ '^([0-9a-f]{2}){16,64}$'
      THEN d->>'comment' = encode(sha256('\x03'::bytea || decode(p_salt, 'hex') || convert_to(p_comment, 'UTF8')), 'hex')
    END, false)
$$;

-- --- who decides ------------------------------------------------------------------------------------------

-- Capital letters make nobody somebody else.
CREATE FUNCTION writ.share_a_name(a text[], b text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT EXISTS (SELECT FROM unnest(a) x JOIN unnest(b) y ON lower(x) = lower(y))
$$;

-- One person counts once, under however many names, keys and sign-ins.
CREATE FUNCTION writ.has_decided(p_request text, p_operator text, p_names text[], p_proof jsonb) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM writ.grant_decision d WHERE d.request_id = p_request AND (d.operator = p_operator
    OR writ.share_a_name(d.operator_names, p_names)
    OR (d.proof->>'issuer', d.proof->>'subject') = (p_proof->>'issuer', p_proof->>'subject')))
$$;

-- Whose approval counts: one given with a token alone, before signatures were asked for, does not.
CREATE FUNCTION writ.approvers_of(r writ.grant_request) RETURNS text[] LANGUAGE sql STABLE AS $$
  SELECT array_agg(d.operator ORDER BY d.operator) FROM writ.grant_decision d
  WHERE d.request_id = r.id AND d.decision = 'approve' AND (d.proof_kind <> 'fresh-token' OR NOT writ.needs_signature(r))
$$;

-- --- breaking the glass -----------------------------------------------------------------------------------

-- Each grant made by one human alone in an emergency, and whether somebody else has looked at it since.
CREATE TABLE writ.break_glass (
  grant_id    text PRIMARY KEY REFERENCES writ.grants (id),
  request_id  text NOT NULL UNIQUE,
  environment text NOT NULL,
  operator    text NOT NULL,
  at          timestamptz NOT NULL,
  review_due  timestamptz NOT NULL,
  reviewed_at timestamptz,
  reviewed_by text CHECK (lower(reviewed_by) <> lower(operator)),
  verdict     text CHECK (verdict IN ('justified', 'not-justified')),
  FOREIGN KEY (request_id, operator) REFERENCES writ.grant_decision (request_id, operator),
  CHECK (num_nonnulls(reviewed_at, reviewed_by, verdict) IN (0, 3))
);
CREATE INDEX break_glass_unreviewed ON writ.break_glass (environment, review_due) WHERE reviewed_at IS NULL;
CREATE INDEX break_glass_at ON writ.break_glass (at DESC, grant_id);

CREATE FUNCTION writ.guard_break_glass() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE reviewed text[] := ARRAY['reviewed_at', 'reviewed_by', 'verdict'];
BEGIN
  IF TG_OP = 'INSERT' AND NEW.reviewed_at IS NULL AND NEW.review_due = NEW.at + interval '24 hours'
     AND EXISTS (SELECT FROM writ.grants g JOIN writ.grant_decision d USING (request_id)
                 WHERE g.id = NEW.grant_id AND d.request_id = NEW.request_id AND d.operator = NEW.operator AND d.break_glass
                   AND g.environment = NEW.environment AND g.created_at = NEW.at) THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.reviewed_at IS NULL AND NEW.reviewed_at IS NOT NULL
     AND to_jsonb(NEW) - reviewed = to_jsonb(OLD) - reviewed THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a use of break-glass is noted with its grant, and reviewed once' USING ERRCODE = 'WR001';
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON writ.break_glass
  FOR EACH ROW EXECUTE FUNCTION writ.guard_break_glass();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.break_glass EXECUTE FUNCTION writ.refuse_change();

-- With the grant, so that there is none of this kind that nobody has to review.
CREATE FUNCTION writ.note_break_glass() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
BEGIN
  INSERT INTO writ.break_glass (grant_id, request_id, environment, operator, at, review_due)
  SELECT NEW.id, NEW.request_id, NEW.environment, d.operator, NEW.created_at, NEW.created_at + interval '24 hours'
  FROM writ.grant_decision d WHERE d.request_id = NEW.request_id AND d.break_glass;
  RETURN NULL;
END $$;
CREATE TRIGGER note_break_glass AFTER INSERT ON writ.grants
  FOR EACH ROW EXECUTE FUNCTION writ.note_break_glass();

CREATE FUNCTION writ.review_overdue(p_environment text, p_at timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM writ.break_glass
                 WHERE environment = p_environment AND reviewed_at IS NULL AND review_due <= p_at)
$$;

-- Somebody else's verdict. Answers {status: ok} or {status: refused, code}.
CREATE FUNCTION writ.review_break_glass(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  b writ.break_glass;
  r writ.grant_request;
  v_names text[] := ARRAY(SELECT jsonb_array_elements_text(p->'operator_names')) || (p->>'operator');
BEGIN
  SELECT * INTO b FROM writ.break_glass WHERE grant_id = p->>'grant_id' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF EXISTS (SELECT FROM writ.grant_decision d WHERE d.request_id = b.request_id AND d.break_glass
             AND writ.share_a_name(d.operator_names, v_names)) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'review_is_own');
  END IF;
  IF b.reviewed_at IS NOT NULL THEN RETURN jsonb_build_object('status', 'refused', 'code', 'already_reviewed'); END IF;
  SELECT * INTO STRICT r FROM writ.grant_request WHERE id = b.request_id;
  c := writ.log_open();
  UPDATE writ.break_glass SET reviewed_at = c.at, reviewed_by = p->>'operator', verdict = p->>'verdict'
  WHERE grant_id = b.grant_id;
  c := writ.log_put(c, 'grant.reviewed',
    writ.request_fields(r) || jsonb_build_object('grant_id', b.grant_id, 'operator', p->>'operator'),
    jsonb_build_object('verdict', p->>'verdict'), jsonb_build_object('comment', p->>'comment'), writ.request_seen(r));
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok');
END $$;

-- --- held below the broker's own checks -------------------------------------------------------------------

-- As in 002: nobody approves for themselves. And a token alone decides nothing in production, nobody counts twice, and
-- what was signed is this, with a key that is still theirs, in answer to a challenge that was open until just now.
CREATE OR REPLACE FUNCTION writ.guard_decision() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  r writ.grant_request;
  d jsonb := writ.document_of(NEW.proof->>'document');
BEGIN
  SELECT * INTO STRICT r FROM writ.grant_request WHERE id = NEW.request_id FOR UPDATE;
  IF r.state <> 'pending' OR clock_timestamp() >= r.expires_at THEN
    RAISE EXCEPTION 'the request is closed' USING ERRCODE = 'WR002';
  END IF;
  IF NEW.decision = 'approve'
     AND (writ.share_a_name(r.barred_humans, NEW.operator_names) OR r.barred_teams && NEW.operator_teams) THEN
    RAISE EXCEPTION 'the approver is barred from this request' USING ERRCODE = 'WR003';
  END IF;
  IF writ.has_decided(r.id, NEW.operator, NEW.operator_names, NEW.proof) THEN
    RAISE EXCEPTION 'this person has decided already' USING ERRCODE = 'WR003';
  END IF;
  IF NEW.proof->>'kind' IS DISTINCT FROM NEW.proof_kind OR (NEW.proof_kind = 'fresh-token' AND writ.needs_signature(r)) THEN
    RAISE EXCEPTION 'the decision has to be signed' USING ERRCODE = 'WR006';
  END IF;
  IF NEW.proof_kind <> 'fresh-token' AND NOT (
      writ.same_decision(r, NEW.operator, NEW.decision, NEW.break_glass, d)
      -- Some seconds later than the function below looked.
      AND coalesce(clock_timestamp() < writ.instant_of(d->>'expires_at') + interval '5 seconds', false)
      AND (d->'comment' = 'null') = (NEW.comment IS NULL)
      AND EXISTS (SELECT FROM writ.operator_key k WHERE k.id = NEW.proof->>'key_id' AND k.operator = NEW.operator
                  AND k.kind = NEW.proof_kind AND k.public_key = NEW.proof->>'public_key' AND k.removed_at IS NULL)
      AND EXISTS (SELECT FROM writ.challenge h WHERE h.purpose = 'decision' AND h.operator = NEW.operator
                  AND h.document = NEW.proof->>'document' AND h.used_at IS NOT NULL)) THEN
    RAISE EXCEPTION 'the signature is of something else, or by somebody else' USING ERRCODE = 'WR006';
  END IF;
  IF NEW.break_glass AND (r.destroys OR length(btrim(coalesce(NEW.comment, ''))) < 10
                          OR writ.review_overdue(r.environment, clock_timestamp())) THEN
    RAISE EXCEPTION 'nobody breaks the glass for this' USING ERRCODE = 'WR003';
  END IF;
  RETURN NEW;
END $$;

-- As in 002. One approver is enough, and an hour the longest, where the glass was broken.
CREATE OR REPLACE FUNCTION writ.guard_new_grant() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  r writ.grant_request;
  v_approvers text[];
  v_glass jsonb;
BEGIN
  SELECT * INTO STRICT r FROM writ.grant_request WHERE id = NEW.request_id FOR UPDATE;
  v_approvers := writ.approvers_of(r);
  SELECT writ.document_of(d.proof->>'document') INTO v_glass FROM writ.grant_decision d
    WHERE d.request_id = r.id AND d.break_glass;
  IF r.state <> 'pending'
     OR EXISTS (SELECT FROM writ.grant_decision WHERE request_id = r.id AND decision = 'deny')
     OR coalesce(cardinality(v_approvers), 0) < (CASE WHEN v_glass IS NULL THEN r.approvals_needed ELSE 1 END)
     OR NEW.approved_by <> v_approvers
     OR (NEW.agent, NEW.environment, NEW.role_arn, NEW.scopes, NEW.policy_digest, NEW.permissions_sha256, NEW.max_uses,
         NEW.max_session_seconds)
        IS DISTINCT FROM
        (r.agent, r.environment, r.role_arn, r.scopes, r.policy_digest, r.permissions_sha256, r.max_uses,
         r.max_session_seconds)
     OR NEW.not_before < r.not_before
     OR NEW.expires_at - NEW.not_before > make_interval(secs =>
          least(r.valid_seconds, (v_glass->>'valid_seconds')::double precision, CASE WHEN v_glass IS NOT NULL THEN 3600 END))
     OR NEW.uses <> 0 OR NEW.revoked_at IS NOT NULL THEN
    RAISE EXCEPTION 'the grant is not what was approved' USING ERRCODE = 'WR004';
  END IF;
  RETURN NEW;
END $$;

-- --- asking and deciding ----------------------------------------------------------------------------------

-- As in 007. An agent whose wish a human denied does not ask for any of it again until `cool_down_seconds` have passed:
-- {status: refused, code: grant_cooling_down, until, seconds}.
CREATE OR REPLACE FUNCTION writ.open_grant_request(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  r writ.grant_request;
  v_scopes text[] := ARRAY(SELECT jsonb_array_elements_text(p->'scopes'));
  v_cool interval := make_interval(secs => coalesce((p->>'cool_down_seconds')::integer, 0));
  v_until timestamptz;
  v_expired text[];
BEGIN
  -- Rows before the head, as everywhere: those that ran out no longer count and free their content.
  v_expired := ARRAY(SELECT id FROM writ.grant_request WHERE agent = p->>'agent' AND state = 'pending'
                     AND expires_at <= clock_timestamp() ORDER BY id FOR UPDATE);
  -- Counted under the head's lock, so that two calls at once cannot both find two pending, nor one slip in beside a denial.
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
  IF (p->>'limit_pending')::boolean THEN
    SELECT max(closed_at) + v_cool INTO v_until FROM writ.grant_request
      WHERE agent = p->>'agent' AND environment = p->>'environment' AND state = 'denied' AND scopes && v_scopes
        AND closed_at > c.at - v_cool;
    IF v_until IS NOT NULL THEN
      PERFORM writ.log_seal(c);
      RETURN jsonb_build_object('status', 'refused', 'code', 'grant_cooling_down', 'until', v_until,
        'seconds', ceil(extract(epoch FROM v_until - c.at)));
    END IF;
    IF 3 <= (SELECT count(*) FROM writ.grant_request
        WHERE agent = p->>'agent' AND state = 'pending' AND requested_by = p->>'requested_by') THEN
      PERFORM writ.log_seal(c);
      RETURN jsonb_build_object('status', 'refused', 'code', 'grant_requests_pending');
    END IF;
  END IF;
  INSERT INTO writ.grant_request (id, created_at, expires_at, agent, environment, account, role_arn, scopes, policy_digest,
    permissions, permissions_sha256, max_uses, valid_seconds, not_before, max_session_seconds, approvals_needed, reason,
    ticket, human, human_how, requested_by, barred_humans, barred_teams, content_sha256, destroys)
  VALUES (p->>'id', c.at, c.at + make_interval(secs => (p->>'pending_seconds')::integer), p->>'agent', p->>'environment',
    p->>'account', p->>'role_arn', v_scopes, p->>'policy_digest',
    p->'permissions', p->>'permissions_sha256', (p->>'max_uses')::integer, (p->>'valid_seconds')::integer,
    (p->>'not_before')::timestamptz, (p->>'max_session_seconds')::integer, (p->>'approvals_needed')::integer, p->>'reason',
    p->>'ticket', p->>'human', p->>'human_how', p->>'requested_by',
    ARRAY(SELECT jsonb_array_elements_text(p->'barred_humans')), ARRAY(SELECT jsonb_array_elements_text(p->'barred_teams')),
    p->>'content_sha256', coalesce((p->>'destroys')::boolean, true))
  RETURNING * INTO r;
  c := writ.log_put(c, 'grant_request.opened',
    writ.request_fields(r) || jsonb_build_object('tier', p->>'tier'),
    -- The hash of the content is one of personal data without salt.
    jsonb_strip_nulls(to_jsonb(r) - '{id,state,closed_at,created_at,human,human_how,reason,ticket,barred_humans,content_sha256}'::text[])
      -- So that a verifier, years later, knows what was demanded.
      || jsonb_build_object('signature_required', writ.needs_signature(r)),
    jsonb_build_object('human', r.human, 'human_how', r.human_how, 'reason', r.reason, 'ticket', r.ticket,
      'barred_humans', CASE WHEN r.barred_humans <> '{}' THEN to_jsonb(r.barred_humans) END),
    jsonb_build_object('scopes', p->'scopes', 'actions', coalesce(p->'actions', '[]')));
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'id', r.id, 'created', true);
END $$;

-- As in 007, and signed where it has to be. With `break_glass` one approval makes the grant, for as long as the document
-- says; who may do that is policy's to say, and the broker has asked it.
CREATE OR REPLACE FUNCTION writ.decide_grant_request(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  r writ.grant_request;
  g writ.grants;
  d jsonb := writ.document_of(p->'proof'->>'document');
  v_glass boolean := coalesce((p->>'break_glass')::boolean, false);
  -- Said only where it is so: the entries of all others stay as they were.
  v_mark jsonb := CASE WHEN v_glass THEN '{"break_glass": true}' ELSE '{}' END;
  v_names text[] := ARRAY(SELECT jsonb_array_elements_text(p->'operator_names'));
  v_teams text[] := ARRAY(SELECT jsonb_array_elements_text(p->'operator_teams'));
  v_approvers text[];
  v_from timestamptz;
  v_refused text;
BEGIN
  SELECT * INTO r FROM writ.grant_request WHERE id = p->>'request_id' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF writ.has_decided(r.id, p->>'operator', v_names, p->'proof') THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'already_decided');
  END IF;
  IF r.state <> 'pending' OR clock_timestamp() >= r.expires_at THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'request_closed');
  END IF;
  -- What was approved is what the approver saw: the caller says which digest it showed.
  IF p->>'policy_digest' IS DISTINCT FROM r.policy_digest OR p->>'permissions_sha256' IS DISTINCT FROM r.permissions_sha256 THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'grant_stale');
  END IF;
  IF p->>'decision' = 'approve' AND writ.share_a_name(r.barred_humans, v_names) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'approver_is_beneficiary');
  END IF;
  IF p->>'decision' = 'approve' AND r.barred_teams && v_teams THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'approver_is_owner');
  END IF;
  IF p->>'proof_kind' = 'fresh-token' THEN
    IF v_glass OR writ.needs_signature(r) THEN
      RETURN jsonb_build_object('status', 'refused', 'code', 'signature_required');
    END IF;
  END IF;
  IF v_glass AND (p->>'decision' IS DISTINCT FROM 'approve' OR r.destroys OR length(btrim(coalesce(p->>'comment', ''))) < 10) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'break_glass_not_allowed');
  END IF;
  IF p->>'proof_kind' IS DISTINCT FROM 'fresh-token' THEN
    IF p->>'proof_kind' IS DISTINCT FROM p->'proof'->>'kind'
       OR NOT writ.same_decision(r, p->>'operator', p->>'decision', v_glass, d)
       OR NOT writ.same_comment(d, p->>'comment', p->>'comment_salt') THEN
      RETURN jsonb_build_object('status', 'refused', 'code', 'signed_something_else');
    END IF;
    v_refused := writ.take_signature('decision', p->>'operator', p->'proof', p->>'challenge', (p->>'sign_count')::bigint);
    IF v_refused IS NOT NULL THEN RETURN jsonb_build_object('status', 'refused', 'code', v_refused); END IF;
  END IF;
  c := writ.log_open();
  -- By the log's own clock: waiting for the head may have taken the rest of the hour, or of the document's minutes.
  IF c.at >= r.expires_at THEN RETURN jsonb_build_object('status', 'refused', 'code', 'request_closed'); END IF;
  IF p->>'proof_kind' <> 'fresh-token' AND NOT writ.in_date(d) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'challenge_over');
  END IF;
  IF v_glass AND writ.review_overdue(r.environment, c.at) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'break_glass_unreviewed');
  END IF;
  INSERT INTO writ.grant_decision (request_id, operator, decision, at, comment, proof_kind, proof, operator_names, operator_teams, break_glass)
  VALUES (r.id, p->>'operator', p->>'decision', c.at, p->>'comment', p->>'proof_kind', p->'proof', v_names, v_teams, v_glass);
  c := writ.log_put(c, 'grant_request.' || CASE p->>'decision' WHEN 'approve' THEN 'approved' ELSE 'denied' END,
    writ.request_fields(r) || jsonb_build_object('operator', p->>'operator'),
    jsonb_build_object('proof_kind', p->>'proof_kind', 'proof', p->'proof',
      'policy_digest', r.policy_digest, 'permissions_sha256', r.permissions_sha256) || v_mark,
    jsonb_build_object('comment', p->>'comment', 'comment_salt', p->>'comment_salt'), writ.request_seen(r));
  v_approvers := writ.approvers_of(r);
  IF p->>'decision' = 'deny' THEN
    UPDATE writ.grant_request SET state = 'denied', closed_at = c.at WHERE id = r.id RETURNING * INTO r;
  ELSIF v_glass OR cardinality(v_approvers) >= r.approvals_needed THEN
    v_from := greatest(c.at, r.not_before);
    INSERT INTO writ.grants (id, request_id, created_at, agent, environment, role_arn, scopes, policy_digest,
      permissions_sha256, max_uses, not_before, expires_at, max_session_seconds, approved_by)
    VALUES (p->>'grant_id', r.id, c.at, r.agent, r.environment, r.role_arn, r.scopes, r.policy_digest, r.permissions_sha256,
      r.max_uses, v_from, date_trunc('milliseconds', v_from + make_interval(secs =>
        CASE WHEN v_glass THEN (d->>'valid_seconds')::double precision ELSE r.valid_seconds END)),
      r.max_session_seconds, v_approvers)
    RETURNING * INTO g;
    UPDATE writ.grant_request SET state = 'granted', closed_at = c.at WHERE id = r.id RETURNING * INTO r;
    c := writ.log_put(c, 'grant.created', writ.request_fields(r) || jsonb_build_object('grant_id', g.id),
      to_jsonb(g) - '{id,created_at,revoked_at,revoked_by,revoke_reason,uses}'::text[]
        || v_mark, NULL, writ.request_seen(r));
  END IF;
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'state', r.state, 'grant_id', g.id,
    'approvals', coalesce(cardinality(v_approvers), 0));
END $$;

GRANT SELECT ON writ.break_glass TO writ_broker;
GRANT EXECUTE ON FUNCTION writ.review_break_glass(jsonb) TO writ_broker;
