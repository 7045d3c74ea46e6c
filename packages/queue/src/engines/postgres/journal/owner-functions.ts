import { JOURNAL_PAGE } from "../../../contract/run-journal.ts";
import { SETTINGS } from "./run-functions.ts";

/** The functions of the owner of a run. */
export const OWNER_FUNCTIONS: string = `
CREATE FUNCTION taskloom_run_open_v1(p_queue text, p_id text, p_token text, p_from integer)
RETURNS TABLE (epoch integer, generation integer, length integer, consumed bigint, delivered bigint, deaths integer,
  view text, entries text[], inbox text[])
${SETTINGS}
AS $$
#variable_conflict use_column
DECLARE
  v_born bigint;
  v_run taskloom_run;
BEGIN
  SELECT added_at_ms INTO v_born FROM job
    WHERE queue = p_queue AND id = p_id AND state = 'active' AND lock_token = p_token;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  v_run := taskloom_run_lock_v1(p_queue, p_id, v_born);
  IF v_run.owner IS DISTINCT FROM p_token THEN
    UPDATE taskloom_run SET epoch = epoch + 1, owner = p_token, deaths = deaths + (owner IS NOT NULL)::integer
      WHERE queue = p_queue AND id = p_id RETURNING * INTO v_run;
  END IF;
  -- The lock may have been lost while another owner wrote.
  IF NOT EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND id = p_id AND state = 'active' AND lock_token = p_token) THEN
    RETURN;
  END IF;
  RETURN QUERY SELECT v_run.epoch, v_run.generation, taskloom_run_length_v1(p_queue, p_id, v_run.generation),
    v_run.consumed, v_run.delivered, v_run.deaths, v_run.view,
    ARRAY(SELECT entry FROM taskloom_log
      WHERE queue = p_queue AND id = p_id AND generation = v_run.generation AND seq >= p_from
      ORDER BY seq LIMIT ${JOURNAL_PAGE}),
    taskloom_run_items_v1(p_queue, p_id, v_run.consumed);
END;
$$;

-- Parks a run with BullMQ's own function behind a look at the inbox, whose sender waits for the row of the run.
CREATE FUNCTION taskloom_run_park_v1(p_queue text, p_id text, p_token text, p_epoch integer, p_generation integer,
  p_read bigint, p_until bigint, p_delay bigint) RETURNS text
${SETTINGS}
AS $$
DECLARE
  v_born bigint;
  v_run taskloom_run;
BEGIN
  SELECT added_at_ms INTO v_born FROM job
    WHERE queue = p_queue AND id = p_id AND state = 'active' AND lock_token = p_token;
  IF NOT FOUND THEN
    RETURN 'lost';
  END IF;
  v_run := taskloom_run_lock_v1(p_queue, p_id, v_born);
  IF p_epoch < v_run.epoch OR p_generation < v_run.generation THEN
    RETURN 'lost';
  END IF;
  IF v_run.delivered > p_read THEN
    RETURN 'news';
  END IF;
  PERFORM move_to_delayed(p_queue, p_id, p_token, p_until, p_delay, true, NULL, NULL);
  UPDATE taskloom_run SET owner = NULL WHERE queue = p_queue AND id = p_id;
  RETURN 'parked';
EXCEPTION WHEN SQLSTATE 'BM001' THEN -- BullMQ's refusal: the lock was lost meanwhile.
  RETURN 'lost';
END;
$$;

CREATE FUNCTION taskloom_run_continue_v1(p_queue text, p_id text, p_token text, p_epoch integer, p_generation integer,
  p_consume bigint, p_data jsonb, p_name text) RETURNS boolean
${SETTINGS}
AS $$
DECLARE
  v_born bigint;
  v_run taskloom_run;
BEGIN
  SELECT added_at_ms INTO v_born FROM job
    WHERE queue = p_queue AND id = p_id AND state = 'active' AND lock_token = p_token;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  v_run := taskloom_run_lock_v1(p_queue, p_id, v_born);
  IF p_epoch < v_run.epoch THEN
    RETURN false;
  END IF;
  IF p_generation <> v_run.generation THEN
    RETURN p_generation = v_run.generation - 1;
  END IF;
  UPDATE job SET data = p_data, name = COALESCE(p_name, name)
    WHERE queue = p_queue AND id = p_id AND state = 'active' AND lock_token = p_token;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM taskloom_log WHERE queue = p_queue AND id = p_id;
  PERFORM taskloom_run_consume_v1(v_run, p_consume);
  UPDATE taskloom_run SET epoch = p_epoch, generation = generation + 1, deaths = 0
    WHERE queue = p_queue AND id = p_id;
  RETURN true;
END;
$$;
`;
