import { failureKey, pages } from "@taskloom/queue/operating";
import type { FailedGroup, JobSearch, JobView, Operations, RetryPage, RetrySearch } from "./operations.ts";

/** The result of a search through all pages. */
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
  let isCut = false;
  const found = pages((at) =>
    operations.jobs({ ...search, limit: Math.min(search.limit - jobs.length, 1_000), ...at }),
  );
  for await (const page of found) {
    jobs.push(...page.jobs);
    searched += page.searched;
    unsearched += page.unsearched ?? 0;
    isCut = page.next !== undefined;
    if (jobs.length >= search.limit) break;
  }
  return { jobs, searched, unsearched, isCut };
}

/** Every failure, grouped; the group that grew last comes first. */
export async function allFailures(operations: Operations, queue: string | undefined): Promise<FailedGroup[]> {
  const groups = new Map<string, FailedGroup>();
  for await (const page of pages(({ cursor }) => operations.failed(queue, cursor))) {
    for (const group of page.groups) {
      const key = failureKey(group.task, group.error.name, group.error.message);
      const before = groups.get(key);
      groups.set(key, before === undefined ? group : merged(before, group));
    }
  }
  return [...groups.values()].toSorted((a, b) => b.lastAt - a.lastAt);
}

function merged(a: FailedGroup, b: FailedGroup): FailedGroup {
  const latest = a.lastAt >= b.lastAt ? a : b;
  return { ...latest, count: a.count + b.count, ids: [...a.ids, ...b.ids].slice(0, 1_000) };
}

/** Retries page after page until nothing that had failed at the start is left. */
export function retryAll(
  operations: Operations,
  search: RetrySearch,
): AsyncGenerator<Pick<RetryPage, "retried" | "skipped">> {
  return pages((at) => operations.retryFailed({ ...search, ...at }));
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
