import { CancelledError } from "@taskloom/loop";
import type { Engine, StoredJob } from "../engines/engine.ts";
import type { BullJob } from "../engines/lane-queue.ts";
import { FlowChildFailedError, JobLostError } from "../errors.ts";
import { laneOfJobId, laneQueueName } from "../lane.ts";
import type { FlowData } from "../wire/job-data.ts";
import { openOutcome, outcomeOf } from "../wire/outcome.ts";

/** What the children of a flow's parent came to. */
export interface ChildOutcomes {
  /** Their values in order, and errors in their places. */
  readonly results: readonly unknown[];
  /** Why the parent is cancelled: a child of it was, and it did not ask for exceptions. */
  readonly cancelled: string | undefined;
}

/** Reads what the children of a flow's parent gave. */
export async function childOutcomes(engine: Engine, job: BullJob, flow: FlowData): Promise<ChildOutcomes> {
  const stored = await lookAtChildren(engine, flow);
  // Where a child's record has been removed by its age, what BullMQ gave its parent is still there.
  const values = stored.some(({ kind }) => kind === "missing") ? await job.getChildrenValues() : {};
  let cancelled: string | undefined;
  const results = stored.map((child, index) => {
    const id = flow.children[index] as string;
    const opened = openOutcome(outcomeOfChild(child, id, values));
    if (!("error" in opened)) return opened.value;
    if (opened.error instanceof CancelledError)
      cancelled ??= opened.error.message || `child ${id} was cancelled`;
    return opened.error;
  });
  return { results, cancelled: flow.returnExceptions === true ? undefined : cancelled };
}

function outcomeOfChild(
  child: StoredJob,
  id: string,
  values: Record<string, unknown>,
): ReturnType<typeof outcomeOf> {
  if (child.kind === "finished") return outcomeOf(child.record);
  const key = Object.keys(values).find((each) => each.endsWith(`:${id}`));
  if (key === undefined)
    throw new JobLostError(
      `The result of child ${id} was removed before its parent ran; keep it for longer.`,
    );
  return outcomeOf({ failed: false, returnvalue: values[key], failedReason: undefined, stacktrace: [] });
}

/** The error of a parent that BullMQ failed for a child's sake, with the child's own as its cause. */
export async function childFailure(
  engine: Engine,
  { id, name, data }: BullJob,
  reason: string,
): Promise<Error> {
  const { flow } = data;
  if (flow === undefined) return new FlowChildFailedError(reason);
  const stored = await lookAtChildren(engine, flow);
  const at = stored.findIndex((child) => child.kind === "finished" && child.record.failed);
  const child = stored[at];
  if (child?.kind !== "finished") return new FlowChildFailedError(reason);
  const opened = openOutcome(outcomeOf(child.record));
  const cause = "error" in opened ? opened.error : undefined;
  const message = cause instanceof Error ? cause.message : reason;
  return new FlowChildFailedError(
    `Job ${id} (${name}) cannot run: its child ${flow.children[at]} failed (${message}). Retry the child, and submit the flow again.`,
    { cause },
  );
}

async function lookAtChildren(engine: Engine, { queue, children }: FlowData): Promise<StoredJob[]> {
  const stored: StoredJob[] = Array.from({ length: children.length }, () => ({ kind: "missing" }));
  for (const lane of ["loop", "thread"] as const) {
    const places = [...children.keys()].filter((at) => laneOfJobId(children[at] as string) === lane);
    if (places.length === 0) continue;
    const found = await engine.look(
      laneQueueName(queue, lane),
      places.map((at) => children[at] as string),
    );
    for (const [index, at] of places.entries()) stored[at] = found[index] as StoredJob;
  }
  return stored;
}
