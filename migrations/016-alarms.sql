-- Alarms: what was raised, how far the log was looked at, and what is known of each agent, so that something new can be
-- told from the usual. An alarm, its entry in the log, what was learned and the new place commit together or not at all:
-- whoever crashes, and whichever replica goes on, each alarm is raised once.

CREATE TABLE writ.alarm (
  -- Made of the rule and its cause. The same cause raises nothing twice.
  key         text PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 400),
  kind        text NOT NULL CHECK (kind ~ '^[a-z-]{1,40}$'),
  cause_idx   bigint NOT NULL,
  agent       text,
  environment text,
  caused_at   timestamptz NOT NULL,
  at          timestamptz NOT NULL,
  raised_idx  bigint NOT NULL UNIQUE
);
CREATE INDEX alarm_agent ON writ.alarm (agent, kind, caused_at) WHERE agent IS NOT NULL;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON writ.alarm FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.alarm EXECUTE FUNCTION writ.refuse_change();

-- `environment`: where the agent had a session. `network`: a hash of where it asked from. `activity`: when it last got a
-- session, to the hour.
CREATE TABLE writ.known (
  agent text NOT NULL,
  what  text NOT NULL CHECK (what IN ('environment', 'network', 'activity')),
  value text NOT NULL,
  at    timestamptz NOT NULL,
  PRIMARY KEY (agent, what, value)
);
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.known EXECUTE FUNCTION writ.refuse_change();

-- Fenced as in 008. It begins at the head: nobody wants to be woken for the years before.
CREATE TABLE writ.alarm_cursor (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  next_idx bigint NOT NULL CHECK (next_idx >= 0),
  holder   text NOT NULL DEFAULT 'nobody',
  fence    bigint NOT NULL DEFAULT 0,
  until    timestamptz NOT NULL DEFAULT '-infinity',
  -- Of the networks' hashes, one an installation. The broker's login cannot read it: there are few enough networks to
  -- try them all.
  salt     bytea NOT NULL CHECK (length(salt) = 32)
);
CREATE TRIGGER no_delete BEFORE DELETE ON writ.alarm_cursor FOR EACH ROW EXECUTE FUNCTION writ.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON writ.alarm_cursor EXECUTE FUNCTION writ.refuse_change();

-- 244 random bits of the server's strong source.
INSERT INTO writ.alarm_cursor (next_idx, salt)
SELECT size, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) FROM writ.log_head;

-- An agent's network: the /24 of an IPv4 address, the /48 of an IPv6 one. Hashed with the agent's name, so that two
-- agents of one network cannot be told to be.
CREATE FUNCTION writ.network_key(p_agent text, p_ip inet) RETURNS text
LANGUAGE sql STABLE SET search_path = writ, pg_temp AS $$
  SELECT encode(sha256(salt || convert_to(p_agent || '/' || network(set_masklen(p_ip, CASE family(p_ip) WHEN 4 THEN 24 ELSE 48 END)), 'UTF8')), 'hex')
  FROM writ.alarm_cursor WHERE p_agent IS NOT NULL AND p_ip IS NOT NULL
$$;

-- Everything of before, of whatever tier: what an environment was then, nobody knows any more.
INSERT INTO writ.known (agent, what, value, at)
SELECT i.agent, 'environment', i.environment, min(o.at)
FROM writ.intent i JOIN writ.outcome o USING (issuance_id) WHERE o.state = 'issued' GROUP BY i.agent, i.environment;
INSERT INTO writ.known (agent, what, value, at)
SELECT agent, 'network', writ.network_key(agent, net), min(at)
FROM (SELECT agent, set_masklen(source_ip, CASE family(source_ip) WHEN 4 THEN 24 ELSE 48 END) AS net, at FROM writ.entry
      WHERE agent IS NOT NULL AND source_ip IS NOT NULL AND kind LIKE 'issuance.%') e
