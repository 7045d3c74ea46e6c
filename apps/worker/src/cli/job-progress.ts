import { Presets, SingleBar } from "cli-progress";
import { hasEnded } from "../operations/operations.ts";
import type { JobView, Operations } from "../operations/operations.ts";
import { duration } from "../terminal/duration.ts";
import { visibleText } from "../terminal/visible-text.ts";
import { brief } from "./job-text.ts";
import { untilInterrupted } from "./until-interrupted.ts";

/** The interval at which an awaited job is polled and its line is drawn. */
const POLL_INTERVAL_MS = 250;
const BAR_WIDTH = 30;

/** The progress of a job. */
export interface Reached {
  /** 0 to 1; undefined if the reported value has no share in it. */
  readonly share: number | undefined;
  readonly text: string;
}

const DONE_NAMES = ["done", "current", "completed", "processed", "loaded", "value", "step"];
const TOTAL_NAMES = ["total", "to", "of", "max", "count", "steps"];
const PERCENT_NAMES = ["percent", "percentage"];

/**
 * Reads a value that a task has passed to `reportProgress`: a share from 0 to 1, a percentage up to 100, or an object
 * with a percentage or with a done and a total amount, under the usual names. Any other value is shown as text.
 */
export function reachedOf(progress: unknown): Reached {
  if (typeof progress === "number") return share(progress <= 1 ? progress : progress / 100);
  if (typeof progress !== "object" || progress === null)
    return { share: undefined, text: typeof progress === "string" ? progress : brief(progress) };
  const fields = progress as Readonly<Record<string, unknown>>;
  const named = (names: readonly string[]): number | undefined =>
    names.map((name) => fields[name]).find((value): value is number => typeof value === "number");
  const total = named(TOTAL_NAMES);
  const done = named(DONE_NAMES);
  if (done !== undefined && total !== undefined && total > 0)
    return {
      ...share(done / total),
      text: `${done.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}`,
    };
  const percent = named(PERCENT_NAMES);
  if (percent !== undefined) return share(percent / 100);
  return { share: undefined, text: brief(progress) };
}

function share(value: number): Reached {
  const bounded = Math.min(1, Math.max(0, value));
  return { share: bounded, text: `${Math.round(bounded * 100)} %` };
}

/**
 * Waits for the end of a job, as {@link Operations.waitForEnd} does. A terminal meanwhile shows the job's state, its
 * progress and the time. Ctrl-C ends the wait but not the job.
 *
 * @throws {@link CliFailure} with the code `INTERRUPTED` at a Ctrl-C.
 */
export async function endedWithProgress(
  operations: Operations,
  id: string,
  milliseconds: number,
  queue: string | undefined,
  isShown: boolean,
): Promise<JobView> {
  const message = `No longer waiting, but the job goes on: taskloom result ${id} --wait waits for it, taskloom cancel ${id} ends it`;
  const isDrawn = isShown && process.stderr.isTTY;
  return await untilInterrupted(message, (stop) =>
    isDrawn
      ? drawUntilEnd(operations, id, milliseconds, queue, stop)
      : operations.waitForEnd(id, milliseconds, queue),
  );
}

async function drawUntilEnd(
  operations: Operations,
  id: string,
  milliseconds: number,
  queue: string | undefined,
  stop: Promise<never>,
): Promise<JobView> {
  const began = performance.now();
  let job: JobView | undefined;
  const bar = new SingleBar(
    {
      format: ({ barCompleteString = "", barIncompleteString = "" }) =>
        line(job, performance.now() - began, barCompleteString, barIncompleteString),
      clearOnComplete: true,
      linewrap: false,
      gracefulExit: false,
      barsize: BAR_WIDTH,
      fps: 1_000 / POLL_INTERVAL_MS,
    },
    Presets.shades_classic,
  );
  bar.start(1, 0);
  try {
    for (;;) {
      const left = milliseconds - (performance.now() - began);
      const poll = operations.waitForEnd(id, Math.max(0, Math.min(left, POLL_INTERVAL_MS)), queue);
      job = await Promise.race([poll, stop]);
      if (hasEnded(job.state) || left <= POLL_INTERVAL_MS) return job;
      bar.update(reachedOf(job.progress).share ?? 0);
    }
  } finally {
    bar.stop();
  }
}

function line(job: JobView | undefined, waited: number, full: string, empty: string): string {
  const time = duration(waited);
  if (job?.progress === undefined) return `${job?.state ?? "waiting"}  ${time}`;
  const { share: reached, text: progress } = reachedOf(job.progress);
  const text = visibleText(progress).replaceAll(/[\n\t]/g, " "); // The line must not break.
  if (reached === undefined) return `${job.state}  ${text}  ${time}`;
  const cells = Math.round(reached * BAR_WIDTH);
  return `${full.slice(0, cells)}${empty.slice(0, BAR_WIDTH - cells)}  ${text}  ${time}`;
}
