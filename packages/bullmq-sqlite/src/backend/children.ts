import type { DependenciesOpts, IQueueBackend } from "bullmq";
import type { ChildEntry } from "../operations/queries.ts";
import { FAILED_CHILD, IGNORED_CHILD, PENDING_CHILD, PROCESSED_CHILD } from "../schema/states.ts";
import type { QueueOperations } from "./queue-operations.ts";

type Dependencies = Awaited<ReturnType<IQueueBackend["getDependencies"]>>;
type Page = Awaited<ReturnType<IQueueBackend["paginate"]>>;

/** The numbers of BullMQ's names for the states of children. */
const CHILD_STATES: Readonly<Record<string, number>> = {
  processed: PROCESSED_CHILD,
  unprocessed: PENDING_CHILD,
  ignored: IGNORED_CHILD,
  failed: FAILED_CHILD,
};

/** BullMQ's number of children on a page. */
const PAGE_SIZE = 20;

function valuesOf(children: readonly ChildEntry[]): Record<string, unknown> {
  return Object.fromEntries(children.map(({ key, value }) => [key, parsed(value)]));
}

function keysOf(children: readonly ChildEntry[]): string[] {
  return children.map(({ key }) => key);
}

function parsed(value: string | null): unknown {
  return JSON.parse(value ?? "null");
}

/** Returns the number of a job's children in each of the states. */
export async function countDependencies(
  operations: QueueOperations,
  jobId: string,
  states: readonly string[],
): Promise<number[]> {
  const counts = await operations.run("countChildren", operations.queue, jobId);
  return states.map((state) => counts[CHILD_STATES[state] ?? -1] ?? 0);
}

/** Returns a job's children by state: all of them, or one page of each state that `options` names. */
export async function getDependencies(
  operations: QueueOperations,
  jobId: string,
  options: DependenciesOpts,
): Promise<Dependencies> {
  const { processed, unprocessed, ignored, failed } = options;
  if (![processed, unprocessed, ignored, failed].some((page) => page !== undefined))
    return await allDependencies(operations, jobId);
  const page = async (
    status: number,
    { cursor = 0, count = PAGE_SIZE }: { readonly cursor?: number; readonly count?: number },
  ): Promise<{ readonly children: ChildEntry[]; readonly next: number }> => {
    const { children } = await operations.run("getChildren", operations.queue, jobId, {
      status,
      offset: cursor,
      limit: count,
    });
    return { children, next: children.length < count ? 0 : cursor + count };
  };
  const result: Dependencies = {};
  if (processed !== undefined) {
    const { children, next } = await page(PROCESSED_CHILD, processed);
    Object.assign(result, { processed: valuesOf(children), nextProcessedCursor: next });
  }
  if (unprocessed !== undefined) {
    const { children, next } = await page(PENDING_CHILD, unprocessed);
    Object.assign(result, { unprocessed: keysOf(children), nextUnprocessedCursor: next });
  }
  if (ignored !== undefined) {
    const { children, next } = await page(IGNORED_CHILD, ignored);
    Object.assign(result, { ignored: valuesOf(children), nextIgnoredCursor: next });
  }
  if (failed !== undefined) {
    const { children, next } = await page(FAILED_CHILD, failed);
    Object.assign(result, { failed: keysOf(children), nextFailedCursor: next });
  }
  return result;
}

async function allDependencies(operations: QueueOperations, jobId: string): Promise<Dependencies> {
  const { children } = await operations.run("getChildren", operations.queue, jobId);
  const inState = (status: number): ChildEntry[] => children.filter((child) => child.status === status);
  return {
    processed: valuesOf(inState(PROCESSED_CHILD)),
    unprocessed: keysOf(inState(PENDING_CHILD)),
    ignored: valuesOf(inState(IGNORED_CHILD)),
    failed: keysOf(inState(FAILED_CHILD)),
  };
}

/** Returns the results of a job's completed children as JSON, by their keys. */
export async function getProcessedValues(
  operations: QueueOperations,
  jobId: string,
): Promise<Record<string, string>> {
  const { children } = await operations.run("getChildren", operations.queue, jobId, {
    status: PROCESSED_CHILD,
  });
  return Object.fromEntries(children.map(({ key, value }) => [key, value ?? "null"]));
}

/** Returns the reasons of a job's failed children that its options ignore, by their keys. */
export async function getIgnoredFailures(
  operations: QueueOperations,
  jobId: string,
): Promise<Record<string, string>> {
  const { children } = await operations.run("getChildren", operations.queue, jobId, {
    status: IGNORED_CHILD,
  });
  return Object.fromEntries(children.map(({ key, value }) => [key, String(parsed(value))]));
}

/**
 * Returns a page of the children of a job. BullMQ names them by a key: `QUEUE:ID:dependencies` for pending children,
 * `QUEUE:ID:processed` for completed children.
 */
export async function paginate(
  operations: QueueOperations,
  key: string,
  options: { readonly start: number; readonly end: number; readonly fetchJobs?: boolean },
): Promise<Page> {
  const prefix = `${operations.queue}:`;
  const inner = key.startsWith(prefix) ? key.slice(prefix.length) : key;
  const isProcessed = inner.endsWith(":processed");
  const parentId = inner.slice(0, inner.lastIndexOf(":"));
  const withJobs = options.fetchJobs === true;
  const offset = Math.max(options.start ?? 0, 0);
  const { total, children } = await operations.run("getChildren", operations.queue, parentId, {
    status: isProcessed ? PROCESSED_CHILD : PENDING_CHILD,
    offset,
    limit: options.end !== undefined && options.end >= 0 ? options.end - offset + 1 : -1,
    withJobs,
  });
  const items = children.map(({ key: id, value }) => (isProcessed ? { id, v: parsed(value) } : { id }));
  const jobs = children.flatMap(({ job }) => (job === undefined ? [] : [job]));
  return { cursor: "0", items, total, ...(withJobs ? { jobs } : {}) };
}
