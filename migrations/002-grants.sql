-- Grant requests, the decisions of humans on them, and grants.

CREATE TABLE writ.grant_request (
  id                 text PRIMARY KEY CHECK (id ~ '^[0-9a-z]{12}$'),
  created_at         timestamptz NOT NULL,
  expires_at         timestamptz NOT NULL CHECK (expires_at > created_at),
  state              text NOT NULL DEFAULT 'pending'
                     CHECK (state IN ('pending', 'granted', 'denied', 'withdrawn', 'expired')),
  closed_at          timestamptz,
  agent              text NOT NULL,
  environment        text NOT NULL,
  account            text NOT NULL,
  role_arn           text NOT NULL,
  scopes             text[] NOT NULL CHECK (cardinality(scopes) > 0),
  policy_digest      text NOT NULL,
  permissions        jsonb NOT NULL,
  permissions_sha256 text NOT NULL,
  max_uses           integer NOT NULL CHECK (max_uses BETWEEN 1 AND 1000),
  -- How long the grant lives, from its approval or from not_before.
  valid_seconds      integer NOT NULL CHECK (valid_seconds BETWEEN 60 AND 604800),
  not_before         timestamptz,
  max_session_seconds integer NOT NULL CHECK (max_session_seconds BETWEEN 1 AND 43200),
  approvals_needed   integer NOT NULL CHECK (approvals_needed BETWEEN 1 AND 10),
  reason             text NOT NULL,
  ticket             text,
  human              text,
  human_how          text,
  requested_by       text NOT NULL,
  -- Nobody under these names or in these teams may approve: the owner, the human behind the agent.
  barred_humans      text[] NOT NULL,
  barred_teams       text[] NOT NULL,
  content_sha256     text NOT NULL
);
-- The same wish asked twice is one request.
CREATE UNIQUE INDEX grant_request_pending ON writ.grant_request (agent, content_sha256) WHERE state = 'pending';
CREATE INDEX grant_request_state ON writ.grant_request (state, created_at DESC, id);
CREATE INDEX grant_request_agent ON writ.grant_request (agent, created_at DESC, id);

CREATE TABLE writ.grant_decision (
  request_id text NOT NULL REFERENCES writ.grant_request (id),
  operator   text NOT NULL,
  decision   text NOT NULL CHECK (decision IN ('approve', 'deny')),
  at         timestamptz NOT NULL,
  comment    text,
  proof_kind text NOT NULL CHECK (proof_kind IN ('fresh-token')),
  proof      jsonb NOT NULL,
  operator_names text[] NOT NULL CHECK (operator = ANY (operator_names)),
  operator_teams text[] NOT NULL,
  -- One person counts once, however many keys they hold.
  PRIMARY KEY (request_id, operator)
);

CREATE TABLE writ.grants (
  id                 text PRIMARY KEY CHECK (id ~ '^[0-9a-z]{12}$'),
  request_id         text NOT NULL UNIQUE REFERENCES writ.grant_request (id),
  created_at         timestamptz NOT NULL,
  agent              text NOT NULL,
  environment        text NOT NULL,
  role_arn           text NOT NULL,
  scopes             text[] NOT NULL,
  policy_digest      text NOT NULL,
  permissions_sha256 text NOT NULL,
  max_uses           integer NOT NULL CHECK (max_uses >= 1),
  uses               integer NOT NULL DEFAULT 0 CHECK (uses BETWEEN 0 AND max_uses),
  not_before         timestamptz NOT NULL,
  expires_at         timestamptz NOT NULL CHECK (expires_at > not_before),
  max_session_seconds integer NOT NULL,
  approved_by        text[] NOT NULL CHECK (cardinality(approved_by) > 0),
  revoked_at         timestamptz,
  revoked_by         text,
  revoke_reason      text,
  CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
  UNIQUE (id, agent, environment, role_arn, scopes, policy_digest, permissions_sha256, max_uses, expires_at)
);
CREATE INDEX grants_agent ON writ.grants (agent, environment, created_at DESC);
CREATE INDEX grants_created ON writ.grants (created_at DESC, id);

