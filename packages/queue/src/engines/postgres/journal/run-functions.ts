import { JOURNAL_PAGE } from "../../../contract/run-journal.ts";

/** The settings of the functions that clients call. Tables grow from nothing to millions of rows before they are analyzed. */
export const SETTINGS: string = `
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan`;

/**
 * The functions that the others share. All functions lock the row of a run before that of its job, and the rows of several
 * runs by the bytes of their ids, so no two of them wait for each other.
 */
export const RUN_FUNCTIONS: string = `
CREATE FUNCTION taskloom_run_clear_v1(p_queue text, p_id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM taskloom_log WHERE queue = p_queue AND id = p_id;
  DELETE FROM taskloom_inbox WHERE queue = p_queue AND id = p_id;
END;
$$;

-- Locks and returns the row of a run, which is made if the job has none. The journal of an earlier job is removed.
CREATE FUNCTION taskloom_run_lock_v1(p_queue text, p_id text, p_born bigint) RETURNS taskloom_run LANGUAGE plpgsql AS $$
DECLARE
  v_run taskloom_run;
BEGIN
  SELECT * INTO v_run FROM taskloom_run WHERE queue = p_queue AND id = p_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    INSERT INTO taskloom_run (queue, id, born) VALUES (p_queue, p_id, p_born) ON CONFLICT (queue, id) DO NOTHING;
    SELECT * INTO v_run FROM taskloom_run WHERE queue = p_queue AND id = p_id FOR NO KEY UPDATE;
  END IF;
  IF v_run.born <> p_born THEN
    PERFORM taskloom_run_clear_v1(p_queue, p_id);
    UPDATE taskloom_run SET born = p_born, epoch = 0, generation = 0, consumed = 0, delivered = 0, deaths = 0,
        owner = NULL, view = NULL, keys = '{}'
      WHERE queue = p_queue AND id = p_id RETURNING * INTO v_run;
  END IF;
  RETURN v_run;
END;
$$;

CREATE FUNCTION taskloom_run_length_v1(p_queue text, p_id text, p_generation integer) RETURNS integer
LANGUAGE sql STABLE AS $$
  SELECT COALESCE(max(seq) + 1, 0) FROM taskloom_log WHERE queue = p_queue AND id = p_id AND generation = p_generation
$$;

-- Returns unread items from the given number on.
CREATE FUNCTION taskloom_run_items_v1(p_queue text, p_id text, p_from bigint) RETURNS text[] LANGUAGE sql STABLE AS $$
  SELECT ARRAY(SELECT item FROM taskloom_inbox WHERE queue = p_queue AND id = p_id AND seq >= p_from
    ORDER BY seq LIMIT ${JOURNAL_PAGE})
$$;

-- Consumes items, and returns the number of consumed ones.
CREATE FUNCTION taskloom_run_consume_v1(p_run taskloom_run, p_count bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  IF p_count <= p_run.consumed THEN
    RETURN p_run.consumed;
  END IF;
  DELETE FROM taskloom_inbox WHERE queue = p_run.queue AND id = p_run.id AND seq < p_count;
  UPDATE taskloom_run SET consumed = p_count, delivered = GREATEST(delivered, p_count)
    WHERE queue = p_run.queue AND id = p_run.id;
  RETURN p_count;
END;
$$;
`;
