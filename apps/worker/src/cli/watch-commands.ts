import type { Lane } from "@taskloom/queue";
import { lanes } from "@taskloom/queue/operating";
import { countAll } from "../operations/operations.ts";
import type { QueueView, ScheduleRequest } from "../operations/operations.ts";
import { duration } from "../terminal/duration.ts";
import { taskLabel, workerTree } from "../workers/worker-view.ts";
import type { WorkerView } from "../workers/worker-view.ts";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { parseArgument, withOperations } from "./job-commands.ts";
import type { OperatorFlags } from "./open-operations.ts";
import { Styled, out, printJson } from "../terminal/output.ts";
import { printTable } from "../terminal/table.ts";

/** Runs `taskloom ps`, which lists the workers and their running jobs. */
export async function psCommand(flags: OperatorFlags): Promise<number> {
  return await withOperations(flags, async ({ operations, where }) => {
    const workers = await operations.workers();
    if (flags.json === true) {
      printJson(workers.map(({ tree: _tree, ...worker }) => worker));
      return EXIT_CODES.ok;
    }
    if (workers.length === 0) {
      out(`no worker runs on ${where}; start one with taskloom worker MODULE`);
      return EXIT_CODES.ok;
    }
    printTable(
      ["worker", "pid", "state", "loop", "threads", "runs", "loop delay", "busy", "memory", "up"],
      workers.map((worker) => [
        worker.slot,
        String(worker.pid),
        stateOf(worker),
        `${worker.lanes.loop.running}/${worker.lanes.loop.limit}`,
        `${worker.lanes.thread.running}/${worker.lanes.thread.limit}`,
        runsOf(worker),
        `${worker.loop.delayP99.toFixed(1)} ms`,
        `${Math.round(worker.loop.utilization * 100)} %`,
        `${Math.round(worker.memory.rss / 1_048_576)} MB`,
        duration(worker.seenAt - worker.startedAt),
      ]),
    );
    // The last jobs of a silent worker may run elsewhere by now, because the worker can be dead.
    const live = workers.filter(({ silentFor }) => silentFor === undefined);
    const jobs = live.flatMap((worker) => worker.jobs.map((job) => ({ worker, job })));
    if (jobs.length === 0) return EXIT_CODES.ok;
    printTable(
      ["job", "task", "queue", "worker", "attempt", "for"],
      jobs.map(({ worker, job }) => [
        job.id,
        taskLabel(job),
        `${job.queue}.${job.lane}`,
        worker.slot,
        job.attempt,
        duration(Math.max(0, worker.seenAt - job.startedAt)),
      ]),
    );
    return EXIT_CODES.ok;
  });
}

function runsOf({ lanes: { workflow } }: WorkerView): string {
  return workflow === undefined ? "" : `${workflow.running}/${workflow.limit}`;
}

function stateOf(worker: WorkerView): Styled {
  if (worker.state === "dead") return new Styled("red", "dead");
  if (worker.silentFor !== undefined) return new Styled("red", `silent for ${duration(worker.silentFor)}`);
  if (worker.state === "draining") return new Styled("yellow", "draining");
  return worker.admission.isThrottled ? new Styled("yellow", "throttled") : new Styled("green", "running");
}

/** Runs `taskloom tree [WORKER]`, which shows live tasks, and the object and time that each waits for. */
export async function treeCommand(worker: string | undefined, flags: OperatorFlags): Promise<number> {
  return await withOperations(flags, async ({ operations }) => {
    const workers = (await operations.workers()).filter(
      ({ id, slot, pid }) => worker === undefined || [id, slot, String(pid)].includes(worker),
    );
    if (worker !== undefined && workers.length === 0) {
      throw new CliFailure("WORKER_UNKNOWN", `There is no worker ${worker}; taskloom ps lists the workers`, {
        exitCode: EXIT_CODES.notFound,
      });
    }
    if (flags.json === true) {
      printJson(workers.map(({ id, slot, pid, jobs, tree }) => ({ id, slot, pid, jobs, tree })));
      return EXIT_CODES.ok;
    }
    for (const each of workers) {
      const { slot, pid, tree } = each;
      out(new Styled("bold", `${slot} (pid ${pid}), ${tree.total} task${tree.total === 1 ? "" : "s"}`));
      for (const line of workerTree(each)) out(`  ${line}`);
    }
    return EXIT_CODES.ok;
  });
}

