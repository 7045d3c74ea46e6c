import type { ServingWorker } from "@taskloom/queue/operating";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { duration } from "../terminal/duration.ts";
import { Styled, lineText } from "../terminal/output.ts";
import { cut, tableText } from "../terminal/table.ts";
import { taskLabel, workerTree } from "../workers/worker-view.ts";
import type { WorkerView } from "../workers/worker-view.ts";
import { showView } from "./shown-view.ts";
import type { WatchFlags } from "./shown-view.ts";

/** Runs `taskloom ps`, which lists the workers and their running jobs. */
export async function psCommand(flags: WatchFlags): Promise<number> {
  return await showView(flags, "taskloom ps", async ({ operations, where }) => {
    const [workers, others] = await Promise.all([operations.workers(), operations.otherWorkers()]);
    return {
      json: workers.map(({ tree: _tree, ...worker }) => worker),
      text: () =>
        workers.length + others.length === 0
          ? lineText(`no worker runs on ${where}; start one with taskloom worker MODULE`)
          : [
              ...(workers.length === 0 ? [] : [workersText(workers)]),
              ...jobsText(workers),
              ...(others.length === 0 ? [] : [othersText(others)]),
            ].join("\n"),
    };
  });
}

function workersText(workers: readonly WorkerView[]): string {
  return tableText(
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
}

/** A program that uses the library stores what it serves, and not the jobs that it runs. */
function othersText(others: readonly ServingWorker[]): string {
  return tableText(
    ["worker of another program", "pid", "queues", "tasks"],
    others.map(({ id, process, queues, tasks }) => [
      process?.host ?? id,
      String(process?.pid ?? ""),
      queues.join(" "),
      cut(Object.keys(tasks).join(" "), 60),
    ]),
  );
}

function jobsText(workers: readonly WorkerView[]): string[] {
  // The last jobs of a silent worker may run elsewhere by now, because the worker can be dead.
  const live = workers.filter(({ silentFor }) => silentFor === undefined);
  const silent = workers.filter(({ silentFor }) => silentFor !== undefined);
  return [...jobTable(live, "job"), ...jobTable(silent, "last job of a silent worker")];
}

function jobTable(workers: readonly WorkerView[], title: string): string[] {
  const jobs = workers.flatMap((worker) => worker.jobs.map((job) => ({ worker, job })));
  if (jobs.length === 0) return [];
  return [
    tableText(
      [title, "task", "queue", "worker", "attempt", "for"],
      jobs.map(({ worker, job }) => [
        job.id,
        taskLabel(job),
        `${job.queue}.${job.lane}`,
        worker.slot,
        job.attempt,
        duration(Math.max(0, worker.seenAt - job.startedAt)),
      ]),
    ),
  ];
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
export async function treeCommand(worker: string | undefined, flags: WatchFlags): Promise<number> {
  return await showView(flags, "taskloom tree", async ({ operations }) => {
    const workers = (await operations.workers()).filter(
      ({ id, slot, pid }) => worker === undefined || [id, slot, String(pid)].includes(worker),
    );
    if (worker !== undefined && workers.length === 0) {
      throw new CliFailure("WORKER_UNKNOWN", `There is no worker ${worker}; taskloom ps lists the workers`, {
        exitCode: EXIT_CODES.notFound,
      });
    }
    return {
      json: workers.map(({ id, slot, pid, jobs, tree }) => ({ id, slot, pid, jobs, tree })),
      text: () => (workers.length === 0 ? "no worker runs" : workers.flatMap(treeLines).join("\n")),
    };
  });
}

function treeLines(worker: WorkerView): string[] {
  const { slot, pid, tree } = worker;
  const title = `${slot} (pid ${pid}), ${tree.total} task${tree.total === 1 ? "" : "s"}`;
  return [lineText(new Styled("bold", title)), ...workerTree(worker).map((line) => lineText(`  ${line}`))];
}
