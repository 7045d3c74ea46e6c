import type { Lane } from "@taskloom/queue";
import { lanes, pages } from "@taskloom/queue/operating";
import type { CleanedState, RateLimit } from "@taskloom/queue/operating";
import { EXIT_CODES, usageFailure } from "../errors/cli-failure.ts";
import { countAll } from "../operations/operations.ts";
import type { LimitsView, QueueView } from "../operations/operations.ts";
import { duration } from "../terminal/duration.ts";
import { Styled, out, printJson } from "../terminal/output.ts";
import { tableText } from "../terminal/table.ts";
import { withOperations } from "./open-operations.ts";
import type { OperatorFlags } from "./open-operations.ts";
import { showView } from "./shown-view.ts";
import type { WatchFlags } from "./shown-view.ts";

/** Runs `taskloom queues [--pause NAME | --resume NAME]`. */
export async function queuesCommand(
  flags: WatchFlags & { readonly pause?: string; readonly resume?: string },
): Promise<number> {
  let { pause, resume } = flags;
  return await showView(flags, "taskloom queues", async ({ operations }) => {
    // A watch changes the queue once.
    if (pause !== undefined) await operations.pause(pause, true);
    if (resume !== undefined) await operations.pause(resume, false);
    pause = resume = undefined;
    const queues = await operations.queues();
    return { json: queues, text: () => queuesText(queues) };
  });
}

function queuesText(queues: Readonly<Record<string, QueueView>>): string {
  return tableText(
    ["queue", "waiting", "delayed", "active", "completed", "cancelled", "failed", "oldest wait", "state"],
    Object.entries(queues).flatMap(([name, view]) =>
      shownLanes(view).map((lane) => [
        `${name}.${lane}`,
        view[lane].waiting,
        view[lane].delayed,
        view[lane].active,
        view[lane].completed,
        view[lane].cancelled,
        view[lane].failed,
        duration(view[lane].oldestWait),
        queueState(view),
      ]),
    ),
  );
}

/** Returns the lanes to show. Most queues have no durable runs. */
function shownLanes(view: QueueView): readonly Lane[] {
  return lanes.filter((lane) => lane !== "workflow" || countAll(view.workflow) > 0);
}

/** Returns whether the jobs of a queue run; a paused queue and a queue without a worker run none. */
function queueState({ isPaused, workers, limit }: QueueView): string | Styled {
  if (isPaused) return new Styled("yellow", "paused");
  if (workers === 0) return new Styled("yellow", "no worker");
  return limit === undefined ? "open" : limitText(limit);
}

function limitText({ max, per }: RateLimit): string {
  return `${max.toLocaleString("en-US")} per ${duration(per)}`;
}

function queueLimitText(queue: string, limit: RateLimit): string {
  return `Each lane of queue ${queue} starts at most ${limitText(limit)}, on all workers together`;
}

/** Runs `taskloom drain QUEUE`, which cancels the jobs that have not started. */
export async function drainCommand(
  queue: string,
  flags: OperatorFlags & { readonly delayed?: boolean },
): Promise<number> {
  return await withOperations(flags, async ({ operations }) => {
    const drained = await operations.drain(queue, { delayed: flags.delayed === true });
    if (flags.json === true) printJson({ queue, drained });
    else
      out(`${drained.toLocaleString("en-US")} waiting jobs of queue ${queue} cancelled; running jobs go on`);
    return EXIT_CODES.ok;
  });
}

/** The flags of `taskloom limit`. */
export interface LimitFlags extends OperatorFlags {
  /** Seconds. */
  readonly per?: number;
  readonly off?: boolean;
}

/** Runs `taskloom limit QUEUE [MAX]`, which sets, lifts or shows the rate limit of a queue. */
export async function limitCommand(
  queue: string,
  max: number | undefined,
  flags: LimitFlags,
): Promise<number> {
  const { per = 1, off } = flags;
  if (max === undefined ? flags.per !== undefined : off === true) {
    throw usageFailure(
      "Name the number of jobs and their time, as in taskloom limit mail 100 --per 60, or --off to lift the limit",
    );
  }
  return await withOperations(flags, async ({ operations }) => {
    if (max !== undefined) await operations.limit(queue, { max, per: per * 1_000 });
    else if (off === true) await operations.limit(queue, undefined);
    const limit = (await operations.queues())[queue]?.limit;
    if (flags.json === true) printJson({ queue, limit: limit ?? null });
    else out(limit === undefined ? `Queue ${queue} has no limit` : queueLimitText(queue, limit));
    return EXIT_CODES.ok;
  });
}

/** The flags of `taskloom limits`. */
export interface LimitsFlags extends WatchFlags {
  readonly task?: string;
  readonly limit: number;
}

/** Runs `taskloom limits`, which shows the rate limits of queues and the limits of tasks that are in use. */
export async function limitsCommand(flags: LimitsFlags): Promise<number> {
  return await showView(flags, "taskloom limits", async ({ operations, queue }) => {
    const { task, limit } = flags;
    const limits = await operations.limits({
      limit,
      ...(queue === undefined ? {} : { queue }),
      ...(task === undefined ? {} : { task }),
    });
    const isCut = limits.total > limits.tasks.length && flags.json !== true;
    const count = limits.total.toLocaleString("en-US");
    const notes = isCut ? [`There are ${count} limits of tasks in use; --limit shows more`] : [];
    return { json: limits, text: () => limitsText(limits), notes };
  });
}

function limitsText({ queues, tasks }: LimitsView): string {
  const ofQueues = queues.map(({ queue, ...limit }) => queueLimitText(queue, limit));
  if (tasks.length === 0) return [...ofQueues, "no limit of a task is in use"].join("\n");
  const table = tableText(
    ["task", "key", "queue", "limit", "taken", "waiting"],
    tasks.map(({ task, key, queue, lane, kind, max, duration: per = 0, taken, waiting }) => [
      task,
      key === undefined ? "" : JSON.stringify(key),
      `${queue}.${lane}`,
      kind === "rate" ? limitText({ max, per }) : `${max.toLocaleString("en-US")} at once`,
      taken,
      waiting,
    ]),
  );
  return [...ofQueues, table].join("\n");
}

/** The flags of `taskloom clean`. */
export interface CleanFlags extends OperatorFlags {
  readonly state: CleanedState;
  /** Seconds. */
  readonly olderThan?: number;
  readonly task?: string;
  readonly limit?: number;
}

/** The jobs that one request removes at most. */
const CLEANED_AT_ONCE = 1_000;

/** Runs `taskloom clean QUEUE`, which removes jobs of one state page by page. */
export async function cleanCommand(queue: string, flags: CleanFlags): Promise<number> {
  return await withOperations(flags, async ({ operations }) => {
    const { state, olderThan, task, limit = Infinity } = flags;
    let removed = 0;
    const cleaned = pages((at) =>
      operations.clean(queue, {
        state,
        limit: Math.min(limit - removed, CLEANED_AT_ONCE),
        ...(olderThan === undefined ? {} : { olderThan: olderThan * 1_000 }),
        ...(task === undefined ? {} : { task }),
        ...at,
      }),
    );
    for await (const page of cleaned) {
      removed += page.removed.length;
      if (removed >= limit) break;
    }
    if (flags.json === true) printJson({ queue, removed });
    else out(`${removed.toLocaleString("en-US")} ${state} jobs of queue ${queue} removed`);
    return EXIT_CODES.ok;
  });
}
