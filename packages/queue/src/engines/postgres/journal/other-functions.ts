import { KEPT_KEYS, MAX_UNREAD } from "../../../contract/run-journal.ts";
import { SETTINGS } from "./run-functions.ts";

/** How many runs one statement reads. */
export const MAX_SWEPT = 500;

/** The functions of senders and of the sweep. */
export const OTHER_FUNCTIONS: string = `
-- Promotes a delayed run with BullMQ's own function, which does not lock the row before it looks.
CREATE FUNCTION taskloom_run_promote_v1(p_queue text, p_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM job WHERE queue = p_queue AND id = p_id AND state = 'delayed' AND attempts_started > 0 FOR UPDATE;
  RETURN FOUND AND promote(p_queue, p_id) = 0;
END;
$$;

CREATE FUNCTION taskloom_run_deliver_v1(p_queue text, p_id text, p_items text[], p_key text, p_channel text)
RETURNS TABLE (kind text, unread bigint)
${SETTINGS}
AS $$
#variable_conflict use_column
DECLARE
  v_count integer := COALESCE(array_length(p_items, 1), 0);
  v_job record;
  v_run taskloom_run;
BEGIN
  SELECT added_at_ms, finished_at_ms INTO v_job FROM job WHERE queue = p_queue AND id = p_id;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'gone', 0::bigint;
    RETURN;
  END IF;
  IF v_job.finished_at_ms IS NOT NULL THEN
    RETURN QUERY SELECT 'ended', 0::bigint;
    RETURN;
  END IF;
  v_run := taskloom_run_lock_v1(p_queue, p_id, v_job.added_at_ms);
  unread := v_run.delivered - v_run.consumed;
  IF p_key = ANY(v_run.keys) THEN
    RETURN QUERY SELECT 'stored', unread;
    RETURN;
  END IF;
  IF unread + v_count > ${MAX_UNREAD} THEN
    RETURN QUERY SELECT 'full', unread;
    RETURN;
  END IF;
  INSERT INTO taskloom_inbox SELECT p_queue, p_id, v_run.delivered + ord - 1, item
    FROM unnest(p_items) WITH ORDINALITY AS added(item, ord);
  UPDATE taskloom_run SET delivered = delivered + v_count,
      keys = CASE WHEN p_key IS NULL THEN keys
        WHEN cardinality(keys) < ${KEPT_KEYS} THEN keys || p_key
        ELSE keys[cardinality(keys) - ${KEPT_KEYS - 2} :] || p_key END
    WHERE queue = p_queue AND id = p_id;
  -- The owner may have parked the run before its row was locked here, so the job is read again.
  SELECT state, lock_token INTO v_job FROM job WHERE queue = p_queue AND id = p_id;
  IF v_job.state = 'delayed' THEN
    PERFORM taskloom_run_promote_v1(p_queue, p_id);
  ELSIF v_job.state = 'active' AND v_job.lock_token IS NOT NULL THEN
    PERFORM pg_notify(p_channel || regexp_replace(v_job.lock_token, ':\\d+$', ''),
      json_build_object('lane', p_queue, 'id', p_id)::text);
  END IF;
  RETURN QUERY SELECT 'stored', unread + v_count;
END;
$$;

-- Promotes parked runs with unread items. Runs that are locked have an owner or a sender, and stay until the next call.
CREATE FUNCTION taskloom_run_sweep_v1(p_queue text) RETURNS integer
${SETTINGS}
AS $$
DECLARE
  v_id text;
  v_promoted integer := 0;
BEGIN
  FOR v_id IN
    SELECT run.id FROM taskloom_run AS run JOIN job ON job.queue = run.queue AND job.id = run.id
      WHERE run.queue = p_queue AND run.delivered > run.consumed AND run.born = job.added_at_ms
        AND job.state = 'delayed' AND job.attempts_started > 0
      LIMIT ${MAX_SWEPT} FOR NO KEY UPDATE OF run SKIP LOCKED
  LOOP
    IF taskloom_run_promote_v1(p_queue, v_id) THEN
      v_promoted := v_promoted + 1;
    END IF;
  END LOOP;
  RETURN v_promoted;
END;
$$;

CREATE FUNCTION taskloom_run_forget_v1(p_queue text, p_ids text[]) RETURNS void
${SETTINGS}
AS $$
DECLARE
  v_id text;
BEGIN
  FOR v_id IN
    SELECT id FROM taskloom_run AS run WHERE queue = p_queue AND id = ANY(p_ids)
        AND NOT EXISTS (SELECT 1 FROM job WHERE job.queue = run.queue AND job.id = run.id)
      ORDER BY id COLLATE "C" FOR UPDATE
  LOOP
    PERFORM taskloom_run_clear_v1(p_queue, v_id);
    DELETE FROM taskloom_run WHERE queue = p_queue AND id = v_id;
  END LOOP;
END;
$$;
`;