GROUP BY 1, 3;
INSERT INTO writ.known (agent, what, value, at)
SELECT agent, 'activity', '', max(at)
FROM (SELECT i.agent, o.at FROM writ.intent i JOIN writ.outcome o USING (issuance_id) WHERE o.state = 'issued'
      UNION ALL SELECT e.agent, e.at FROM writ.entry e WHERE e.kind = 'issuance.delivered') a
GROUP BY agent;

CREATE FUNCTION writ.millis(p_at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT floor(extract(epoch FROM p_at) * 1000)::bigint
$$;

-- What the rules look at: the entries of a stretch that may raise something, and what is known of their agents. `p` has
-- how many denials, within how many seconds, make a burst, and how long it is told once.
CREATE FUNCTION writ.alarm_facts(p_from bigint, p_until bigint, p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = writ, pg_temp AS $$
DECLARE
  v_entries jsonb;
  v_agents text[];
  v_networks text[];
  v_deniers text[];
  v_first timestamptz;
  v_since bigint;
BEGIN
  SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('index', s.idx, 'kind', s.kind, 'at', writ.millis(s.at),
      'agent', s.agent, 'environment', s.environment, 'code', s.code, 'tier', s.tier, 'network', s.network,
      'break_glass', s.said->'break_glass', 'stop', s.said->'stop', 'stops', s.said->'stops',
      'role_arn', s.said->'role_arn', 'unwritten', s.said->'unwritten')) ORDER BY s.idx), '[]'),
    array_agg(DISTINCT s.agent) FILTER (WHERE s.agent IS NOT NULL),
    array_agg(DISTINCT s.network) FILTER (WHERE s.network IS NOT NULL),
    array_agg(DISTINCT s.agent) FILTER (WHERE s.denied), min(s.at) FILTER (WHERE s.denied)
  INTO v_entries, v_agents, v_networks, v_deniers, v_first
  FROM (
    SELECT e.idx, e.kind, e.at, e.agent, e.environment, e.code,
      e.agent IS NOT NULL AND e.kind IN ('issuance.denied', 'grant_request.refused') AS denied,
      -- An outcome does not repeat the tier of its intent.
      CASE WHEN e.kind = 'issuance.issued' THEN
        (SELECT x.tier FROM writ.intent i JOIN writ.entry x ON x.idx = i.entry_idx WHERE i.issuance_id = e.issuance_id)
      ELSE e.tier END AS tier,
      CASE WHEN e.kind LIKE 'issuance.%' THEN writ.network_key(e.agent, e.source_ip) END AS network,
      CASE WHEN e.kind IN ('grant.created', 'stop.engaged', 'deny.failed') THEN convert_from(e.body, 'UTF8')::jsonb END AS said
    FROM writ.entry e
    WHERE e.idx >= p_from AND e.idx < p_until AND e.kind IN ('issuance.intended', 'issuance.issued', 'issuance.delivered',
      'issuance.denied', 'grant_request.refused', 'grant.created', 'stop.engaged', 'deny.failed')
  ) s;
  -- From a time to an index by the batches: an agent's denials are few among its entries.
  SELECT first_idx INTO v_since FROM writ.log_batch
  WHERE at >= v_first - make_interval(secs => (p->>'within_seconds')::integer) ORDER BY at, first_idx LIMIT 1;
  RETURN jsonb_build_object('entries', v_entries,
    'agents', (
      SELECT coalesce(jsonb_object_agg(a, jsonb_strip_nulls(jsonb_build_object(
        'environments', ARRAY(SELECT k.value FROM writ.known k WHERE k.agent = a AND k.what = 'environment'),
        'networks', ARRAY(SELECT k.value FROM writ.known k WHERE k.agent = a AND k.what = 'network' AND k.value = ANY (v_networks)),
        'networks_known', (SELECT count(*) FROM (SELECT FROM writ.known k WHERE k.agent = a AND k.what = 'network' LIMIT 1000) n),
        'active', (SELECT writ.millis(k.at) FROM writ.known k WHERE k.agent = a AND k.what = 'activity'),
        'denials', ARRAY(SELECT writ.millis(d.at) FROM writ.entry d
          WHERE a = ANY (v_deniers) AND d.agent = a AND d.idx >= v_since AND d.idx < p_from
            AND d.kind IN ('issuance.denied', 'grant_request.refused')
          ORDER BY d.idx DESC LIMIT (p->>'denials')::integer),
        'burst', (SELECT max(writ.millis(l.caused_at)) FROM writ.alarm l
          WHERE a = ANY (v_deniers) AND l.agent = a AND l.kind = 'denied-burst'
            AND l.caused_at > v_first - make_interval(secs => (p->>'quiet_seconds')::integer))))), '{}')
      FROM unnest(v_agents) a));