/** Runs `taskloom queues [--pause NAME | --resume NAME]`. */
export async function queuesCommand(
  flags: OperatorFlags & { pause?: string; resume?: string },
): Promise<number> {
  return await withOperations(flags, async ({ operations }) => {
    if (flags.pause !== undefined) await operations.pause(flags.pause, true);
    if (flags.resume !== undefined) await operations.pause(flags.resume, false);
    const queues = await operations.queues();
    if (flags.json === true) {
      printJson(queues);
      return EXIT_CODES.ok;
    }
    printTable(
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
    return EXIT_CODES.ok;
  });
}

/** Returns the lanes to show. Most queues have no durable runs. */
function shownLanes(view: QueueView): readonly Lane[] {
  return lanes.filter((lane) => lane !== "workflow" || countAll(view.workflow) > 0);
}

/** Returns whether the jobs of a queue run; a paused queue and a queue without a worker run none. */
function queueState({ isPaused, workers }: QueueView): string | Styled {
  if (isPaused) return new Styled("yellow", "paused");
  return workers > 0 ? "open" : new Styled("yellow", "no worker");
}

/** The flags of `taskloom schedule`. */
export interface ScheduleFlags extends OperatorFlags {
  readonly cron?: string;
  /** Seconds. */
  readonly every?: number;
  readonly timezone?: string;
  readonly remove?: boolean;
}

/** Runs `taskloom schedule [ID] [TASK] [ARG…]`, which lists, sets or removes schedules. */
export async function scheduleCommand(
  id: string | undefined,
  task: string | undefined,
  words: readonly string[],
  flags: ScheduleFlags,
): Promise<number> {
  const request = id === undefined || flags.remove === true ? undefined : scheduleRequest(task, words, flags);
  return await withOperations(flags, async ({ operations, queue }) => {
    if (id !== undefined && request === undefined) {
      await operations.unschedule(id, queue);
      if (flags.json === true) printJson({ removed: id });
      else out(`${id} is no longer scheduled; jobs that it has submitted go on`);
      return EXIT_CODES.ok;
    }
    if (id !== undefined && request !== undefined)
      await operations.schedule(id, { ...request, ...(queue === undefined ? {} : { queue }) });
    const schedules = await operations.schedules(queue);
    if (flags.json === true) printJson(schedules);
    else if (schedules.length === 0) process.stdout.write("nothing is scheduled\n");
    else {
      printTable(
        ["schedule", "task", "queue", "when", "next"],
        schedules.map((each) => [
          each.id,
          each.task,
          `${each.queue}.${each.lane}`,
          each.cron === undefined
            ? `every ${duration(each.every ?? 0)}`
            : `${each.cron}${each.timezone === undefined ? "" : ` ${each.timezone}`}`,
          each.next === undefined ? "-" : new Date(each.next).toLocaleString(),
        ]),
      );
    }
    return EXIT_CODES.ok;
  });
}

/**
 * Returns the schedule that the command line asks for, before an engine is opened.
 *
 * @throws {@link CliFailure} with the code `USAGE` if the task or the times are missing.
 */
function scheduleRequest(
  task: string | undefined,
  words: readonly string[],
  { cron, every, timezone }: ScheduleFlags,
): ScheduleRequest {
  const usage = (message: string): CliFailure =>
    new CliFailure("USAGE", message, { exitCode: EXIT_CODES.usage });
  if (task === undefined) throw usage("Name the task to run: taskloom schedule ID TASK --cron '0 3 * * *'");
  if (cron === undefined && every === undefined)
    throw usage("Name the times of the runs: --cron '0 3 * * *', or --every SECONDS");
  return {
    task,
    args: words.map(parseArgument),
    ...(cron === undefined ? {} : { cron }),
    ...(every === undefined ? {} : { every: every * 1_000 }),
    ...(timezone === undefined ? {} : { timezone }),
  };
}
