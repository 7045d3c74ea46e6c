import { text as readText } from "node:stream/consumers";
import type { Backoff } from "@taskloom/queue";
import { lanes } from "@taskloom/queue/operating";
import { allFailures, allFrom, findAll, retryAll } from "../operations/all-pages.ts";
import { hasEnded } from "../operations/operations.ts";
import type {
  FailedGroup,
  JobView,
  Operations,
  RetryPage,
  RetrySearch,
  SubmitRequest,
} from "../operations/operations.ts";
import { ServiceError } from "../errors/service-error.ts";
import { Progress } from "../terminal/progress.ts";
import { CliFailure, EXIT_CODES, usageFailure } from "../errors/cli-failure.ts";
import { endedWithProgress } from "./job-progress.ts";
import { withOperations } from "./open-operations.ts";
import type { OperatorFlags } from "./open-operations.ts";
import { showView } from "./shown-view.ts";
import type { WatchFlags } from "./shown-view.ts";
import { taskLabel } from "../workers/worker-view.ts";
import { err, out, printJson } from "../terminal/output.ts";
import { cut, tableText } from "../terminal/table.ts";
import { errorText } from "../terminal/user-stack.ts";
import { brief, printJob, stateText, valueText } from "./job-text.ts";

/** The flags of `taskloom submit`. */
export interface SubmitFlags extends OperatorFlags {
  readonly wait?: boolean;
  readonly timeout?: number;
  readonly id?: string;
  readonly delay?: number;
  readonly priority?: number;
  readonly attempts?: number;
  readonly backoff?: Backoff;
  /** Seconds, as the next two. */
  readonly runTimeout?: number;
  readonly deadline?: number;
  readonly deduplicateFor?: number;
  readonly deduplicate?: string;
  readonly tag?: readonly string[];
  readonly limitKey?: string;
}

/** Returns the options of a submission that the flags ask for. */
function submitRequest(flags: SubmitFlags): SubmitRequest {
  const {
    id,
    delay,
    priority,
    attempts,
    backoff,
    runTimeout,
    deadline,
    deduplicate: key,
    tag: tags,
    limitKey,
  } = flags;
  const ttl = flags.deduplicateFor;
  if (ttl !== undefined && key === undefined) {
    throw usageFailure("Name the key of the work: --deduplicate KEY --deduplicate-for SECONDS");
  }
  const deduplicate = key === undefined || ttl === undefined ? key : { key, ttl: ttl * 1_000 };
  return {
    ...(id === undefined ? {} : { id }),
    ...(delay === undefined ? {} : { delay: delay * 1_000 }),
    ...(priority === undefined ? {} : { priority }),
    ...(attempts === undefined ? {} : { attempts }),
    ...(backoff === undefined ? {} : { backoff }),
    ...(runTimeout === undefined ? {} : { timeout: runTimeout * 1_000 }),
    ...(deadline === undefined ? {} : { deadline: deadline * 1_000 }),
    ...(deduplicate === undefined ? {} : { deduplicate }),
    ...(tags === undefined ? {} : { tags }),
    ...(limitKey === undefined ? {} : { limitKey }),
  };
}

/** Runs `taskloom submit TASK [ARG…]`, whose arguments are JSON. The argument `-` is read from standard input. */
export async function submitCommand(
  task: string,
  words: readonly string[],
  flags: SubmitFlags,
): Promise<number> {
  const request = submitRequest(flags);
  const args = await readArguments(words);
  return await withOperations(flags, async ({ operations, queue }) => {
    const job = await operations.submit(task, args, {
      ...(queue === undefined ? {} : { queue }),
      ...request,
    });
    if (job.notice !== undefined) err(`taskloom: ${job.notice}`);
    if (flags.wait !== true) {
      if (flags.json === true) printJson(job);
      else out(job.id);
      return EXIT_CODES.ok;
    }
    const ended = await endedWithProgress(
      operations,
      job.id,
      waitTime(flags),
      job.queue,
      flags.json !== true,
    );
    return reportEnd(ended, flags);
  });
}

/** The word in whose place an argument is read from standard input. */
const FROM_STDIN = "-";

async function readArguments(words: readonly string[]): Promise<unknown[]> {
  if (words.filter((word) => word === FROM_STDIN).length > 1) {
    throw new CliFailure("ARGUMENT", "Only one argument can be -, since standard input is read once", {
      exitCode: EXIT_CODES.usage,
    });
  }
  const input = words.includes(FROM_STDIN) ? await readText(process.stdin) : "";
  return words.map((word) => parseArgument(word === FROM_STDIN ? input : word));
}

/**
 * Reads one argument of a task.
 *
 * @throws {@link CliFailure} with the code `ARGUMENT` if the word is not JSON.
 */
export function parseArgument(word: string): unknown {
  try {
    return JSON.parse(word) as unknown;
  } catch (error) {
    throw new CliFailure(
      "ARGUMENT",
      `${word} is not JSON; a text needs double quotes inside the quotes of the shell: '${JSON.stringify(word)}'`,
      {
        exitCode: EXIT_CODES.usage,
        cause: error,
      },
    );
  }
}

