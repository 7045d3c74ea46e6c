import { SETTINGS } from "./run-functions.ts";

/**
 * The function of the append to one run: a run whose steps follow each other has no others to share a statement with. A
 * usual append is two simple statements, and its answer is NULL, which costs half of what `taskloom_append_v1` costs for
 * one run. Every other append, and every answer with news, is that of `taskloom_run_append_v1`.
 */
export const APPEND_ONE_FUNCTION: string = `
CREATE FUNCTION taskloom_append_one_v1(p_queue text, p_id text, p_epoch integer, p_generation integer, p_at integer,
  p_consume bigint, p_known bigint, p_view text, p_entries text[])
RETURNS taskloom_append_answer
${SETTINGS}
AS $$
BEGIN
  IF p_view IS NULL AND p_entries <> '{}' THEN
    PERFORM 1 FROM taskloom_run WHERE queue = p_queue AND id = p_id FOR NO KEY UPDATE;
    INSERT INTO taskloom_log SELECT p_queue, p_id, p_generation, p_at + added.place - 1, added.entry
      FROM taskloom_run AS run, unnest(p_entries) WITH ORDINALITY AS added(entry, place)
      WHERE run.queue = p_queue AND run.id = p_id AND run.epoch = p_epoch AND run.generation = p_generation
        AND run.owner IS NOT NULL AND run.deaths = 0 AND run.consumed = p_consume AND run.delivered = run.consumed
        AND EXISTS (SELECT FROM job
          WHERE queue = p_queue AND id = p_id AND finished_at_ms IS NULL AND added_at_ms = run.born)
        AND p_at = COALESCE((SELECT log.seq + 1 FROM taskloom_log AS log
          WHERE log.queue = p_queue AND log.id = p_id AND log.generation = p_generation ORDER BY log.seq DESC LIMIT 1), 0);
    IF FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
  RETURN taskloom_run_append_v1(p_queue, p_id, p_epoch, p_generation, p_at, p_consume, p_known, p_view, p_entries);
END;
$$;
`;
