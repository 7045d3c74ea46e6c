/** The function that claims jobs: BullMQ's move_to_active, for many jobs. */
export const CLAIM_FUNCTIONS = `
-- Moves the delayed jobs that are due to the waiting ones. Rows that another session locks are left to the next turn.
CREATE OR REPLACE FUNCTION taskloom_promote_v1(p_queue text, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_ids text[];
BEGIN
  v_ids := ARRAY(
    SELECT id FROM job WHERE queue = p_queue AND state = 'delayed' AND process_at_ms <= p_now FOR UPDATE SKIP LOCKED);
  IF v_ids = '{}' THEN
    RETURN;
  END IF;
  WITH promoted AS (
    UPDATE job SET state = 'waiting', delay_ms = 0 WHERE queue = p_queue AND id = ANY(v_ids)
      RETURNING id, process_at_ms, seq
  )
  INSERT INTO event (queue, event, data, created_at_ms)
    SELECT p_queue, 'waiting', jsonb_build_object('jobId', id, 'prev', 'delayed'),
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint
      FROM promoted ORDER BY process_at_ms, abs(seq);
END;
$$;

-- Returns the jobs that are claimed, in the order of the claims.
CREATE OR REPLACE FUNCTION taskloom_claim_v1(
  p_queue text, p_count integer, p_token text, p_lock_ms bigint, p_now bigint, p_worker text,
  p_limit integer, p_limit_time bigint
) RETURNS SETOF job LANGUAGE plpgsql AS $$
DECLARE
  v_concurrency integer;
  v_room integer := p_count;
  v_claimed integer := 0;
  v_ids text[];
BEGIN
  PERFORM taskloom_promote_v1(p_queue, p_now);
  IF EXISTS (SELECT 1 FROM meta WHERE queue = p_queue AND field = 'paused' AND value = '1') THEN
    RETURN;
  END IF;

  -- A limit counts single jobs in a row of its own, so a limited queue uses BullMQ's function, job by job.
  IF p_limit IS NOT NULL
    OR EXISTS (SELECT 1 FROM meta WHERE queue = p_queue AND field = 'max' AND value IS NOT NULL)
  THEN
    WHILE v_claimed < p_count LOOP
      RETURN QUERY SELECT * FROM move_to_active(p_queue, p_token, p_lock_ms, p_now, p_worker,
        p_limit, p_limit_time);
      EXIT WHEN NOT FOUND;
      v_claimed := v_claimed + 1;
    END LOOP;
    RETURN;
  END IF;

  SELECT value::integer INTO v_concurrency FROM meta WHERE queue = p_queue AND field = 'concurrency';
  IF v_concurrency IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(hashtext('bullmq:concurrency:' || p_queue));
    SELECT LEAST(p_count, v_concurrency - count(*)) INTO v_room FROM job WHERE queue = p_queue AND state = 'active';
  END IF;
  IF v_room <= 0 THEN
    RETURN;
  END IF;

  v_ids := ARRAY(
    SELECT id FROM job WHERE queue = p_queue AND state = 'waiting'
      ORDER BY priority, seq LIMIT v_room FOR UPDATE SKIP LOCKED);
  IF v_ids = '{}' THEN
    RETURN;
  END IF;
  RETURN QUERY
    WITH claimed AS (
      UPDATE job SET
          state = 'active',
          lock_token = p_token,
          locked_until_ms = p_now + p_lock_ms,
          processed_at_ms = p_now,
          processed_by = p_worker,
          attempts_started = attempts_started + 1
        WHERE queue = p_queue AND id = ANY(v_ids)
        RETURNING *
    ), told AS (
      INSERT INTO event (queue, event, data, created_at_ms)
        SELECT p_queue, 'active', jsonb_build_object('jobId', id, 'prev', 'waiting'),
            (extract(epoch FROM clock_timestamp()) * 1000)::bigint
          FROM claimed ORDER BY priority, seq
    )
    SELECT * FROM claimed ORDER BY priority, seq;
END;
$$;
`;
