import type { Engine } from "../contract/engine.ts";
import { untilAnswered } from "../contract/transient.ts";
import type { JobData } from "../wire/job-data.ts";
import type { Outcome } from "../wire/outcome.ts";

/** The states of an end in the inbox of a run. */
const STATES = { completed: 0, failed: 1, cancelled: 2 } as const;

/** An end in the inbox of a run. */
export type EndItem = readonly [n: number, state: 0 | 1 | 2, value: unknown, generation?: number];

/**
 * Returns the item that an end is in the inbox of a run: the number of the command, the state, the value, and the history
 * that has submitted the job, unless it is the first one. Numbers begin anew in each history.
 */
export function endItem(n: number, outcome: Outcome, generation = 0): EndItem {
  const state = STATES[outcome.state];
  return generation === 0 ? [n, state, valueOf(outcome)] : [n, state, valueOf(outcome), generation];
}

function valueOf(outcome: Outcome): unknown {
  if (outcome.state === "completed") return outcome.value ?? null;
  return outcome.state === "failed" ? outcome.error : (outcome.message ?? null);
}

/**
 * Delivers the end of a job to the durable run that has submitted it. The end is stored before. If this process dies in
 * between, or the inbox is full, the run finds the end by itself when it reads the states of its jobs. A run that is gone needs none.
 *
 * @param isWanted returns whether to repeat the command while the engine does not answer.
 */
export async function deliverEnd(
  engine: Engine,
  { run }: Pick<JobData, "run">,
  outcome: Outcome,
  isWanted: () => boolean = () => true,
): Promise<void> {
  // Another client can have stored any value.
  if (run === undefined || typeof run.id !== "string" || typeof run.lane !== "string") return;
  const { lane, id, n, generation = 0 } = run;
  const item = JSON.stringify(endItem(n, outcome, generation));
  const key = generation === 0 ? `end:${n}` : `end:${n}:${generation}`;
  await untilAnswered(engine, () => engine.journal.deliver(lane, id, [item], key), isWanted);
}