const DEFAULT_WAIT_MS = 24 * 3_600_000;

function waitTime({ timeout }: { readonly timeout?: number }): number {
  return timeout === undefined ? DEFAULT_WAIT_MS : timeout * 1_000;
}

/** Prints the value of an awaited job, or on standard error the reason why there is none; returns the exit code. */
function reportEnd(job: JobView, { json }: OperatorFlags): number {
  if (json === true) printJson(job);
  else if (job.state === "completed") out(valueText(job.value ?? null));
  else if (job.state === "failed")
    err(`taskloom: Job ${job.id} failed: ${job.error === undefined ? "" : errorText(job.error)}`);
  else if (job.state === "cancelled")
    err(`taskloom: Job ${job.id} was cancelled${job.reason === undefined ? "" : `: ${job.reason}`}`);
  else err(`taskloom: Job ${job.id} is still ${job.state}; taskloom result ${job.id} --wait waits for it`);
  switch (job.state) {
    case "completed":
      return EXIT_CODES.ok;
    case "failed":
      return EXIT_CODES.jobFailed;
    case "cancelled":
      return EXIT_CODES.jobCancelled;
    default:
      return EXIT_CODES.jobPending;
  }
}

/** Runs `taskloom result ID`. */
export async function resultCommand(
  id: string,
  flags: OperatorFlags & { wait?: boolean; timeout?: number },
): Promise<number> {
  return await withOperations(flags, async ({ operations, queue }) => {
    const job =
      flags.wait === true
        ? await endedWithProgress(operations, id, waitTime(flags), queue, flags.json !== true)
        : await operations.job(id, queue);
    return reportEnd(job, flags);
  });
}

/** Runs `taskloom job ID`. */
export async function jobCommand(id: string, flags: OperatorFlags): Promise<number> {
  return await withOperations(flags, async ({ operations, queue }) => {
    const job = await operations.job(id, queue);
    const logs = await allFrom((from) => operations.logs(id, from, queue));
    if (flags.json === true) printJson({ ...job, logs });
    else {
      printJob(job);
      for (const line of logs) out(`log:       ${line}`);
    }
    return EXIT_CODES.ok;
  });
}

/** Runs `taskloom jobs [TEXT]`. */
export async function jobsCommand(
  text: string | undefined,
  flags: WatchFlags & { readonly state?: JobView["state"]; readonly limit: number },
): Promise<number> {
  return await showView(flags, "taskloom jobs", async ({ operations, queue }) => {
    const { jobs, searched, unsearched, isCut } = await findAll(operations, {
      limit: flags.limit,
      ...(queue === undefined ? {} : { queue }),
      ...(flags.state === undefined ? {} : { state: flags.state }),
      ...(text === undefined ? {} : { text }),
    });
    const notes: string[] = [];
    if (unsearched > 0)
      notes.push(`The arguments of ${unsearched} of ${searched} jobs are too large to search`);
    if (isCut && flags.json !== true)
      notes.push(`There may be more than these ${jobs.length} jobs; --limit shows more`);
    return { json: jobs, text: () => jobsText(jobs), notes };
  });
}

function jobsText(jobs: readonly JobView[]): string {
  if (jobs.length === 0) return "no jobs found";
  return tableText(
    ["job", "task", "state", "queue", "arguments"],
    jobs.map((job) => [
      job.id,
      taskLabel(job),
      stateText(job.state),
      `${job.queue}.${job.lane}`,
      argumentText(job),
    ]),
  );
}

function argumentText({ args, omitted, unreadable }: JobView): string {
  if (unreadable !== undefined) return `unreadable: ${unreadable}`;
  return omitted?.["data"] === undefined
    ? brief(args, 40)
    : `${omitted["data"].toLocaleString("en-US")} bytes`;
}

/** Runs `taskloom cancel ID…`. */
export async function cancelCommand(
  ids: readonly string[],
  flags: OperatorFlags & { reason?: string },
): Promise<number> {
  return await withOperations(flags, async ({ operations, queue }) => {
    const { done: jobs, skipped } = await forEach(ids, (id) =>
      operations.cancel(id, flags.reason ?? "", queue),
    );
    if (flags.json === true) printJson(jobs);
    else {
      for (const { id, state } of jobs) {
        out(
          `${id}: `,
          hasEnded(state) ? stateText(state) : "cancellation requested; the job has not ended yet",
        );
      }
    }
    reportSkipped(skipped, "cancelled");
    const isAll = skipped.length === 0 && jobs.every(({ state }) => state === "cancelled");
    return isAll ? EXIT_CODES.ok : EXIT_CODES.partial;
  });
}

