/** The function that adds jobs: BullMQ's add_job, for many jobs. */
export const ADD_FUNCTION = `
-- Adds jobs in their order, and returns their ids in that order. Jobs without a parent and without deduplication are stored
-- together; if there is any other job, BullMQ's own function adds them one by one.
CREATE OR REPLACE FUNCTION taskloom_add_v1(
  p_queue text, p_ids text[], p_names text[], p_data jsonb[], p_opts jsonb[], p_priorities integer[], p_delays bigint[],
  p_times bigint[], p_attempts integer[], p_parent_queues text[], p_parent_ids text[], p_parent_keys text[],
  p_dedup_ids text[], p_scheduler_ids text[], p_lifo boolean[]
) RETURNS TABLE (ids text[], codes integer[])
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
  v_count integer := COALESCE(array_length(p_ids, 1), 0);
  v_seq_name text := job_id_seq_name(p_queue);
  v_ids text[];
  v_codes integer[];
  v_detail text;
  v_stored boolean;
  v_before bigint;
  v_key integer;
BEGIN
  v_ids := array_fill(NULL::text, ARRAY[v_count]);
  v_codes := array_fill(0, ARRAY[v_count]);
  -- Locks are taken before the first write, in the order of their keys, so two additions cannot wait for each other.
  FOR v_key IN
    SELECT DISTINCT hashtext(q) FROM unnest(p_parent_queues || p_queue) AS queues(q) WHERE q IS NOT NULL ORDER BY 1
  LOOP
    PERFORM pg_advisory_xact_lock_shared(hashtext('bullmq:finalization'), v_key);
  END LOOP;
  IF EXISTS (
    SELECT 1 FROM unnest(p_parent_ids, p_dedup_ids) AS added(parent_id, dedup_id)
      WHERE parent_id IS NOT NULL OR dedup_id <> ''
  ) THEN
    FOR v_key IN
      SELECT DISTINCT hashtext('bullmq:dedup:' || p_queue || ':' || id)
        FROM unnest(p_dedup_ids) AS dedup(id) WHERE id <> '' ORDER BY 1
    LOOP
      PERFORM pg_advisory_xact_lock(v_key);
    END LOOP;
    FOR n IN 1 .. v_count LOOP
      BEGIN
        v_ids[n] := add_job(p_queue, p_ids[n], p_names[n], p_data[n], p_opts[n], p_priorities[n],
          p_delays[n], p_times[n], p_attempts[n], p_parent_queues[n], p_parent_ids[n], p_parent_keys[n],
          p_dedup_ids[n], p_scheduler_ids[n], p_lifo[n]);
      EXCEPTION WHEN SQLSTATE 'BM001' THEN -- A parent that is missing, or another one.
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
        v_codes[n] := v_detail::integer;
      END;
    END LOOP;
    RETURN QUERY SELECT v_ids, v_codes;
    RETURN;
  END IF;

  SELECT last_value INTO v_before FROM event_seq;
  IF '' = ANY(p_ids) AND to_regclass(v_seq_name) IS NULL THEN
    PERFORM pg_advisory_xact_lock(hashtext('bullmq:jidseq:' || p_queue));
    EXECUTE format('CREATE SEQUENCE IF NOT EXISTS %I', v_seq_name);
  END IF;
  WITH numbered AS MATERIALIZED (
    SELECT ord,
        CASE WHEN id = '' THEN nextval(v_seq_name::regclass)::text ELSE id END AS id,
        nextval('job_seq') AS seq,
        name, data, opts, priority, delay, time, attempts, scheduler_id, lifo
      FROM unnest(p_ids, p_names, p_data, p_opts, p_priorities, p_delays, p_times, p_attempts, p_scheduler_ids, p_lifo)
        WITH ORDINALITY AS added(id, name, data, opts, priority, delay, time, attempts, scheduler_id, lifo, ord)
  ), stored AS (
    INSERT INTO job (queue, id, seq, name, state, data, opts, priority, delay_ms, max_attempts, added_at_ms,
        process_at_ms, scheduler_id)
      SELECT p_queue, id, CASE WHEN lifo THEN -seq ELSE seq END, name,
          (CASE WHEN delay > 0 THEN 'delayed' ELSE 'waiting' END)::job_state,
          data, opts, priority, delay, attempts, time,
          CASE WHEN delay > 0 THEN time + delay END, scheduler_id
        FROM numbered ORDER BY ord
      ON CONFLICT (queue, id) DO NOTHING
      RETURNING id, state, process_at_ms, abs(seq) AS seq
  ), noted AS (
    INSERT INTO event (queue, event, data, created_at_ms)
      SELECT p_queue, note.event, note.data, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
        FROM numbered LEFT JOIN stored USING (id, seq) CROSS JOIN LATERAL (
          SELECT 1 AS place, 'added' AS event, jsonb_build_object('jobId', numbered.id, 'name', name) AS data
            WHERE stored.id IS NOT NULL
          UNION ALL
          SELECT 2, 'waiting', jsonb_build_object('jobId', numbered.id) WHERE stored.state = 'waiting'
          UNION ALL
          SELECT 2, 'delayed', jsonb_build_object('jobId', numbered.id, 'delay', stored.process_at_ms)
            WHERE stored.state = 'delayed'
          UNION ALL
          SELECT 1, 'duplicated', jsonb_build_object('jobId', numbered.id) WHERE stored.id IS NULL
        ) AS note
        ORDER BY numbered.ord, note.place
  )
  SELECT array_agg(numbered.id ORDER BY ord), EXISTS (SELECT 1 FROM stored) INTO v_ids, v_stored FROM numbered;
  IF v_stored THEN
    PERFORM pg_notify('bullmq_jobs', p_queue);
  END IF;
  PERFORM taskloom_announce_v1(p_queue, v_before);
  RETURN QUERY SELECT v_ids, v_codes;
END;
$$;
`;
