import { join } from "node:path";
import { Semaphore, gather, timeout } from "@taskloom/loop";
import type { Lane, RemoteTask, TaskQueue } from "@taskloom/queue";
import { Progress } from "../terminal/progress.ts";
import type { FileResult } from "./report.ts";
import { isEngineFull } from "@taskloom/queue/operating";
import { fileJobIds, resumableFor } from "./run-file.ts";
import type { Run } from "./run-file.ts";
import { countText, digestFile } from "./tasks.ts";

/** Files in flight at once: enough to keep every lane busy, few enough that memory does not grow with the directory. */
const filesInFlight = 256;

/** What the main job works on. */
export interface MainJobOptions {
  readonly root: string;
  readonly run: Run;
  readonly queue: TaskQueue;
  /** The ids of the run's jobs that had finished when this process began; see {@link finishedJobs}. */
  readonly before: ReadonlySet<string>;
  /** Milliseconds for all of it. */
  readonly deadline: number;
  /** Told when the engine has no room for a job: no file is to blame for that. */
  readonly onEngineFull: (error: Error) => void;
}

/** What came of it. */
export interface MainJobOutcome {
  readonly results: readonly FileResult[];
  readonly failures: readonly { readonly path: string; readonly error: unknown }[];
  readonly jobs: number;
  /** Jobs that an earlier process of this run had finished. */
  readonly finishedBefore: number;
  readonly lanes: Readonly<Record<Lane, { readonly jobs: number; readonly milliseconds: number }>>;
}

/** Works through the files of a run: two jobs a file, gathered under one deadline, so many files at a time. */
export async function mainJob({
  root,
  run,
  queue,
  before,
  deadline,
  onEngineFull,
}: MainJobOptions): Promise<MainJobOutcome> {
  const room = new Semaphore(filesInFlight);
  const progress = new Progress(run.files.length);
  const clock = new LaneClock(before);
  // A run that is cut off finds its results for as long as it can be taken up again.
  const keep = { completed: resumableFor, failed: resumableFor };

  const workOn = async (file: string): Promise<FileResult> => {
    using _ = await room.acquire();
    const path = join(root, file);
    const ids = fileJobIds(run, file);
    const counts = clock.watch("loop", queue.with({ id: ids.count, keep }).submit(countText, path));
    const digest = clock.watch("thread", queue.with({ id: ids.digest, keep }).submit(digestFile, path));
    // Both are waited for, even when one fails: a job left behind would outlive its run.
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

/** The ids of a cut-off run's jobs that have finished already; asked before workers of this process take what is left. */
export async function finishedJobs(run: Run, queue: TaskQueue): Promise<Set<string>> {
  const ids = run.files.flatMap((file) => {
    const { count, digest } = fileJobIds(run, file);
    return [`loop.${count}`, `thread.${digest}`];
  });
  const states = await queue.states(ids);
  return new Set(ids.filter((id) => ["completed", "failed", "cancelled"].includes(states.get(id) ?? "")));
}

/** Counts each lane's jobs, and the time in which the lane had any to do. */
class LaneClock {
  readonly #finishedBefore: ReadonlySet<string>;
  readonly #lanes = {
    loop: { jobs: 0, pending: 0, since: 0, milliseconds: 0 },
    thread: { jobs: 0, pending: 0, since: 0, milliseconds: 0 },
  };

  constructor(finishedBefore: ReadonlySet<string>) {
    this.#finishedBefore = finishedBefore;
  }

  /** Takes the time of a job until its end, unless it had ended before this process began. */
  watch<T>(lane: Lane, task: RemoteTask<T>): RemoteTask<T> {
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
