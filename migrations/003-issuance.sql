-- Issuances: what was intended, what came of it, and the gate in front of production writes.

-- What each role is for, fixed when it is first seen. A production role relabelled `read` is exactly the
-- confusion this guards against, so a label never changes: another purpose takes another role.
CREATE TABLE writ.role_catalog (
  role_arn    text PRIMARY KEY CHECK (role_arn ~ '^arn:aws[a-z-]*:iam::[0-9]{12}:role/'),
  environment text NOT NULL,
  sensitivity text NOT NULL CHECK (sensitivity IN ('read', 'write', 'production-write')),
  first_seen  timestamptz NOT NULL,
  UNIQUE (role_arn, environment, sensitivity)
);

CREATE TABLE writ.intent (
  issuance_id   text PRIMARY KEY CHECK (issuance_id ~ '^[0-9a-z]{12}$'),
  entry_idx     bigint NOT NULL UNIQUE,
  at            timestamptz NOT NULL,
  agent         text NOT NULL,
  environment   text NOT NULL,
  role_arn      text NOT NULL,
  sensitivity   text NOT NULL,
  scopes        text[] NOT NULL CHECK (cardinality(scopes) > 0),
  policy_digest text NOT NULL,
  permissions_sha256 text NOT NULL,
  not_after     timestamptz NOT NULL CHECK (not_after > at),
  human         text,
  human_how     text,
  issuer        text NOT NULL,
  subject       text NOT NULL,
  source_ip     text,
  reason        text NOT NULL,
  ticket        text,
  grant_id      text,
  grant_use     integer,
  grant_max     integer,
  grant_expires timestamptz,
  payload_sha256 bytea NOT NULL,
  FOREIGN KEY (role_arn, environment, sensitivity)
    REFERENCES writ.role_catalog (role_arn, environment, sensitivity),
  FOREIGN KEY (grant_id, agent, environment, role_arn, scopes, policy_digest, permissions_sha256, grant_max, grant_expires)
    REFERENCES writ.grants (id, agent, environment, role_arn, scopes, policy_digest, permissions_sha256, max_uses, expires_at),
  FOREIGN KEY (grant_id, grant_use) REFERENCES writ.grant_use (grant_id, use_no),
  -- Invariant 4, whoever inserts: all four or nothing, and never nothing for a production write.
  CHECK (num_nonnulls(grant_id, grant_use, grant_max, grant_expires) IN (0, 4)),
  CHECK (sensitivity <> 'production-write' OR num_nonnulls(grant_id, grant_use, grant_max, grant_expires) = 4),
  CHECK (grant_use BETWEEN 1 AND grant_max),
  CHECK (at < grant_expires),
  -- Invariant 8: no session outlives its grant.
  CHECK (not_after <= grant_expires)
);
CREATE UNIQUE INDEX intent_grant_use ON writ.intent (grant_id, grant_use) WHERE grant_id IS NOT NULL;
CREATE INDEX intent_at ON writ.intent (at);
CREATE INDEX intent_agent ON writ.intent (agent, entry_idx DESC);
CREATE INDEX intent_environment ON writ.intent (environment, entry_idx DESC);
CREATE INDEX intent_human ON writ.intent (human, entry_idx DESC) WHERE human IS NOT NULL;

CREATE TABLE writ.outcome (
  issuance_id   text PRIMARY KEY REFERENCES writ.intent (issuance_id),
  entry_idx     bigint NOT NULL UNIQUE,
  at            timestamptz NOT NULL,
  state         text NOT NULL CHECK (state IN ('issued', 'failed', 'abandoned')),
  access_key_id text UNIQUE,
  expires_at    timestamptz,
  error_code    text,
  packed_policy_percent integer,
  CHECK ((state = 'issued') = (access_key_id IS NOT NULL AND expires_at IS NOT NULL)),
  CHECK ((state = 'failed') = (error_code IS NOT NULL))
);

-- A denial, and how often the same was asked again shortly after: SDKs retry every refusal.
CREATE TABLE writ.denial (
  entry_idx bigint PRIMARY KEY,
  key       text NOT NULL,
  at        timestamptz NOT NULL,
  repeats   integer NOT NULL DEFAULT 0 CHECK (repeats >= 0),
  last_at   timestamptz NOT NULL
);
CREATE INDEX denial_key ON writ.denial (key, entry_idx DESC);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.role_catalog
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.role_catalog EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.intent
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.intent EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.outcome
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.outcome EXECUTE FUNCTION writ.refuse_change();

-- What the foreign key cannot say: revocation and the beginning are looked at under the grant's lock.
-- Without this, 79 of 12,000 issuances came after a revocation that had already returned.
CREATE FUNCTION writ.guard_intent() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE g writ.grants;
BEGIN
  IF NEW.grant_id IS NULL THEN RETURN NEW; END IF;
  SELECT * INTO STRICT g FROM writ.grants WHERE id = NEW.grant_id FOR UPDATE;
  IF g.revoked_at IS NOT NULL OR clock_timestamp() >= g.expires_at OR clock_timestamp() < g.not_before THEN
    RAISE EXCEPTION 'the grant is not live' USING ERRCODE = 'WR005';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT ON writ.intent
  FOR EACH ROW EXECUTE FUNCTION writ.guard_intent();

CREATE VIEW writ.issuance AS
SELECT i.issuance_id, i.entry_idx, i.at, i.agent, i.environment, i.role_arn, i.sensitivity, i.scopes, i.policy_digest,
       i.permissions_sha256, i.not_after, i.human, i.human_how, i.issuer, i.subject, i.source_ip, i.reason, i.ticket,
       i.grant_id, i.grant_use, coalesce(o.state, 'intended') AS state, o.access_key_id, o.expires_at, o.error_code,
       o.at AS outcome_at
FROM writ.intent i LEFT JOIN writ.outcome o USING (issuance_id);

GRANT SELECT ON writ.role_catalog, writ.intent, writ.outcome, writ.denial, writ.issuance TO writ_broker;
