-- Incidents: who opened one on which agent, what was done at each stage, and the two people who signed that it is over.

CREATE TABLE writ.incident (
  id         text PRIMARY KEY CHECK (id ~ '^[0-9a-z]{12}$'),
  agent      text NOT NULL,
  opened_idx bigint NOT NULL UNIQUE,
  -- Of that entry, which may be archived before this is closed.
  leaf       bytea NOT NULL CHECK (length(leaf) = 32),
  opened_at  timestamptz NOT NULL,
  opened_by  text NOT NULL,
  -- Engaged by it, or found engaged.
  stop_id    text NOT NULL REFERENCES writ.stop (id),
  closed_at  timestamptz,
  closed_by  text[],
  -- SHA-256 of the manifest of the evidence that both read.
  evidence   text CHECK (evidence ~ '^[0-9a-f]{64}$'),
  CHECK (num_nonnulls(closed_at, closed_by, evidence) IN (0, 3)),
  CHECK (closed_by IS NULL OR cardinality(closed_by) >= 2)
);
-- A second alarm about the same agent belongs to the incident that is being worked on.
CREATE UNIQUE INDEX incident_open ON writ.incident (lower(agent)) WHERE closed_at IS NULL;
CREATE INDEX incident_at ON writ.incident (opened_at DESC, id DESC);

CREATE TABLE writ.incident_step (
  incident text NOT NULL REFERENCES writ.incident (id),
  idx      bigint NOT NULL UNIQUE,
  stage    text NOT NULL CHECK (stage IN ('stop', 'assess', 'contain', 'recover')),
  at       timestamptz NOT NULL,
  by       text NOT NULL,
  -- Where the step was to collect evidence: SHA-256 of its manifest.
  evidence text CHECK (evidence ~ '^[0-9a-f]{64}$'),
  CHECK (evidence IS NULL OR stage = 'assess'),
  PRIMARY KEY (incident, idx)
);
CREATE INDEX incident_evidence ON writ.incident_step (incident, evidence) WHERE evidence IS NOT NULL;

-- Who signed that it is over, and what they had read. With better evidence somebody may sign again.
CREATE TABLE writ.incident_close (
  incident text NOT NULL REFERENCES writ.incident (id),
  operator text NOT NULL,
  operator_names text[] NOT NULL CHECK (operator = ANY (operator_names)),
  evidence text NOT NULL CHECK (evidence ~ '^[0-9a-f]{64}$'),
  at       timestamptz NOT NULL,
  proof    jsonb NOT NULL,
  PRIMARY KEY (incident, evidence, operator)
);

-- It closes once, by two who signed over the same evidence and share no name; nothing else about it changes.
CREATE FUNCTION writ.guard_incident() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
DECLARE mutable text[] := ARRAY['closed_at', 'closed_by', 'evidence'];
BEGIN
  IF TG_OP = 'INSERT' AND NEW.closed_at IS NULL THEN RETURN NEW; END IF;
  IF TG_OP = 'UPDATE' AND OLD.closed_at IS NULL AND NEW.closed_at >= OLD.opened_at
     AND to_jsonb(NEW) - mutable = to_jsonb(OLD) - mutable
     AND NEW.closed_by = ARRAY(SELECT operator FROM writ.incident_close
       WHERE incident = OLD.id AND evidence = NEW.evidence ORDER BY operator)
     AND EXISTS (SELECT FROM writ.incident_close a JOIN writ.incident_close b USING (incident, evidence)
       WHERE incident = OLD.id AND evidence = NEW.evidence AND NOT writ.share_a_name(a.operator_names, b.operator_names)) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'an incident can only be closed, once, by two people who signed' USING ERRCODE = 'WR001';
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON writ.incident FOR EACH ROW EXECUTE FUNCTION writ.guard_incident();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.incident EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.incident_step
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.incident_step EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.incident_close
  FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.incident_close EXECUTE FUNCTION writ.refuse_change();

-- Nothing is done about, nor signed for, what is over.
CREATE FUNCTION writ.guard_incident_open() RETURNS trigger LANGUAGE plpgsql SET search_path = writ, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM writ.incident WHERE id = NEW.incident AND closed_at IS NULL) THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'the incident is closed' USING ERRCODE = 'WR001';
END $$;
CREATE TRIGGER still_open BEFORE INSERT ON writ.incident_step FOR EACH ROW EXECUTE FUNCTION writ.guard_incident_open();
CREATE TRIGGER still_open BEFORE INSERT ON writ.incident_close FOR EACH ROW EXECUTE FUNCTION writ.guard_incident_open();

-- Takes {id, agent, stop_id, operator, personal: {reason, source_ip}, seen}; the stop is engaged before. Answers
-- {status: ok, id, created}, with the incident that is open already where there is one, or {status: refused, code}.
CREATE FUNCTION writ.open_incident(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  v_open text;
BEGIN
  c := writ.log_open();
  SELECT id INTO v_open FROM writ.incident WHERE lower(agent) = lower(p->>'agent') AND closed_at IS NULL;
  IF FOUND THEN RETURN jsonb_build_object('status', 'ok', 'id', v_open, 'created', false); END IF;
  -- Released in between by others: whoever opens it has to know.
  IF NOT EXISTS (SELECT FROM writ.stop WHERE id = p->>'stop_id' AND released_at IS NULL) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'not_stopped');
  END IF;
  c := writ.log_put(c, 'incident.opened', jsonb_build_object('operator', p->>'operator', 'agent', p->>'agent'),
    jsonb_build_object('incident', p->>'id', 'stop', p->>'stop_id'), p->'personal', p->'seen');
  INSERT INTO writ.incident (id, agent, opened_idx, leaf, opened_at, opened_by, stop_id)
  VALUES (p->>'id', p->>'agent', c.next_idx - 1, substr(c.leaves, length(c.leaves) - 31), c.at, p->>'operator', p->>'stop_id');
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'id', p->>'id', 'created', true);
END $$;

