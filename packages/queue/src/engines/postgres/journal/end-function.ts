import { SETTINGS } from "./run-functions.ts";

/**
 * The function that stores the ends of runs and delivers them to the durable runs that wait, in one transaction.
 *
 * @remarks
 * It calls the function of the turn without a claim, and then that of a delivery. The rows of several runs are locked by the
 * bytes of the names of their lanes and ids, as appends do. The claim of the same turn follows in the same statement, after
 * all deliveries: a turn never waits for the row of a run while it holds the rows of claimed jobs.
 *
 * An error of a delivery undoes all deliveries of the turn, and no end. The caller then delivers each by itself.
 */
export const END_FUNCTION: string = `
CREATE FUNCTION taskloom_run_end_v1(p_queue text, p_ids text[], p_tokens text[], p_failed boolean[], p_results jsonb[],
  p_reasons text[], p_stacks jsonb[], p_finished bigint[], p_ages bigint[], p_counts integer[], p_groups integer[],
  p_points integer, p_claim integer, p_now bigint, p_ends integer[], p_lanes text[], p_runs text[], p_keys text[],
  p_items text[], p_channel text)
RETURNS TABLE (end_codes integer[], delivered integer[], claim integer)
${SETTINGS}
AS $$
DECLARE
  v_at integer;
BEGIN
  SELECT turn.codes INTO end_codes FROM taskloom_turn_v1(p_queue, p_ids, p_tokens, p_failed, p_results, p_reasons,
    p_stacks, p_finished, p_ages, p_counts, p_groups, p_points, 0, NULL, NULL, p_now, NULL, NULL, NULL) AS turn;
  delivered := '{}';
  BEGIN
    FOR v_at IN
      SELECT ord FROM unnest(p_ends, p_lanes, p_runs) WITH ORDINALITY AS ended(place, lane, run, ord)
        WHERE end_codes[place] = 0 ORDER BY lane COLLATE "C", run COLLATE "C", ord
    LOOP
      PERFORM taskloom_run_deliver_v1(p_lanes[v_at], p_runs[v_at], ARRAY[p_items[v_at]], p_keys[v_at], p_channel);
      delivered := delivered || p_ends[v_at];
    END LOOP;
  EXCEPTION WHEN OTHERS THEN
    delivered := '{}';
  END;
  claim := p_claim;
  RETURN NEXT;
END;
$$;
`;
