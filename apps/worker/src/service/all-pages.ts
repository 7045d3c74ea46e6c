import { failureKey } from "@taskloom/queue/operating";
import type { FailedGroup, JobSearch, JobView, Operations, RetryPage, RetrySearch } from "./operations.ts";

/** What a search through all pages has found. */
export interface FoundJobs {
  readonly jobs: readonly JobView[];
  readonly searched: number;
  readonly unsearched: number;
  /** Whether there may be more than `limit`. */
  readonly isCut: boolean;
}

/** Goes on with a search, page after page, until it has `limit` jobs or has looked at all. */
export async function findAll(
  operations: Operations,
  search: JobSearch & { readonly limit: number },
): Promise<FoundJobs> {
  const jobs: JobView[] = [];
  let searched = 0;
  let unsearched = 0;
  for (let cursor: string | undefined; ;) {
    const page = await operations.jobs({
      ...search,
      limit: Math.min(search.limit - jobs.length, 1_000),
      ...(cursor === undefined ? {} : { cursor }),
    });
    jobs.push(...page.jobs);
    searched += page.searched;
    unsearched += page.unsearched ?? 0;
    cursor = page.next;
    if (cursor === undefined || jobs.length >= search.limit)
      return { jobs, searched, unsearched, isCut: cursor !== undefined };
  }
}

/** Every failure, grouped; the group that grew last comes first. */
export async function allFailures(operations: Operations, queue: string | undefined): Promise<FailedGroup[]> {
  const groups = new Map<string, FailedGroup>();
  for (let cursor: string | undefined; ;) {
    const page = await operations.failed(queue, cursor);
    for (const group of page.groups) {
      const key = failureKey(group.task, group.error.name, group.error.message);
      const before = groups.get(key);
      groups.set(key, before === undefined ? group : merged(before, group));
    }
    cursor = page.next;
    if (cursor === undefined) return [...groups.values()].toSorted((a, b) => b.lastAt - a.lastAt);
  }
}

function merged(a: FailedGroup, b: FailedGroup): FailedGroup {
  const latest = a.lastAt >= b.lastAt ? a : b;
  return { ...latest, count: a.count + b.count, ids: [...a.ids, ...b.ids].slice(0, 1_000) };
}

/** Retries page after page until nothing that had failed at the start is left. */
export async function* retryAll(
  operations: Operations,
  search: RetrySearch,
): AsyncGenerator<Pick<RetryPage, "retried" | "skipped">> {
  for (let cursor: string | undefined; ;) {
    const page = await operations.retryFailed({ ...search, ...(cursor === undefined ? {} : { cursor }) });
    yield page;
    cursor = page.next;
    if (cursor === undefined) return;
  }
}

/** Every line that a job has logged. */
export async function allLogs(
  operations: Operations,
  id: string,
  queue: string | undefined,
): Promise<string[]> {
  const lines: string[] = [];
  for (;;) {
    const page = await operations.logs(id, lines.length, queue);
    if (page.length === 0) return lines;
    lines.push(...page);
  }
}
