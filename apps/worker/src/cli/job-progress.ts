import { StopSignals } from "@taskloom/loop/stop-signals";
import { Presets, SingleBar } from "cli-progress";
import { hasEnded } from "../operations/operations.ts";
import type { JobView, Operations } from "../operations/operations.ts";
import { duration } from "../terminal/duration.ts";
import { visibleText } from "../terminal/visible-text.ts";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { brief } from "./job-text.ts";

/** How often a job that somebody waits for is looked at, and the line drawn; milliseconds. */
const lookInterval = 250;
const barWidth = 30;

/** What a job says of how far it is. */
export interface Reached {
  /** 0 to 1; undefined when it cannot be told from what the job says. */
  readonly share: number | undefined;
  readonly text: string;
}

const doneNames = ["done", "current", "completed", "processed", "loaded", "value", "step"];
const totalNames = ["total", "to", "of", "max", "count", "steps"];
const percentNames = ["percent", "percentage"];

/**
 * Reads what a task gave to `reportProgress`, which can be anything: a share from 0 to 1, a percentage up to 100, or an
 * object that has either, or how much is done and how much there is, under the names that people use for these.
 */
export function reachedOf(progress: unknown): Reached {
  if (typeof progress === "number") return share(progress <= 1 ? progress : progress / 100);
  if (typeof progress !== "object" || progress === null)
    return { share: undefined, text: typeof progress === "string" ? progress : brief(progress) };
  const fields = progress as Readonly<Record<string, unknown>>;
  const named = (names: readonly string[]): number | undefined =>
    names.map((name) => fields[name]).find((value): value is number => typeof value === "number");
  const total = named(totalNames);
  const done = named(doneNames);
  if (done !== undefined && total !== undefined && total > 0)
    return {
      ...share(done / total),
      text: `${done.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}`,
    };
  const percent = named(percentNames);
  if (percent !== undefined) return share(percent / 100);
  return { share: undefined, text: brief(progress) };
}

function share(value: number): Reached {
  const bounded = Math.min(1, Math.max(0, value));
  return { share: bounded, text: `${Math.round(bounded * 100)} %` };
}

/**
 * Waits for a job's end as {@link Operations.ended} does, and on a terminal shows meanwhile where it is, how far it says
 * it is, and for how long. Ctrl-C ends the waiting, and says that the job goes on.
 */
export async function endedWithProgress(
  operations: Operations,
  id: string,
  milliseconds: number,
  queue: string | undefined,
  isShown: boolean,
): Promise<JobView> {
  const signals = new StopSignals({ onSecond: () => process.exit(EXIT_CODES.interrupted) });
  const stop = signals.asked.then((): never => {
    throw new CliFailure(
      "INTERRUPTED",
      `No longer waiting, but the job goes on: taskloom result ${id} --wait waits for it, taskloom cancel ${id} ends it`,
      { exitCode: EXIT_CODES.interrupted },
    );
  });
  stop.catch(() => {});
  try {
    const isDrawn = isShown && process.stderr.isTTY;
    const ended = isDrawn
      ? drawUntilEnd(operations, id, milliseconds, queue, stop)
      : operations.ended(id, milliseconds, queue);
    return await Promise.race([ended, stop]);
  } finally {
    signals.dispose();
  }
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
      barsize: barWidth,
      fps: 1_000 / lookInterval,
    },
    Presets.shades_classic,
  );
  bar.start(1, 0);
  try {
    for (;;) {
      const left = milliseconds - (performance.now() - began);
      const look = operations.ended(id, Math.max(0, Math.min(left, lookInterval)), queue);
      job = await Promise.race([look, stop]);
      if (hasEnded(job.state) || left <= lookInterval) return job;
      bar.update(reachedOf(job.progress).share ?? 0);
    }
  } finally {
    bar.stop();
  }
}

function line(job: JobView | undefined, waited: number, full: string, empty: string): string {
  const time = duration(waited);
  if (job?.progress === undefined) return `${job?.state ?? "waiting"}  ${time}`;
  const { share: reached, text: said } = reachedOf(job.progress);
  const text = visibleText(said).replaceAll(/[\n\t]/g, " "); // It is drawn on a terminal, in one line.
  if (reached === undefined) return `${job.state}  ${text}  ${time}`;
  const cells = Math.round(reached * barWidth);
  return `${full.slice(0, cells)}${empty.slice(0, barWidth - cells)}  ${text}  ${time}`;
}
