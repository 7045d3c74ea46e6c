import { SETTINGS } from "./run-functions.ts";

/**
 * The function of appends: one statement and one commit for many runs. Usual appends, which only add entries to the log of a
 * run whose inbox is empty, are stored together.
 */
export const APPEND_FUNCTIONS: string = `
CREATE TYPE taskloom_append_answer AS (
  kind integer, generation integer, length integer, last text, consumed bigint, unread bigint, inbox text[]);

-- Appends to one run. The kinds of answers: 0 is ok, 1 is short, 2 is lost.
CREATE FUNCTION taskloom_run_append_v1(p_queue text, p_id text, p_epoch integer, p_generation integer, p_at integer,
  p_consume bigint, p_known bigint, p_view text, p_entries text[])
RETURNS taskloom_append_answer LANGUAGE plpgsql AS $$
DECLARE
  v_count integer := COALESCE(array_length(p_entries, 1), 0);
  v_job record;
  v_run taskloom_run;
  v_length integer;
  v_last text;
  v_repeat boolean := false;
  v_consumed bigint;
  v_unread bigint;
BEGIN
  SELECT added_at_ms, finished_at_ms, lock_token INTO v_job FROM job WHERE queue = p_queue AND id = p_id;
  IF NOT FOUND THEN
    RETURN ROW(2, NULL, NULL, NULL, NULL, NULL, NULL)::taskloom_append_answer;
  END IF;
  v_run := taskloom_run_lock_v1(p_queue, p_id, v_job.added_at_ms);
  IF p_epoch < v_run.epoch OR p_generation < v_run.generation THEN
    RETURN ROW(2, NULL, NULL, NULL, NULL, NULL, NULL)::taskloom_append_answer;
  END IF;
  v_length := taskloom_run_length_v1(p_queue, p_id, v_run.generation);
  IF p_generation = v_run.generation AND v_count > 0 AND p_at < v_length THEN
    v_repeat := p_entries[v_count] IS NOT DISTINCT FROM (SELECT entry FROM taskloom_log
      WHERE queue = p_queue AND id = p_id AND generation = p_generation AND seq = p_at + v_count - 1);
  END IF;
  IF NOT v_repeat THEN
    IF v_job.finished_at_ms IS NOT NULL OR (p_generation = v_run.generation AND p_at < v_length) THEN
      RETURN ROW(2, NULL, NULL, NULL, NULL, NULL, NULL)::taskloom_append_answer;
    END IF;
    IF p_epoch > v_run.epoch OR v_run.owner IS NULL THEN
      UPDATE taskloom_run SET epoch = p_epoch, owner = COALESCE(owner, v_job.lock_token, '?')
        WHERE queue = p_queue AND id = p_id;
    END IF;
    IF p_generation > v_run.generation OR p_at > v_length THEN
      SELECT entry INTO v_last FROM taskloom_log
        WHERE queue = p_queue AND id = p_id AND generation = v_run.generation AND seq = v_length - 1;
      RETURN ROW(1, v_run.generation, v_length, v_last, v_run.consumed, v_run.delivered - v_run.consumed,
        taskloom_run_items_v1(p_queue, p_id, v_run.consumed))::taskloom_append_answer;
    END IF;
    INSERT INTO taskloom_log SELECT p_queue, p_id, p_generation, p_at + ord - 1, entry
      FROM unnest(p_entries) WITH ORDINALITY AS added(entry, ord);
    IF p_view IS NOT NULL OR (v_run.deaths > 0 AND (v_count > 0 OR p_consume > v_run.consumed)) THEN
      UPDATE taskloom_run SET view = COALESCE(p_view, view), deaths = 0 WHERE queue = p_queue AND id = p_id;
    END IF;
  END IF;
  v_consumed := taskloom_run_consume_v1(v_run, p_consume);
  v_unread := GREATEST(v_run.delivered - v_consumed, 0);
  RETURN ROW(0, NULL, NULL, NULL, NULL, v_unread, CASE WHEN v_unread = 0 THEN '{}'
    ELSE taskloom_run_items_v1(p_queue, p_id, GREATEST(p_known, v_consumed)) END)::taskloom_append_answer;
END;
$$;

-- The entries of all appends are in p_entries, each with the number of its append.
CREATE FUNCTION taskloom_append_v1(p_queue text, p_ids text[], p_epochs integer[], p_generations integer[],
  p_ats integer[], p_consumes bigint[], p_knowns bigint[], p_views text[], p_owners integer[], p_entries text[])
RETURNS TABLE (ord integer, kind integer, generation integer, length integer, last text, consumed bigint, unread bigint,
  inbox text[])
${SETTINGS}
AS $$
#variable_conflict use_column
DECLARE
  v_usual integer[] := '{}';
  v_at integer;
BEGIN
  PERFORM 1 FROM taskloom_run WHERE queue = p_queue AND id = ANY(p_ids) ORDER BY id COLLATE "C" FOR NO KEY UPDATE;
  IF (SELECT count(DISTINCT id) FROM unnest(p_ids) AS id) = array_length(p_ids, 1) THEN
    v_usual := ARRAY(
      SELECT added.ord::integer
        FROM unnest(p_ids, p_epochs, p_generations, p_ats, p_consumes, p_views) WITH ORDINALITY
            AS added(id, epoch, generation, at, consume, view, ord)
          -- OFFSET keeps these a look by the key. The plan is made while the tables are small, when to read all runs of the
          -- queue for each append looks as cheap, and it stays when they have grown.
          CROSS JOIN LATERAL (SELECT * FROM taskloom_run WHERE queue = p_queue AND id = added.id OFFSET 0) AS run
          CROSS JOIN LATERAL (SELECT finished_at_ms, added_at_ms FROM job
            WHERE queue = p_queue AND id = added.id OFFSET 0) AS job
        WHERE job.finished_at_ms IS NULL AND run.born = job.added_at_ms
          AND run.epoch = added.epoch AND run.generation = added.generation
          AND run.owner IS NOT NULL AND run.deaths = 0 AND added.view IS NULL
          AND run.consumed = added.consume AND run.delivered = run.consumed
          AND added.at = (SELECT COALESCE(max(log.seq) + 1, 0) FROM taskloom_log AS log
            WHERE log.queue = p_queue AND log.id = added.id AND log.generation = added.generation));
  END IF;
  IF v_usual <> '{}' THEN
    INSERT INTO taskloom_log
      SELECT p_queue, added.id, added.generation,
          added.at + row_number() OVER (PARTITION BY added.ord ORDER BY entry.place) - 1, entry.entry
        FROM unnest(p_ids, p_generations, p_ats) WITH ORDINALITY AS added(id, generation, at, ord)
          JOIN unnest(p_owners, p_entries) WITH ORDINALITY AS entry(owner, entry, place) ON entry.owner = added.ord
        WHERE added.ord = ANY(v_usual);
    RETURN QUERY SELECT usual, 0, 0, 0, NULL::text, 0::bigint, 0::bigint, '{}'::text[] FROM unnest(v_usual) AS usual;
  END IF;
  IF cardinality(v_usual) = cardinality(p_ids) THEN
    RETURN;
  END IF;
  FOR v_at IN SELECT rest FROM generate_series(1, array_length(p_ids, 1)) AS rest WHERE rest <> ALL(v_usual)
    ORDER BY p_ids[rest] COLLATE "C", rest
  LOOP
    RETURN QUERY SELECT v_at, answer.* FROM taskloom_run_append_v1(p_queue, p_ids[v_at], p_epochs[v_at],
      p_generations[v_at], p_ats[v_at], p_consumes[v_at], p_knowns[v_at], p_views[v_at],
      ARRAY(SELECT entry FROM unnest(p_owners, p_entries) WITH ORDINALITY AS entry(owner, entry, place)
        WHERE entry.owner = v_at ORDER BY place)) AS answer;
  END LOOP;
END;
$$;
`;
