import { join } from "node:path";
import { Semaphore, gather, timeout } from "@taskloom/loop";
import type { RemoteTask, TaskQueue } from "@taskloom/queue";
import { isEngineFull } from "@taskloom/queue/operating";
import { Progress } from "../terminal/progress.ts";
import type { FileResult } from "./report.ts";
import { fileJobIds, RESUMABLE_FOR_MS } from "./run-file.ts";
import type { Run } from "./run-file.ts";
import { countText, digestFile } from "./tasks.ts";

/** The files in flight: enough to keep both lanes busy, and a bound for the memory of a large directory. */
const FILES_IN_FLIGHT = 256;

/** The options of the main job. */
export interface MainJobOptions {
  readonly root: string;
  readonly run: Run;
  readonly queue: TaskQueue;
  /** The ids of jobs of the run that had finished when this process began; see {@link finishedJobs}. */
  readonly before: ReadonlySet<string>;
  /** The milliseconds for the whole run. */
  readonly deadline: number;
  /** Notified if the engine has no room for a job; the file is not the cause. */
  readonly onEngineFull: (error: Error) => void;
}

/** The outcome of the main job. */
export interface MainJobOutcome {
  readonly results: readonly FileResult[];
  readonly failures: readonly { readonly path: string; readonly error: unknown }[];
  readonly jobs: number;
  /** The jobs that an earlier process of this run had finished. */
  readonly finishedBefore: number;
  readonly lanes: Readonly<
    Record<"loop" | "thread", { readonly jobs: number; readonly milliseconds: number }>
  >;
}

/** Submits two jobs for each file of a run, and gathers them under one deadline. */
export async function mainJob({
  root,
  run,
  queue,
  before,
  deadline,
  onEngineFull,
}: MainJobOptions): Promise<MainJobOutcome> {
  const room = new Semaphore(FILES_IN_FLIGHT);
  const progress = new Progress(run.files.length);
  const clock = new LaneClock(before);
  // The results of an interrupted run are kept for as long as it can be continued.
  const keep = { completed: RESUMABLE_FOR_MS, failed: RESUMABLE_FOR_MS };

  const workOn = async (file: string): Promise<FileResult> => {
    using _ = await room.acquire();
    const path = join(root, file);
    const ids = fileJobIds(run, file);
    const counts = clock.watch("loop", queue.with({ id: ids.count, keep }).submit(countText, path));
    const digest = clock.watch("thread", queue.with({ id: ids.digest, keep }).submit(digestFile, path));
    // Both jobs are awaited even if one fails, so that no job outlives its run.
    const [counted, digested] = await gather([counts, digest], { returnExceptions: true });
    progress.advance();
    for (const outcome of [counted, digested]) if (isEngineFull(outcome)) onEngineFull(outcome as Error);
    if (counted instanceof Error) throw counted;
    if (digested instanceof Error) throw digested;
    return { path: file, ...counted, ...digested };
  };

  try {
    const outcomes = await timeout(
      deadline,
      async () =>
        await gather(
          run.files.map((file) => () => workOn(file)),
          { returnExceptions: true },
        ),
    );
    const results: FileResult[] = [];
    const failures: { path: string; error: unknown }[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome instanceof Error) failures.push({ path: run.files[index]!, error: outcome });
      else results.push(outcome);
    }
    return {
      results,
      failures,
      jobs: run.files.length * 2,
      finishedBefore: before.size,
      lanes: clock.lanes(),
    };
  } finally {
    progress.stop();
  }
}

/** Returns the ids of the jobs of an interrupted run that have finished, before the workers of this process start. */
export async function finishedJobs(run: Run, queue: TaskQueue): Promise<Set<string>> {
  const ids = run.files.flatMap((file) => {
    const { count, digest } = fileJobIds(run, file);
    return [`loop.${count}`, `thread.${digest}`];
  });
  const states = await queue.states(ids);
  return new Set(ids.filter((id) => ["completed", "failed", "cancelled"].includes(states.get(id) ?? "")));
}

/** Counts the jobs of each lane, and the time in which the lane was busy. */
class LaneClock {
  readonly #finishedBefore: ReadonlySet<string>;
  readonly #lanes = {
    loop: { jobs: 0, pending: 0, since: 0, milliseconds: 0 },
    thread: { jobs: 0, pending: 0, since: 0, milliseconds: 0 },
  };

  constructor(finishedBefore: ReadonlySet<string>) {
    this.#finishedBefore = finishedBefore;
  }

  /** Measures a job until its end, unless the job had ended before this process began. */
  watch<T>(lane: "loop" | "thread", task: RemoteTask<T>): RemoteTask<T> {
    if (this.#finishedBefore.has(task.id)) return task;
    const times = this.#lanes[lane];
    if (times.pending++ === 0) times.since = performance.now();
    task.addDoneCallback(() => {
      times.jobs++;
      if (--times.pending === 0) times.milliseconds += performance.now() - times.since;
    });
    return task;
  }

  lanes(): MainJobOutcome["lanes"] {
    const { loop, thread } = this.#lanes;
    return {
      loop: { jobs: loop.jobs, milliseconds: loop.milliseconds },
      thread: { jobs: thread.jobs, milliseconds: thread.milliseconds },
    };
  }
}