END $$;

-- Makes the caller the one who raises alarms, for p.seconds, and tells it what to look at: {status: ok, fence, from, to,
-- facts, late?}, or `nothing` there is, or somebody else is `busy` with it. p {holder, seconds, most, rules, origin?,
-- late_seconds?}. `late`: the first entry that is not in any checkpoint of the origin, where it has waited for too long.
CREATE FUNCTION writ.claim_alarms(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp AS $$
DECLARE
  w writ.alarm_cursor;
  v_size bigint;
  v_from bigint;
  v_to bigint;
  v_late jsonb;
BEGIN
  SELECT size INTO STRICT v_size FROM writ.log_head;
  SELECT * INTO STRICT w FROM writ.alarm_cursor;
  IF p ? 'origin' THEN
    SELECT jsonb_build_object('index', e.idx, 'at', writ.millis(e.at)) INTO v_late FROM writ.entry e
    WHERE e.idx = (SELECT coalesce(max(size), 0) FROM writ.checkpoint WHERE origin = p->>'origin')
      AND e.at < clock_timestamp() - make_interval(secs => (p->>'late_seconds')::integer);
  END IF;
  IF w.next_idx >= v_size AND v_late IS NULL THEN RETURN '{"status": "nothing"}'; END IF;
  SELECT * INTO w FROM writ.alarm_cursor FOR UPDATE SKIP LOCKED;
  IF NOT FOUND OR (w.holder <> p->>'holder' AND clock_timestamp() < w.until) THEN RETURN '{"status": "busy"}'; END IF;
  UPDATE writ.alarm_cursor SET holder = p->>'holder', fence = w.fence + (w.holder <> p->>'holder')::integer,
    until = clock_timestamp() + make_interval(secs => least(greatest((p->>'seconds')::integer, 1), 60))
  RETURNING * INTO w;
  -- What was archived before anybody looked at it, because no broker ran for so long, is past alarming.
  v_from := greatest(w.next_idx, (SELECT first FROM writ.log_start));
  v_to := least(greatest(v_size, w.next_idx), v_from + (p->>'most')::bigint);
  RETURN jsonb_strip_nulls(jsonb_build_object('status', 'ok', 'fence', w.fence, 'from', w.next_idx, 'to', v_to, 'size', v_size, 'late', v_late))
    || jsonb_build_object('facts', writ.alarm_facts(v_from, v_to, p->'rules'));
END $$;

-- Raises alarms, remembers what was learned, and moves the place: all of it in one commit, by whoever holds the fence and
-- begins where the place is. p {fence, from, to, seconds, release, alarms: [{key, alarm, cause, after_seconds?, details}],
-- learned: [{agent, what, value, at}]}. Answers {status: ok, raised: [{alarm, index, cause, delay_ms, agent?}]} or `lost`.
--
-- Whom and what an alarm is about is its cause's to say, here: what was erased since it was read is not brought back.
CREATE FUNCTION writ.raise_alarms(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = writ, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  c writ.log_cursor;
  a jsonb;
  e writ.entry;
  v_at timestamptz;
  v_delay bigint;
  v_personal jsonb;
  v_open boolean := false;
  v_raised jsonb[] := '{}';
BEGIN
  -- Lock order: the place, then the head; nobody who holds the head asks for the place.
  PERFORM FROM writ.alarm_cursor
  WHERE fence = (p->>'fence')::bigint AND clock_timestamp() < until AND next_idx = (p->>'from')::bigint FOR UPDATE;
  IF NOT FOUND OR (p->>'to')::bigint NOT BETWEEN (p->>'from')::bigint AND (SELECT size FROM writ.log_head) THEN
    RETURN '{"status": "lost"}';
  END IF;
  FOR a IN SELECT value FROM jsonb_array_elements(p->'alarms') LOOP
    CONTINUE WHEN EXISTS (SELECT FROM writ.alarm WHERE key = a->>'key');
    SELECT * INTO e FROM writ.entry WHERE idx = (a->>'cause')::bigint;
    CONTINUE WHEN NOT FOUND;
    IF a->>'alarm' = 'checkpoint-late' THEN
      -- Whoever happens to have recorded this entry has no part in it.
      e := jsonb_populate_record(NULL::writ.entry, jsonb_build_object('idx', e.idx, 'at', e.at));
    END IF;
    IF NOT v_open THEN
      c := writ.log_open();
      v_open := true;
    END IF;
    v_at := e.at + make_interval(secs => coalesce((a->>'after_seconds')::integer, 0));
    v_delay := greatest(floor(extract(epoch FROM c.at - v_at) * 1000)::bigint, 0);
    INSERT INTO writ.alarm (key, kind, cause_idx, agent, environment, caused_at, at, raised_idx)
    VALUES (a->>'key', a->>'alarm', e.idx, e.agent, e.environment, v_at, c.at, c.next_idx);
    v_personal := CASE WHEN a->>'alarm' = 'new-network' AND e.source_ip IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object(
      'source_ip', host(e.source_ip), 'human', e.human, 'subject', convert_from(e.personal, 'UTF8')::jsonb->'subject')) END;
    v_raised := array_append(v_raised, jsonb_strip_nulls(jsonb_build_object('alarm', a->>'alarm', 'index', c.next_idx, 'cause', e.idx,
      'delay_ms', v_delay, 'agent', e.agent)));
    c := writ.log_put(c, 'alarm.raised', jsonb_build_object('agent', e.agent, 'environment', e.environment, 'issuance_id', e.issuance_id,
        'request_id', e.request_id, 'grant_id', e.grant_id, 'code', a->>'alarm', 'tier', coalesce(a->'details'->>'tier', e.tier)),
      coalesce(a->'details', '{}') || jsonb_build_object('alarm', a->>'alarm', 'cause', e.idx, 'delay_ms', v_delay,
        'caused_at', to_char(v_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
      v_personal, jsonb_strip_nulls(jsonb_build_object('human', e.human,
        'source_ip', CASE WHEN v_personal IS NOT NULL THEN host(e.source_ip) END)));
  END LOOP;
  IF v_open THEN PERFORM writ.log_seal(c); END IF;
  INSERT INTO writ.known AS k (agent, what, value, at)
  SELECT l->>'agent', l->>'what', l->>'value', to_timestamp((l->>'at')::numeric / 1000) FROM jsonb_array_elements(p->'learned') l
  ON CONFLICT (agent, what, value) DO UPDATE SET at = excluded.at WHERE k.what = 'activity' AND k.at < excluded.at;
  UPDATE writ.alarm_cursor SET next_idx = (p->>'to')::bigint, until = CASE WHEN (p->>'release')::boolean THEN '-infinity'
    ELSE clock_timestamp() + make_interval(secs => least(greatest((p->>'seconds')::integer, 1), 60)) END;
  RETURN jsonb_build_object('status', 'ok', 'raised', to_jsonb(v_raised));
END $$;

GRANT SELECT ON writ.alarm, writ.known TO writ_broker;
GRANT SELECT (next_idx, holder, fence, until) ON writ.alarm_cursor TO writ_broker;
GRANT EXECUTE ON FUNCTION writ.claim_alarms(jsonb), writ.raise_alarms(jsonb) TO writ_broker;
