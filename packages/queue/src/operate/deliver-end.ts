import type { Engine } from "../contract/engine.ts";
import type { EndDelivery } from "../contract/lane-driver.ts";
import { untilAnswered } from "../contract/transient.ts";
import type { JobData } from "../wire/job-data.ts";
import type { Outcome } from "../wire/outcome.ts";
import { isPlainText } from "../wire/plain-text.ts";

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

/** Returns the delivery of the end of a job to the durable run that has submitted it; undefined for any other job. */
export function endDelivery({ run }: Pick<JobData, "run">, outcome: Outcome): EndDelivery | undefined {
  if (run === undefined) return undefined;
  const { lane, id, n, generation = 0 } = run;
  // Another client can have stored any value, and the end must not be refused for it.
  if (!isName(lane) || !isName(id) || !Number.isSafeInteger(n) || !Number.isSafeInteger(generation))
    return undefined;
  return {
    lane,
    id,
    item: JSON.stringify(endItem(n, outcome, generation)),
    key: generation === 0 ? `end:${n}` : `end:${n}:${generation}`,
  };
}

function isName(value: unknown): boolean {
  return typeof value === "string" && isPlainText(value);
}

/**
 * Delivers the end of a job to the durable run that has submitted it, if the step that stored the end did not. If this
 * process dies in between, or the inbox is full, the run finds the end by itself when it reads the states of its jobs. A run
 * that is gone needs none.
 *
 * @param isWanted returns whether to repeat the command while the engine does not answer.
 */
export async function deliverEnd(
  engine: Engine,
  data: Pick<JobData, "run">,
  outcome: Outcome,
  isWanted: () => boolean = () => true,
): Promise<void> {
  const delivery = endDelivery(data, outcome);
  if (delivery === undefined) return;
  const { lane, id, item, key } = delivery;
  await untilAnswered(engine, () => engine.journal.deliver(lane, id, [item], key), isWanted);
}
