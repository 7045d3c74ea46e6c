/**
 * The functions that store the ends of runs. They name BullMQ's tables without a schema: `taskloom_turn_v1` selects it.
 *
 * @remarks
 * Usual ends, which belong to jobs without a parent, children or deduplication, are stored many at a time. Every other end
 * goes through BullMQ's own function at its place in the order, so the order of the events is that of single commands.
 */
export const END_FUNCTIONS = `
-- Takes all locks of a batch of ends before the first write: BullMQ's advisory locks in BullMQ's order of their kinds, then
-- the rows by the bytes of their ids. Two turns therefore cannot wait for each other.
-- Returns for each end whether it is an end of its own: an unusual end, or one that is refused.
CREATE OR REPLACE FUNCTION taskloom_lock_ends_v1(p_queue text, p_ids text[], p_tokens text[], p_failed boolean[])
RETURNS boolean[] LANGUAGE plpgsql AS $$
DECLARE
  v_key bigint;
  v_linked boolean;
  v_parents text[];
  v_alone boolean[];
BEGIN
  SELECT bool_or(parent_id IS NOT NULL OR dedup_id IS NOT NULL) INTO v_linked
    FROM job WHERE queue = p_queue AND id = ANY(p_ids);
  IF v_linked THEN
    FOR v_key IN
      SELECT DISTINCT hashtext(q) FROM (
        SELECT p_queue AS q
        UNION ALL
        SELECT parent_queue FROM job WHERE queue = p_queue AND id = ANY(p_ids) AND parent_queue IS NOT NULL
      ) AS queues ORDER BY 1
    LOOP
      PERFORM pg_advisory_xact_lock_shared(hashtext('bullmq:finalization'), v_key::integer);
    END LOOP;
  ELSE
    PERFORM pg_advisory_xact_lock_shared(hashtext('bullmq:finalization'), hashtext(p_queue));
  END IF;
  IF v_linked OR true = ANY(p_failed) THEN
    FOR v_key IN
      SELECT key FROM (
        SELECT 1 AS kind, hashtext('bullmq:parent:' || p_queue || ':' || id) AS key
          FROM unnest(p_ids, p_failed) AS ended(id, failed) WHERE failed
        UNION
        SELECT 1, hashtext('bullmq:parent:' || parent_queue || ':' || parent_id)
          FROM job WHERE queue = p_queue AND id = ANY(p_ids) AND parent_queue IS NOT NULL AND parent_id IS NOT NULL
        UNION
        SELECT 2, hashtext('bullmq:dedup:' || p_queue || ':' || dedup_id)
          FROM job WHERE queue = p_queue AND id = ANY(p_ids) AND dedup_id IS NOT NULL
      ) AS locks ORDER BY kind, key
    LOOP
      PERFORM pg_advisory_xact_lock(v_key);
    END LOOP;
  END IF;

  v_parents := ARRAY(
    SELECT DISTINCT parent_id FROM job_dependency WHERE parent_queue = p_queue AND parent_id = ANY(p_ids));
  WITH locked AS MATERIALIZED (
    SELECT id, state, lock_token, parent_id IS NOT NULL OR dedup_id IS NOT NULL AS linked
      FROM job WHERE queue = p_queue AND id = ANY(p_ids) ORDER BY id COLLATE "C" FOR UPDATE
  ), checked AS (
    SELECT ended.ord,
        locked.id IS NULL OR locked.linked OR locked.state <> 'active'
          OR (ended.token <> '0' AND locked.lock_token IS DISTINCT FROM ended.token)
          OR row_number() OVER (PARTITION BY ended.id ORDER BY ended.ord) > 1
          OR ended.id = ANY(v_parents) AS alone
      FROM unnest(p_ids, p_tokens) WITH ORDINALITY AS ended(id, token, ord) LEFT JOIN locked ON locked.id = ended.id
  )
  SELECT array_agg(alone ORDER BY ord) INTO v_alone FROM checked;
  RETURN v_alone;
END;
$$;

-- Returns the code with which BullMQ refuses an end, or 0. The checks and their order are those of move_to_completed and
-- move_to_failed, which raise an error instead.
CREATE OR REPLACE FUNCTION taskloom_refusal_v1(p_queue text, p_id text, p_token text, p_failed boolean)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  v_state job_state;
  v_lock text;
BEGIN
  SELECT state, lock_token INTO v_state, v_lock FROM job WHERE queue = p_queue AND id = p_id;
  IF NOT FOUND THEN RETURN -1; END IF;
  IF v_state <> 'active' THEN RETURN -3; END IF;
  IF p_token <> '0' AND v_lock IS DISTINCT FROM p_token THEN RETURN -6; END IF;
  IF p_failed THEN RETURN 0; END IF;
  IF EXISTS (SELECT 1 FROM job_dependency WHERE parent_queue = p_queue AND parent_id = p_id AND status = 'pending') THEN
    RETURN -4;
  END IF;
  IF EXISTS (SELECT 1 FROM job_dependency WHERE parent_queue = p_queue AND parent_id = p_id AND status = 'failed') THEN
    RETURN -9;
  END IF;
  RETURN 0;
END;
$$;

-- Removes the finished jobs that the retention of a batch of ends no longer keeps. Rows that another session locks are
-- skipped: that session removes them too, or the next end does. So are parents whose children end right now, because the
-- rows of a parent's children are removed with it. The two states are named, as BullMQ's partial index has them.
CREATE OR REPLACE FUNCTION taskloom_retain_v1(
  p_queue text, p_state job_state, p_finished bigint, p_age bigint, p_count integer
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_ids text[] := '{}';
BEGIN
  IF p_age >= 0 THEN
    v_ids := ARRAY(
      SELECT id FROM job WHERE queue = p_queue AND state = p_state
          AND state IN ('completed', 'failed') AND finished_at_ms <= p_finished - p_age * 1000);
  END IF;
  IF p_count >= 0 THEN
    v_ids := v_ids || ARRAY(
      SELECT id FROM job WHERE queue = p_queue AND state = p_state AND state IN ('completed', 'failed')
        ORDER BY finished_at_ms DESC, seq DESC OFFSET p_count);
  END IF;
  IF v_ids = '{}' THEN
    RETURN;
  END IF;
  v_ids := ARRAY(
    SELECT id FROM job WHERE queue = p_queue AND id = ANY(v_ids) AND state = p_state
      AND CASE WHEN EXISTS (SELECT 1 FROM job_dependency WHERE parent_queue = job.queue AND parent_id = job.id)
        THEN pg_try_advisory_xact_lock(hashtext('bullmq:parent:' || queue || ':' || id)) ELSE true END
      FOR UPDATE SKIP LOCKED);
  DELETE FROM job WHERE queue = p_queue AND id = ANY(v_ids);
END;
$$;

-- Stores usual ends, all of which are accepted. Their terms of retention are the same for each outcome, and their times do
-- not decrease, so removing once leaves the same rows as removing after every end.
CREATE OR REPLACE FUNCTION taskloom_end_many_v1(
  p_queue text, p_ids text[], p_failed boolean[], p_results jsonb[], p_reasons text[], p_stacks jsonb[],
  p_finished bigint[], p_ages bigint[], p_counts integer[]
) RETURNS void LANGUAGE plpgsql
SET enable_nestloop = off -- The planner takes the arrays for short ones, and would compare each job with each end.
AS $$
DECLARE
  v_kind record;
BEGIN
  WITH ended AS MATERIALIZED (
    SELECT * FROM unnest(p_ids, p_failed, p_results, p_reasons, p_stacks, p_finished) WITH ORDINALITY
      AS ended(id, failed, result, reason, stack, finished, ord)
  ), stored AS (
    UPDATE job SET
        state = (CASE WHEN ended.failed THEN 'failed' ELSE 'completed' END)::job_state,
        return_value = CASE WHEN ended.failed THEN return_value ELSE ended.result END,
        failed_reason = CASE WHEN ended.failed THEN ended.reason ELSE failed_reason END,
        stacktrace = CASE WHEN ended.failed THEN COALESCE(ended.stack, stacktrace) ELSE stacktrace END,
        deferred_failure = CASE WHEN ended.failed THEN NULL ELSE deferred_failure END,
        finished_at_ms = ended.finished,
        lock_token = NULL,
        locked_until_ms = NULL,
        attempts_made = attempts_made + 1
      -- The array keeps the planner from reading the whole queue while the table has not been analyzed.
      FROM ended WHERE job.queue = p_queue AND job.id = ANY(p_ids) AND job.id = ended.id
      RETURNING ended.ord, ended.failed, ended.reason, job.id, job.return_value, job.attempts_made
  )
  INSERT INTO event (queue, event, data, created_at_ms)
    SELECT p_queue, note.event, note.data, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
      FROM stored CROSS JOIN LATERAL (
        SELECT 1 AS place, 'completed' AS event, jsonb_build_object(
            'jobId', stored.id, 'returnvalue', stored.return_value::text, 'prev', 'active') AS data
          WHERE NOT stored.failed
        UNION ALL
        SELECT 1, 'failed', jsonb_build_object('jobId', stored.id, 'failedReason', stored.reason, 'prev', 'active')
          WHERE stored.failed
        UNION ALL
        SELECT 2, 'retries-exhausted', jsonb_build_object('jobId', stored.id, 'attemptsMade', stored.attempts_made)
          WHERE stored.failed
      ) AS note
      ORDER BY stored.ord, note.place;

  FOR v_kind IN
    SELECT failed, max(finished) AS finished, max(age) AS age, max(count) AS count
      FROM unnest(p_failed, p_finished, p_ages, p_counts) AS ended(failed, finished, age, count) GROUP BY failed
  LOOP
    PERFORM taskloom_retain_v1(p_queue,
      (CASE WHEN v_kind.failed THEN 'failed' ELSE 'completed' END)::job_state,
      v_kind.finished, v_kind.age, v_kind.count);
  END LOOP;

  IF NOT EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND state = 'active')
    AND (EXISTS (SELECT 1 FROM meta WHERE queue = p_queue AND field = 'paused' AND value = '1')
      OR NOT EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND state = 'waiting'))
  THEN
    PERFORM publish_event(p_queue, 'drained', '{}'::jsonb);
  END IF;
END;
$$;

-- Stores an unusual end, which is accepted, through BullMQ's own function. Its retention waits for the rows of others, which
-- deadlocks between sessions that hold many rows, so ours takes its place. The order matters only if a submission that is
-- kept until this job ends has the id of a job that the retention removes.
CREATE OR REPLACE FUNCTION taskloom_end_one_v1(
  p_queue text, p_id text, p_token text, p_failed boolean, p_result jsonb, p_reason text, p_stack jsonb,
  p_finished bigint, p_age bigint, p_count integer
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_first boolean := EXISTS (
    SELECT 1 FROM job AS ended
      JOIN dedup_next AS kept ON kept.queue = p_queue AND kept.dedup_id = ended.dedup_id
      JOIN job AS same ON same.queue = p_queue AND same.id = kept.payload ->> 'jobId'
      WHERE ended.queue = p_queue AND ended.id = p_id);
  v_age bigint := CASE WHEN v_first THEN p_age END;
  v_count integer := CASE WHEN v_first THEN p_count END;
BEGIN
  IF p_failed THEN
    PERFORM move_to_failed(p_queue, p_id, p_token, p_reason, p_stack, p_finished, false, v_age, v_count);
  ELSE
    PERFORM move_to_completed(p_queue, p_id, p_token, p_result, p_finished, false, v_age, v_count);
  END IF;
  IF NOT v_first THEN
    PERFORM taskloom_retain_v1(p_queue, (CASE WHEN p_failed THEN 'failed' ELSE 'completed' END)::job_state,
      p_finished, p_age, p_count);
  END IF;
END;
$$;

-- Stores ends in their order, and returns for each the code of its refusal, or 0. Ends that follow each other are stored
-- together if they are usual and in the same group; a group has one retention for each outcome.
CREATE OR REPLACE FUNCTION taskloom_end_v1(
  p_queue text, p_ids text[], p_tokens text[], p_failed boolean[], p_results jsonb[], p_reasons text[],
  p_stacks jsonb[], p_finished bigint[], p_ages bigint[], p_counts integer[], p_groups integer[], p_points integer
) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
  v_count integer := COALESCE(array_length(p_ids, 1), 0);
  v_codes integer[] := array_fill(0, ARRAY[v_count]);
  v_alone boolean[];
  v_at integer := 1;
  v_to integer;
BEGIN
  v_alone := taskloom_lock_ends_v1(p_queue, p_ids, p_tokens, p_failed);
  WHILE v_at <= v_count LOOP
    v_to := v_at;
    IF v_alone[v_at] THEN
      v_codes[v_at] := taskloom_refusal_v1(p_queue, p_ids[v_at], p_tokens[v_at], p_failed[v_at]);
      IF v_codes[v_at] = 0 THEN
        PERFORM taskloom_end_one_v1(p_queue, p_ids[v_at], p_tokens[v_at], p_failed[v_at], p_results[v_at],
          p_reasons[v_at], p_stacks[v_at], p_finished[v_at], p_ages[v_at], p_counts[v_at]);
      END IF;
    ELSE
      WHILE v_to < v_count AND NOT v_alone[v_to + 1] AND p_groups[v_to + 1] = p_groups[v_at] LOOP
        v_to := v_to + 1;
      END LOOP;
      PERFORM taskloom_end_many_v1(p_queue, p_ids[v_at:v_to], p_failed[v_at:v_to], p_results[v_at:v_to],
        p_reasons[v_at:v_to], p_stacks[v_at:v_to], p_finished[v_at:v_to], p_ages[v_at:v_to], p_counts[v_at:v_to]);
    END IF;
    v_at := v_to + 1;
  END LOOP;
  IF p_points > 0 THEN
    FOR v_at IN 1 .. v_count LOOP
      IF v_codes[v_at] = 0 THEN
        PERFORM collect_metrics(p_queue, CASE WHEN p_failed[v_at] THEN 'failed' ELSE 'completed' END, p_points,
          p_finished[v_at]);
      END IF;
    END LOOP;
  END IF;
  RETURN v_codes;
END;
$$;
`;
