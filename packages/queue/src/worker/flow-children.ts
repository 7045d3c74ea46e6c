import { CancelledError } from "@taskloom/loop";
import type { Engine } from "../contract/engine.ts";
import type { StoredJob } from "../contract/stored-job.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { FlowChildFailedError, JobLostError } from "../errors.ts";
import { laneOfJobId, laneQueueName, lanes } from "../contract/lane.ts";
import type { FlowData } from "../wire/job-data.ts";
import { StoredFailure, openOutcome, outcomeOf, outcomeOfResult } from "../wire/outcome.ts";
import type { Outcome } from "../wire/outcome.ts";

/** The outcomes of the children of a flow's parent. */
export interface ChildOutcomes {
  /** The values of the children in order, with an error in place of each missing value. */
  readonly results: readonly unknown[];
  /** The reason for which the parent is cancelled: a child was cancelled, and the flow has no `returnExceptions`. */
  readonly cancelled: string | undefined;
}

/**
 * Reads the outcomes of the children of a flow's parent.
 *
 * @throws {@link StoredFailure} if a child failed, and the flow has no `returnExceptions`. BullMQ itself fails the parent
 *   of a failed child, except for a parent that is retried or that was added again after the engine had lost the flow.
 */
export async function childOutcomes(engine: Engine, job: BullJob, flow: FlowData): Promise<ChildOutcomes> {
  const outcomes = flow.outcomes ?? (await storedOutcomes(engine, job, flow));
  let cancelled: string | undefined;
  const results = flow.children.map((id, index) => {
    const opened = openOutcome(outcomes[index]);
    if (!("error" in opened)) return opened.value;
    const { error } = opened;
    if (flow.returnExceptions === true) return error;
    if (!(error instanceof CancelledError))
      throw new StoredFailure(childFailed(job, id, error), { final: true });
    cancelled ??= error.message || `child ${id} was cancelled`;
    return error;
  });
  return { results, cancelled };
}

async function storedOutcomes(engine: Engine, job: BullJob, flow: FlowData): Promise<Outcome[]> {
  const stored = await readChildren(engine, flow);
  // If the record of a child was removed after its retention, the parent still has the child's result.
  const values = stored.some(({ kind }) => kind === "missing") ? await job.getChildrenValues() : {};
  return stored.map((child, index) => outcomeOfChild(child, flow.children[index]!, values));
}

function outcomeOfChild(child: StoredJob, id: string, values: Record<string, unknown>): Outcome {
  if (child.kind === "finished") return outcomeOf(child.record);
  const key = Object.keys(values).find((each) => each.endsWith(`:${id}`));
  if (key === undefined)
    throw new JobLostError(`The result of child ${id} was removed before its parent ran; raise its \`keep\``);
  return outcomeOfResult(values[key]);
}

/** Returns the error of a parent that BullMQ failed for a failed child, with the error of the child as its cause. */
export async function childFailure(engine: Engine, job: BullJob, reason: string): Promise<Error> {
  const { flow } = job.data;
  if (flow === undefined) return new FlowChildFailedError(reason);
  const stored = await readChildren(engine, flow);
  const at = stored.findIndex((child) => child.kind === "finished" && child.record.failed);
  const child = stored[at];
  if (child?.kind !== "finished") return new FlowChildFailedError(reason);
  const opened = openOutcome(outcomeOf(child.record));
  return childFailed(job, flow.children[at]!, "error" in opened ? opened.error : undefined);
}

function childFailed({ id, name }: BullJob, child: string, cause: unknown): FlowChildFailedError {
  const why = cause instanceof Error ? ` (${cause.message})` : "";
  return new FlowChildFailedError(
    `Job ${id} (${name}) cannot run, since its child ${child} failed${why}. Retry the child, and submit the flow again`,
    { cause },
  );
}

async function readChildren(engine: Engine, { queue, children }: FlowData): Promise<StoredJob[]> {
  const stored: StoredJob[] = Array.from({ length: children.length }, () => ({ kind: "missing" }));
  for (const lane of lanes) {
    const places = [...children.keys()].filter((at) => laneOfJobId(children[at]!) === lane);
    if (places.length === 0) continue;
    const found = await engine.lookup(
      laneQueueName(queue, lane),
      places.map((at) => children[at]!),
    );
    for (const [index, at] of places.entries()) stored[at] = found[index]!;
  }
  return stored;
}
