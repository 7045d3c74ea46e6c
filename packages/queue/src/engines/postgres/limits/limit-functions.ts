import { LINE_GRACE_MS, LONGEST_PARK_MS } from "../../../contract/task-limits.ts";
import { ELSEWHERE } from "../../limits/ledger-rows.ts";
import { SETTINGS } from "../journal/run-functions.ts";

/**
 * The functions of the limits. Their rules are those of `engines/limits/ledger.ts`.
 *
 * Each function that clients call locks its limits first, by advisory locks in the order of their names, so no two of them wait
 * for each other. The rows of jobs are locked behind them, and a row that another session has locked is left to the next sweep.
 */
export const LIMIT_FUNCTIONS: string = `
CREATE FUNCTION taskloom_limit_lock_v1(p_queue text, p_names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_name text;
BEGIN
  FOR v_name IN SELECT DISTINCT name COLLATE "C" FROM unnest(p_names) AS name ORDER BY 1 LOOP
    PERFORM pg_advisory_xact_lock(hashtextextended('taskloom:limit:' || p_queue || ':' || v_name, 0));
  END LOOP;
END;
$$;

CREATE FUNCTION taskloom_limit_drop_dead_v1(p_queue text, p_name text, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH dead AS (
    DELETE FROM taskloom_limit_slot AS slot WHERE queue = p_queue AND name = p_name AND until_ms = 0
        AND NOT EXISTS (SELECT 1 FROM job WHERE job.queue = p_queue AND job.id = slot.id
          AND job.state = 'active' AND job.lock_token = slot.token)
      RETURNING slot.id, slot.rank
  )
  INSERT INTO taskloom_limit_line (queue, name, id, rank, hold_ms)
    SELECT p_queue, p_name, dead.id, dead.rank, p_now + ${LINE_GRACE_MS} FROM dead
      JOIN job ON job.queue = p_queue AND job.id = dead.id AND job.finished_at_ms IS NULL
    ON CONFLICT (queue, name, id) DO NOTHING;
END;
$$;

-- Returns the number of free slots. Slots of dead workers are free.
CREATE FUNCTION taskloom_limit_free_v1(p_queue text, p_name text, p_max integer, p_window bigint, p_now bigint)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  v_taken integer;
BEGIN
  IF p_window > 0 THEN
    DELETE FROM taskloom_limit_slot WHERE queue = p_queue AND name = p_name AND until_ms <= p_now;
  END IF;
  SELECT count(*) INTO v_taken FROM taskloom_limit_slot WHERE queue = p_queue AND name = p_name;
  IF v_taken < p_max OR p_window > 0 THEN
    RETURN p_max - v_taken;
  END IF;
  PERFORM taskloom_limit_drop_dead_v1(p_queue, p_name, p_now);
  SELECT count(*) INTO v_taken FROM taskloom_limit_slot WHERE queue = p_queue AND name = p_name;
  RETURN p_max - v_taken;
END;
$$;

-- Returns the first jobs of a line that have to go before a rank, at most so many. Jobs that are gone are removed.
CREATE FUNCTION taskloom_limit_front_v1(p_queue text, p_name text, p_most integer, p_before bigint, p_asking text, p_now bigint)
RETURNS SETOF taskloom_limit_line LANGUAGE plpgsql AS $$
DECLARE
  v_entry taskloom_limit_line;
  v_job record;
  v_found integer := 0;
BEGIN
  FOR v_entry IN
    SELECT * FROM taskloom_limit_line WHERE queue = p_queue AND name = p_name AND rank < p_before ORDER BY rank
  LOOP
    EXIT WHEN v_found >= p_most;
    CONTINUE WHEN v_entry.id = p_asking;
    SELECT finished_at_ms INTO v_job FROM job WHERE queue = p_queue AND id = v_entry.id;
    IF FOUND THEN
      IF v_job.finished_at_ms IS NOT NULL THEN
        DELETE FROM taskloom_limit_line WHERE queue = p_queue AND name = p_name AND id = v_entry.id;
        CONTINUE;
      END IF;
      CONTINUE WHEN v_entry.hold_ms > 0 AND v_entry.hold_ms <= p_now;
    ELSIF v_entry.hold_ms IS NULL OR v_entry.hold_ms = ${ELSEWHERE} OR (v_entry.hold_ms > 0 AND v_entry.hold_ms <= p_now) THEN
      DELETE FROM taskloom_limit_line WHERE queue = p_queue AND name = p_name AND id = v_entry.id;
      CONTINUE;
    END IF;
    v_found := v_found + 1;
    RETURN NEXT v_entry;
  END LOOP;
END;
$$;

-- Bounds the time for which later jobs wait for jobs that have not asked yet, and returns the first end of that time.
CREATE FUNCTION taskloom_limit_hold_v1(p_queue text, p_name text, p_ids text[], p_now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_first bigint;
BEGIN
  UPDATE taskloom_limit_line SET hold_ms = p_now + ${LINE_GRACE_MS}
    WHERE queue = p_queue AND name = p_name AND id = ANY(p_ids) AND hold_ms = 0;
  SELECT min(hold_ms) INTO v_first FROM taskloom_limit_line
    WHERE queue = p_queue AND name = p_name AND id = ANY(p_ids) AND hold_ms > 0;
  RETURN v_first;
END;
$$;

-- Lets a parked job wait in the place that it had before it was taken.
CREATE FUNCTION taskloom_limit_unpark_v1(p_queue text, p_id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM job WHERE queue = p_queue AND id = p_id AND state = 'delayed' FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  UPDATE job SET state = 'waiting', delay_ms = 0 WHERE queue = p_queue AND id = p_id AND state = 'delayed';
  PERFORM publish_event(p_queue, 'waiting', jsonb_build_object('jobId', p_id, 'prev', 'delayed'));
  PERFORM pg_notify('bullmq_jobs', p_queue);
END;
$$;

CREATE FUNCTION taskloom_limit_wake_one_v1(p_queue text, p_name text, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_terms taskloom_limit;
  v_entry taskloom_limit_line;
  v_free integer;
  v_ids text[] := '{}';
BEGIN
  SELECT * INTO v_terms FROM taskloom_limit WHERE queue = p_queue AND name = p_name;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF EXISTS (SELECT 1 FROM taskloom_limit_line WHERE queue = p_queue AND name = p_name) THEN
    v_free := taskloom_limit_free_v1(p_queue, p_name, v_terms.max, v_terms.window_ms, p_now);
    IF v_free > 0 THEN
      FOR v_entry IN SELECT * FROM taskloom_limit_front_v1(p_queue, p_name, v_free, ${Number.MAX_SAFE_INTEGER}, NULL, p_now) LOOP
        v_ids := v_ids || v_entry.id;
        IF v_entry.hold_ms IS NULL THEN
          PERFORM taskloom_limit_unpark_v1(p_queue, v_entry.id);
        END IF;
      END LOOP;
      IF EXISTS (SELECT 1 FROM taskloom_limit_line WHERE queue = p_queue AND name = p_name AND hold_ms IS NULL) THEN
        PERFORM taskloom_limit_hold_v1(p_queue, p_name, v_ids, p_now);
      END IF;
    END IF;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM taskloom_limit_line WHERE queue = p_queue AND name = p_name)
    AND NOT EXISTS (SELECT 1 FROM taskloom_limit_slot WHERE queue = p_queue AND name = p_name)
  THEN
    DELETE FROM taskloom_limit WHERE queue = p_queue AND name = p_name;
  END IF;
END;
$$;

-- Returns when a refused job asks again; NULL if the limit has a slot for it.
CREATE FUNCTION taskloom_limit_refused_v1(p_queue text, p_name text, p_max integer, p_window bigint, p_id text, p_rank bigint, p_now bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_free integer := taskloom_limit_free_v1(p_queue, p_name, p_max, p_window, p_now);
  v_ids text[];
  v_longest bigint := CASE WHEN p_window = 0 THEN ${LONGEST_PARK_MS} ELSE LEAST(p_window, 1000) END;
  v_taken bigint;
  v_at bigint;
  v_windows bigint := 0;
  v_until bigint;
BEGIN
  IF v_free > 0 THEN
    v_ids := ARRAY(SELECT id FROM taskloom_limit_front_v1(p_queue, p_name, v_free, p_rank, p_id, p_now));
    IF cardinality(v_ids) < v_free THEN
      RETURN NULL;
    END IF;
    RETURN LEAST(p_now + v_longest, taskloom_limit_hold_v1(p_queue, p_name, v_ids, p_now));
  END IF;
  IF p_window = 0 THEN
    RETURN p_now + ${LONGEST_PARK_MS};
  END IF;
  SELECT count(*) INTO v_taken FROM taskloom_limit_slot WHERE queue = p_queue AND name = p_name;
  SELECT v_taken - p_max + count(*) INTO v_at FROM taskloom_limit_line
    WHERE queue = p_queue AND name = p_name AND rank < p_rank;
  IF v_at >= v_taken THEN
    v_windows := 1 + (v_at - v_taken) / p_max;
    v_at := v_taken - p_max + (v_at - v_taken) % p_max;
  END IF;
  SELECT until_ms INTO v_until FROM taskloom_limit_slot WHERE queue = p_queue AND name = p_name
    ORDER BY until_ms OFFSET v_at LIMIT 1;
  RETURN v_until + p_window * v_windows;
END;
$$;

CREATE FUNCTION taskloom_limit_join_v1(p_queue text, p_ids text[], p_names jsonb) RETURNS void
${SETTINGS}
AS $$
DECLARE
  v_at integer;
  v_names text[];
  v_rank bigint;
BEGIN
  PERFORM taskloom_limit_lock_v1(p_queue,
    ARRAY(SELECT name FROM jsonb_array_elements(p_names) AS each, jsonb_array_elements_text(each) AS name));
  FOR v_at IN 1 .. cardinality(p_ids) LOOP
    v_names := ARRAY(SELECT jsonb_array_elements_text(p_names -> v_at - 1));
    CONTINUE WHEN EXISTS (SELECT 1 FROM taskloom_limit_line
        WHERE queue = p_queue AND name = ANY(v_names) AND id = p_ids[v_at])
      OR EXISTS (SELECT 1 FROM taskloom_limit_slot
        WHERE queue = p_queue AND name = ANY(v_names) AND id = p_ids[v_at]);
    v_rank := nextval('taskloom_limit_rank');
    INSERT INTO taskloom_limit_line (queue, name, id, rank, hold_ms)
      SELECT p_queue, name, p_ids[v_at], v_rank, 0 FROM unnest(v_names) AS name;
  END LOOP;
END;
$$;

CREATE FUNCTION taskloom_limit_ask_v1(p_queue text, p_now bigint, p_id text, p_token text, p_names text[], p_max integer[], p_window bigint[], p_wide boolean[])
RETURNS TABLE (kind text, refused text, until_ms bigint)
${SETTINGS}
AS $$
#variable_conflict use_column
DECLARE
  v_rank bigint;
  v_old bigint;
  v_at integer;
  v_until bigint;
BEGIN
  PERFORM taskloom_limit_lock_v1(p_queue, p_names);
  IF NOT EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND id = p_id AND state = 'active' AND lock_token = p_token) THEN
    RETURN QUERY SELECT 'lost', NULL::text, NULL::bigint;
    RETURN;
  END IF;
  INSERT INTO taskloom_limit (queue, name, max, window_ms)
    SELECT p_queue, * FROM unnest(p_names, p_max, p_window)
    ON CONFLICT (queue, name) DO UPDATE SET max = EXCLUDED.max, window_ms = EXCLUDED.window_ms
      WHERE taskloom_limit.max <> EXCLUDED.max OR taskloom_limit.window_ms <> EXCLUDED.window_ms;
  IF (SELECT count(*) FROM taskloom_limit_slot
      WHERE queue = p_queue AND name = ANY(p_names) AND id = p_id AND token = p_token) = cardinality(p_names)
  THEN
    RETURN QUERY SELECT 'granted', NULL::text, NULL::bigint;
    RETURN;
  END IF;
  WITH old AS (
    DELETE FROM taskloom_limit_slot AS slot
      WHERE slot.queue = p_queue AND slot.name = ANY(p_names) AND slot.id = p_id AND slot.until_ms = 0
      RETURNING slot.rank
  )
  SELECT min(rank) INTO v_old FROM old;
  SELECT min(rank) INTO v_rank FROM taskloom_limit_line WHERE queue = p_queue AND name = ANY(p_names) AND id = p_id;
  v_rank := COALESCE(v_rank, v_old, nextval('taskloom_limit_rank'));
  FOR v_at IN 1 .. cardinality(p_names) LOOP
    v_until := taskloom_limit_refused_v1(p_queue, p_names[v_at], p_max[v_at], p_window[v_at], p_id, v_rank, p_now);
    CONTINUE WHEN v_until IS NULL;
    DELETE FROM taskloom_limit_line WHERE queue = p_queue AND name = ANY(p_names) AND id = p_id;
    INSERT INTO taskloom_limit_line (queue, name, id, rank, hold_ms)
      SELECT p_queue, name, p_id, v_rank, CASE WHEN name = p_names[v_at] THEN NULL ELSE ${ELSEWHERE} END
        FROM unnest(p_names) AS name WHERE name = p_names[v_at] OR p_wide[v_at];
    RETURN QUERY SELECT 'refused', p_names[v_at], v_until;
    RETURN;
  END LOOP;
  DELETE FROM taskloom_limit_line WHERE queue = p_queue AND name = ANY(p_names) AND id = p_id;
  INSERT INTO taskloom_limit_slot (queue, name, id, token, rank, until_ms)
    SELECT p_queue, name, p_id, p_token, v_rank, CASE WHEN window_ms = 0 THEN 0 ELSE p_now + window_ms END
      FROM unnest(p_names, p_window) AS asked(name, window_ms);
  FOR v_at IN 1 .. cardinality(p_names) LOOP
    PERFORM taskloom_limit_wake_one_v1(p_queue, p_names[v_at], p_now);
  END LOOP;
  RETURN QUERY SELECT 'granted', NULL::text, NULL::bigint;
END;
$$;

CREATE FUNCTION taskloom_limit_release_v1(p_queue text, p_now bigint, p_id text, p_token text, p_names text[], p_back boolean)
RETURNS void
${SETTINGS}
AS $$
DECLARE
  v_at integer;
BEGIN
  PERFORM taskloom_limit_lock_v1(p_queue, p_names);
  WITH freed AS (
    DELETE FROM taskloom_limit_slot AS slot WHERE slot.queue = p_queue AND slot.name = ANY(p_names)
        AND slot.id = p_id AND slot.token = p_token AND slot.until_ms = 0
      RETURNING slot.name, slot.rank
  )
  INSERT INTO taskloom_limit_line (queue, name, id, rank, hold_ms)
    SELECT p_queue, freed.name, p_id, freed.rank, 0 FROM freed WHERE p_back
    ON CONFLICT (queue, name, id) DO NOTHING;
  FOR v_at IN 1 .. cardinality(p_names) LOOP
    PERFORM taskloom_limit_wake_one_v1(p_queue, p_names[v_at], p_now);
  END LOOP;
END;
$$;

CREATE FUNCTION taskloom_limit_wake_v1(p_queue text, p_now bigint, p_names text[]) RETURNS void
${SETTINGS}
AS $$
DECLARE
  v_at integer;
BEGIN
  PERFORM taskloom_limit_lock_v1(p_queue, p_names);
  FOR v_at IN 1 .. cardinality(p_names) LOOP
    PERFORM taskloom_limit_wake_one_v1(p_queue, p_names[v_at], p_now);
  END LOOP;
END;
$$;

CREATE FUNCTION taskloom_limit_sweep_v1(p_queue text, p_now bigint, p_name text) RETURNS void
${SETTINGS}
AS $$
BEGIN
  PERFORM taskloom_limit_lock_v1(p_queue, ARRAY[p_name]);
  PERFORM taskloom_limit_drop_dead_v1(p_queue, p_name, p_now);
  DELETE FROM taskloom_limit_slot WHERE queue = p_queue AND name = p_name AND until_ms > 0 AND until_ms <= p_now;
  PERFORM taskloom_limit_wake_one_v1(p_queue, p_name, p_now);
END;
$$;

CREATE FUNCTION taskloom_limit_drop_v1(p_queue text, p_name text) RETURNS void
${SETTINGS}
AS $$
DECLARE
  v_id text;
BEGIN
  PERFORM taskloom_limit_lock_v1(p_queue, ARRAY[p_name]);
  FOR v_id IN SELECT id FROM taskloom_limit_line WHERE queue = p_queue AND name = p_name ORDER BY rank LOOP
    PERFORM taskloom_limit_unpark_v1(p_queue, v_id);
  END LOOP;
  DELETE FROM taskloom_limit_line WHERE queue = p_queue AND name = p_name;
  DELETE FROM taskloom_limit_slot WHERE queue = p_queue AND name = p_name;
  DELETE FROM taskloom_limit WHERE queue = p_queue AND name = p_name;
END;
$$;
`;
