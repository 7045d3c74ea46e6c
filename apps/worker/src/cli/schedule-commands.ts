import { EXIT_CODES, usageFailure } from "../errors/cli-failure.ts";
import type { ScheduleRequest, ScheduleView } from "../operations/operations.ts";
import { duration } from "../terminal/duration.ts";
import { out, printJson } from "../terminal/output.ts";
import { tableText } from "../terminal/table.ts";
import { parseArgument } from "./job-commands.ts";
import { withOperations } from "./open-operations.ts";
import type { OperatorFlags } from "./open-operations.ts";
import { showView } from "./shown-view.ts";
import type { WatchFlags } from "./shown-view.ts";

/** The flags of `taskloom schedule`. */
export interface ScheduleFlags extends WatchFlags {
  readonly cron?: string;
  /** Seconds. */
  readonly every?: number;
  readonly timezone?: string;
  readonly remove?: boolean;
  readonly pause?: boolean;
  readonly resume?: boolean;
}

/** Runs `taskloom schedule [ID] [TASK] [ARG…]`, which lists, sets, pauses, resumes or removes schedules. */
export async function scheduleCommand(
  id: string | undefined,
  task: string | undefined,
  words: readonly string[],
  flags: ScheduleFlags,
): Promise<number> {
  const { remove, pause, resume } = flags;
  if (remove === true || pause === true || resume === true) {
    if (id === undefined)
      throw usageFailure("Name the schedule: taskloom schedule ID --pause, --resume or --remove");
    return await changeSchedule(
      id,
      remove === true ? "removed" : pause === true ? "paused" : "resumed",
      flags,
    );
  }
  const request = id === undefined ? undefined : scheduleRequest(task, words, flags);
  let isStored = id === undefined;
  return await showView(flags, "taskloom schedule", async ({ operations, queue }) => {
    // A watch stores the schedule once.
    if (!isStored) await operations.schedule(id!, { ...request!, ...(queue === undefined ? {} : { queue }) });
    isStored = true;
    const schedules = await operations.schedules(queue);
    return { json: schedules, text: () => schedulesText(schedules) };
  });
}

const CHANGED = {
  removed: "is no longer scheduled; jobs that it has submitted go on",
  paused: "is paused; jobs that it has submitted go on",
  resumed: "runs again at its times",
} as const;

async function changeSchedule(
  id: string,
  change: keyof typeof CHANGED,
  flags: OperatorFlags,
): Promise<number> {
  return await withOperations(flags, async ({ operations, queue }) => {
    if (change === "removed") await operations.unschedule(id, queue);
    else await operations.pauseSchedule(id, change === "paused", queue);
    if (flags.json === true) printJson({ [change]: id });
    else out(`${id} ${CHANGED[change]}`);
    return EXIT_CODES.ok;
  });
}

/** Runs `taskloom run-now SCHEDULE`. */
export async function runNowCommand(id: string, flags: OperatorFlags): Promise<number> {
  return await withOperations(flags, async ({ operations, queue }) => {
    const job = await operations.runNow(id, queue);
    if (flags.json === true) printJson({ id: job });
    else out(job);
    return EXIT_CODES.ok;
  });
}

function schedulesText(schedules: readonly ScheduleView[]): string {
  if (schedules.length === 0) return "nothing is scheduled";
  return tableText(
    ["schedule", "task", "queue", "when", "next"],
    schedules.map(({ id, task, queue, lane, cron, every, timezone, next, isPaused }) => [
      id,
      task,
      `${queue}.${lane}`,
      cron === undefined
        ? `every ${duration(every ?? 0)}`
        : `${cron}${timezone === undefined ? "" : ` ${timezone}`}`,
      isPaused ? "paused" : next === undefined ? "-" : new Date(next).toLocaleString(),
    ]),
  );
}

/**
 * Returns the schedule that the command line asks for, before an engine is opened.
 *
 * @throws CliFailure with the code `USAGE` if the task or the times are missing.
 */
function scheduleRequest(
  task: string | undefined,
  words: readonly string[],
  { cron, every, timezone }: ScheduleFlags,
): ScheduleRequest {
  if (task === undefined)
    throw usageFailure("Name the task to run: taskloom schedule ID TASK --cron '0 3 * * *'");
  if (cron === undefined && every === undefined)
    throw usageFailure("Name the times of the runs: --cron '0 3 * * *', or --every SECONDS");
  return {
    task,
    args: words.map(parseArgument),
    ...(cron === undefined ? {} : { cron }),
    ...(every === undefined ? {} : { every: every * 1_000 }),
    ...(timezone === undefined ? {} : { timezone }),
  };
}