-- Takes {incident, stage, operator, evidence?, personal: {note, source_ip}, seen}. Answers {status: ok, index, at} or
-- {status: refused, code}. Who may do what is policy, which the broker asks before.
CREATE FUNCTION writ.incident_step(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  i writ.incident;
  v_idx bigint;
BEGIN
  SELECT * INTO i FROM writ.incident WHERE id = p->>'incident' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF i.closed_at IS NOT NULL THEN RETURN jsonb_build_object('status', 'refused', 'code', 'incident_closed'); END IF;
  c := writ.log_open();
  v_idx := c.next_idx;
  INSERT INTO writ.incident_step (incident, idx, stage, at, by, evidence)
  VALUES (i.id, v_idx, p->>'stage', c.at, p->>'operator', p->>'evidence');
  c := writ.log_put(c, 'incident.step', jsonb_build_object('operator', p->>'operator', 'agent', i.agent),
    jsonb_strip_nulls(jsonb_build_object('incident', i.id, 'stage', p->>'stage', 'evidence', p->>'evidence')),
    p->'personal', p->'seen');
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'index', v_idx, 'at', c.at);
END $$;

-- One person's signature that an incident is over; with two different people's over the same evidence, it is. Takes
-- {incident, operator, operator_names, proof, challenge, sign_count, personal, seen}. Answers {status: ok, closed, signed,
-- needed} or {status: refused, code}.
CREATE FUNCTION writ.close_incident(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  i writ.incident;
  d jsonb := writ.document_of(p->'proof'->>'document');
  v_names text[] := ARRAY(SELECT jsonb_array_elements_text(p->'operator_names'));
  v_evidence text := d->>'evidence';
  v_signed text[];
  v_refused text;
BEGIN
  SELECT * INTO i FROM writ.incident WHERE id = p->>'incident' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('status', 'refused', 'code', 'not_found'); END IF;
  IF i.closed_at IS NOT NULL THEN RETURN jsonb_build_object('status', 'refused', 'code', 'incident_closed'); END IF;
  IF (d->>'type', d->>'operator', d->>'incident', d->>'agent', d->>'incident_leaf')
     IS DISTINCT FROM ('writ.close.v1', p->>'operator', i.id, i.agent, encode(i.leaf, 'hex'))
     -- Evidence that nobody said they had collected, nobody can have read.
     OR NOT EXISTS (SELECT FROM writ.incident_step s WHERE s.incident = i.id AND s.evidence = v_evidence) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'signed_something_else');
  END IF;
  IF EXISTS (SELECT FROM writ.incident_close x WHERE x.incident = i.id AND x.evidence = v_evidence
             AND writ.share_a_name(x.operator_names, v_names)) THEN
    RETURN jsonb_build_object('status', 'refused', 'code', 'already_decided');
  END IF;
  v_refused := writ.take_signature('close', p->>'operator', p->'proof', p->>'challenge', (p->>'sign_count')::bigint);
  IF v_refused IS NOT NULL THEN RETURN jsonb_build_object('status', 'refused', 'code', v_refused); END IF;
  c := writ.log_open();
  IF NOT writ.in_date(d) THEN RETURN jsonb_build_object('status', 'refused', 'code', 'challenge_over'); END IF;
  INSERT INTO writ.incident_close (incident, operator, operator_names, evidence, at, proof)
  VALUES (i.id, p->>'operator', v_names, v_evidence, c.at, p->'proof');
  c := writ.log_put(c, 'incident.close_signed', jsonb_build_object('operator', p->>'operator', 'agent', i.agent),
    jsonb_build_object('incident', i.id, 'proof_kind', p->'proof'->>'kind', 'proof', p->'proof'), p->'personal', p->'seen');
  v_signed := ARRAY(SELECT operator FROM writ.incident_close WHERE incident = i.id AND evidence = v_evidence ORDER BY operator);
  IF cardinality(v_signed) >= 2 THEN
    UPDATE writ.incident SET closed_at = c.at, closed_by = v_signed, evidence = v_evidence WHERE id = i.id;
    c := writ.log_put(c, 'incident.closed', jsonb_build_object('agent', i.agent),
      jsonb_build_object('incident', i.id, 'closed_by', v_signed, 'evidence', v_evidence));
  END IF;
  PERFORM writ.log_seal(c);
  RETURN jsonb_build_object('status', 'ok', 'closed', cardinality(v_signed) >= 2, 'signed', cardinality(v_signed), 'needed', 2);
END $$;

GRANT SELECT ON writ.incident, writ.incident_step, writ.incident_close TO writ_broker;
GRANT EXECUTE ON FUNCTION writ.open_incident(jsonb), writ.incident_step(jsonb), writ.close_incident(jsonb) TO writ_broker;
