/** The function of a turn: one statement that stores ends and then claims jobs. */
export const TURN_FUNCTION = `
-- Notifies the readers of a queue's events, and trims its events, as publish_event does for one event. The events are those
-- that were published since the sequence had the value p_before.
CREATE OR REPLACE FUNCTION taskloom_announce_v1(p_queue text, p_before bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_last bigint;
  v_max integer;
BEGIN
  SELECT last_value INTO v_last FROM event_seq;
  IF v_last = p_before THEN
    RETURN;
  END IF;
  IF pg_try_advisory_xact_lock(hashtext('bullmq:evnotify:' || p_queue)) THEN
    PERFORM pg_notify('bullmq_events', p_queue);
  END IF;
  -- BullMQ trims at every 256th event. A batch trims at the last such event in it.
  v_last := v_last / 256 * 256;
  IF v_last <= p_before THEN
    RETURN;
  END IF;
  SELECT value::integer INTO v_max FROM meta WHERE queue = p_queue AND field = 'opts.maxLenEvents';
  v_max := COALESCE(v_max, 10000);
  IF v_max > 0 AND v_last > v_max AND pg_try_advisory_xact_lock(hashtext('bullmq:evtrim:' || p_queue)) THEN
    DELETE FROM event WHERE queue = p_queue AND id <= v_last - v_max;
  END IF;
END;
$$;

-- Returns a row for each job that was claimed, in order, and then one row without a job: the codes of the refusals, and what
-- a worker waits for if fewer jobs were claimed than it asked for.
--
-- Scans of whole tables are off, because BullMQ's tables grow from nothing to millions of rows before they are analyzed.
CREATE OR REPLACE FUNCTION taskloom_turn_v1(
  p_queue text, p_ids text[], p_tokens text[], p_failed boolean[], p_results jsonb[], p_reasons text[],
  p_stacks jsonb[], p_finished bigint[], p_ages bigint[], p_counts integer[], p_groups integer[], p_points integer,
  p_claim integer, p_token text, p_lock_ms bigint, p_now bigint, p_worker text, p_limit integer, p_limit_time bigint
) RETURNS TABLE (
  codes integer[], limited_for bigint, next_due bigint,
  id text, name text, data text, opts jsonb, progress jsonb, attempts_made integer, attempts_started integer,
  finished_at_ms bigint, processed_at_ms bigint, added_at_ms bigint, delay_ms bigint, priority integer,
  failed_reason text, stacktrace text, return_value text, parent_queue text, parent_id text, parent_key text,
  scheduler_id text, dedup_id text, deferred_failure text, processed_by text, stalled_count integer
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
  v_codes integer[] := '{}';
  v_before bigint;
  v_claimed integer := 0;
  v_limited bigint := 0;
  v_due bigint := 0;
BEGIN
  SELECT last_value INTO v_before FROM event_seq;
  IF COALESCE(array_length(p_ids, 1), 0) > 0 THEN
    v_codes := taskloom_end_v1(p_queue, p_ids, p_tokens, p_failed, p_results, p_reasons, p_stacks, p_finished,
      p_ages, p_counts, p_groups, p_points);
  END IF;
  IF p_claim > 0 THEN
    RETURN QUERY
      SELECT NULL::integer[], NULL::bigint, NULL::bigint,
          job.id, job.name, job.data::text, job.opts, job.progress, job.attempts_made, job.attempts_started,
          job.finished_at_ms, job.processed_at_ms, job.added_at_ms, job.delay_ms, job.priority,
          job.failed_reason, job.stacktrace::text, job.return_value::text,
          job.parent_queue, job.parent_id, job.parent_key,
          job.scheduler_id, job.dedup_id, job.deferred_failure, job.processed_by, job.stalled_count
        FROM taskloom_claim_v1(
          p_queue, p_claim, p_token, p_lock_ms, p_now, p_worker, p_limit, p_limit_time) AS job;
    GET DIAGNOSTICS v_claimed = ROW_COUNT;
    IF v_claimed < p_claim THEN
      SELECT rate_limit_ttl, CASE WHEN rate_limit_ttl > 0 THEN 0 ELSE COALESCE(next_delay, 0) END
        INTO v_limited, v_due FROM next_signal(p_queue, p_limit, p_now);
    END IF;
  END IF;
  PERFORM taskloom_announce_v1(p_queue, v_before);
  codes := v_codes;
  limited_for := v_limited;
  next_due := v_due;
  RETURN NEXT;
END;
$$;
`;