/** Runs `taskloom failed`, which groups the failed jobs by task and error. */
export async function failedCommand(flags: WatchFlags): Promise<number> {
  return await showView(flags, "taskloom failed", async ({ operations, queue }) => {
    const groups = await allFailures(operations, queue);
    const queues = Object.entries(await operations.queues());
    const unserved = queues.filter(
      ([name, view]) =>
        (queue === undefined || queue === name) &&
        view.workers === 0 &&
        lanes.some((lane) => view[lane].failed > 0),
    );
    return {
      json: groups,
      text: () => failedText(groups),
      notes: unserved.map(
        ([name]) => `No live worker serves queue ${name}; retried jobs wait there until one does`,
      ),
    };
  });
}

function failedText(groups: readonly FailedGroup[]): string {
  if (groups.length === 0) return "no failed jobs";
  return tableText(
    ["jobs", "task", "error", "last", "example"],
    groups.map(({ count, task, error, lastAt, ids }) => [
      count,
      task,
      cut(`${error.name}: ${error.message.replaceAll(/\s+/g, " ")}`, 80),
      new Date(lastAt).toLocaleString(),
      ids[0] ?? "",
    ]),
  );
}

/** Runs `taskloom retry ID… | --task NAME | --all`. */
export async function retryCommand(
  ids: readonly string[],
  flags: OperatorFlags & { task?: string; all?: boolean },
): Promise<number> {
  if (ids.length === 0 && flags.task === undefined && flags.all !== true) {
    throw usageFailure("Name the jobs to retry: ids, --task NAME, or --all");
  }
  return await withOperations(flags, async ({ operations, queue }) => {
    const { retried, skipped } =
      ids.length > 0
        ? await retryEach(operations, ids, queue)
        : await retryMatching(operations, {
            ...(queue === undefined ? {} : { queue }),
            ...(flags.task === undefined ? {} : { task: flags.task }),
          });
    if (flags.json === true) printJson({ retried, skipped });
    else {
      const isNone = retried.length === 0 && skipped.length === 0;
      process.stdout.write(isNone ? "no failed jobs\n" : `${retried.length} retried\n`);
    }
    reportSkipped(skipped, "retried");
    return skipped.length === 0 ? EXIT_CODES.ok : EXIT_CODES.partial;
  });
}

/** Runs `taskloom remove ID…` and `taskloom promote ID…`. */
export async function changeCommand(
  action: "remove" | "promote",
  ids: readonly string[],
  flags: OperatorFlags,
): Promise<number> {
  const done = { remove: "removed", promote: "promoted" }[action];
  return await withOperations(flags, async ({ operations, queue }) => {
    const { done: changed, skipped } = await forEach(ids, async (id) => {
      await operations[action](id, queue);
      return id;
    });
    if (flags.json === true) printJson({ [done]: changed, skipped });
    else out(`${changed.length} ${done}`);
    reportSkipped(skipped, done);
    return skipped.length === 0 ? EXIT_CODES.ok : EXIT_CODES.partial;
  });
}

/** The skipped jobs that are named one by one. */
const MAX_SHOWN_SKIPS = 10;

async function retryEach(
  operations: Operations,
  ids: readonly string[],
  queue: string | undefined,
): Promise<Pick<RetryPage, "retried" | "skipped">> {
  const { done, skipped } = await forEach(ids, async (id) => {
    await operations.retry(id, queue);
    return id;
  });
  return { retried: done, skipped };
}

/**
 * Calls `body` for each job. A job that does not exist, or whose state does not allow the command, is skipped.
 *
 * @throws every other error, such as that of an engine that does not answer, and the error of a job that is alone.
 */
async function forEach<T>(
  ids: readonly string[],
  body: (id: string) => Promise<T>,
): Promise<{ readonly done: T[]; readonly skipped: RetryPage["skipped"] }> {
  const done: T[] = [];
  const skipped: RetryPage["skipped"][number][] = [];
  const progress = new Progress(ids.length, "jobs");
  try {
    for (const id of ids) {
      try {
        done.push(await body(id));
      } catch (error) {
        const isOfThisJob = error instanceof ServiceError && (error.status === 404 || error.status === 409);
        if (!isOfThisJob || ids.length === 1) throw error;
        skipped.push({ id, code: error.code, message: error.message });
      }
      progress.advance();
    }
  } finally {
    progress.stop();
  }
  return { done, skipped };
}

function reportSkipped(skipped: RetryPage["skipped"], done: string): void {
  for (const { message } of skipped.slice(0, MAX_SHOWN_SKIPS)) err(`taskloom: ${message}`);
  if (skipped.length > MAX_SHOWN_SKIPS)
    err(`taskloom: ${skipped.length - MAX_SHOWN_SKIPS} more jobs were not ${done}`);
}

async function retryMatching(
  operations: Operations,
  search: RetrySearch,
): Promise<Pick<RetryPage, "retried" | "skipped">> {
  const retried: string[] = [];
  const skipped: RetryPage["skipped"][number][] = [];
  for await (const page of retryAll(operations, search)) {
    retried.push(...page.retried);
    skipped.push(...page.skipped);
  }
  return { retried, skipped };
}