-- One row a use; the primary key is the slot, so no interleaving can use a slot twice.
CREATE TABLE writ.grant_use (
  grant_id    text NOT NULL REFERENCES writ.grants (id),
  use_no      integer NOT NULL CHECK (use_no >= 1),
  issuance_id text NOT NULL UNIQUE,
  PRIMARY KEY (grant_id, use_no)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.grant_decision
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.grant_decision EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.grant_use
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.grant_use EXECUTE FUNCTION writ.refuse_change();

-- A request closes once; everything the approver saw stays as it was.
CREATE FUNCTION writ.guard_grant_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.state = 'pending' AND NEW.state <> 'pending' AND NEW.closed_at IS NOT NULL
     AND to_jsonb(NEW) - 'state' - 'closed_at' = to_jsonb(OLD) - 'state' - 'closed_at' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a grant request can only be closed, once' USING ERRCODE = 'WR001';
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON writ.grant_request
  FOR EACH ROW EXECUTE FUNCTION writ.guard_grant_request();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.grant_request EXECUTE FUNCTION writ.refuse_change();

-- A grant is used one at a time and revoked once; nothing else about it changes.
CREATE FUNCTION writ.guard_grant() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE mutable text[] := ARRAY['uses', 'revoked_at', 'revoked_by', 'revoke_reason'];
BEGIN
  IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - mutable = to_jsonb(OLD) - mutable
     AND ((NEW.uses = OLD.uses + 1 AND OLD.revoked_at IS NULL AND NEW.revoked_at IS NULL)
       OR (NEW.uses = OLD.uses AND OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a grant can only be used or revoked' USING ERRCODE = 'WR001';
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON writ.grants
  FOR EACH ROW EXECUTE FUNCTION writ.guard_grant();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.grants EXECUTE FUNCTION writ.refuse_change();

-- Invariant 6 below the broker's own check: nobody approves for themselves.
CREATE FUNCTION writ.guard_decision() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE r writ.grant_request;
BEGIN
  SELECT * INTO STRICT r FROM writ.grant_request WHERE id = NEW.request_id FOR UPDATE;
  IF r.state <> 'pending' OR clock_timestamp() >= r.expires_at THEN
    RAISE EXCEPTION 'the request is closed' USING ERRCODE = 'WR002';
  END IF;
  IF NEW.decision = 'approve' AND (r.barred_humans && NEW.operator_names OR r.barred_teams && NEW.operator_teams) THEN
    RAISE EXCEPTION 'the approver is barred from this request' USING ERRCODE = 'WR003';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT ON writ.grant_decision
  FOR EACH ROW EXECUTE FUNCTION writ.guard_decision();

-- A grant comes only out of a request with as many different approvers as it needs, and says what it said.
CREATE FUNCTION writ.guard_new_grant() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE
  r writ.grant_request;
  v_approvers text[];
BEGIN
  SELECT * INTO STRICT r FROM writ.grant_request WHERE id = NEW.request_id FOR UPDATE;
  SELECT array_agg(operator ORDER BY operator) INTO v_approvers
    FROM writ.grant_decision WHERE request_id = r.id AND decision = 'approve';
  IF r.state <> 'pending'
     OR EXISTS (SELECT FROM writ.grant_decision WHERE request_id = r.id AND decision = 'deny')
     OR coalesce(cardinality(v_approvers), 0) < r.approvals_needed
     OR NEW.approved_by <> v_approvers
     OR (NEW.agent, NEW.environment, NEW.role_arn, NEW.scopes, NEW.policy_digest, NEW.permissions_sha256, NEW.max_uses,
         NEW.max_session_seconds)
        IS DISTINCT FROM
        (r.agent, r.environment, r.role_arn, r.scopes, r.policy_digest, r.permissions_sha256, r.max_uses,
         r.max_session_seconds)
     OR NEW.expires_at - NEW.not_before > make_interval(secs => r.valid_seconds)
     OR NEW.uses <> 0 OR NEW.revoked_at IS NOT NULL THEN
    RAISE EXCEPTION 'the grant is not what was approved' USING ERRCODE = 'WR004';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_new BEFORE INSERT ON writ.grants
  FOR EACH ROW EXECUTE FUNCTION writ.guard_new_grant();

GRANT SELECT ON writ.grant_request, writ.grant_decision, writ.grants, writ.grant_use TO writ_broker;
