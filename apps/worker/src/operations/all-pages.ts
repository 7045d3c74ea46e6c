import { pages } from "@taskloom/queue/operating";
import type { FailedGroup, JobSearch, JobView, Operations, RetryPage, RetrySearch } from "./operations.ts";

/** The result of a search over all pages. */
export interface FoundJobs {
  readonly jobs: readonly JobView[];
  readonly searched: number;
  readonly unsearched: number;
  /** Whether there may be more jobs than `limit`. */
  readonly isCut: boolean;
}

/** Searches page after page until `limit` jobs are found, or all jobs are read. */
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

/** Returns all failed jobs in groups; the group with the latest failure comes first. */
export async function allFailures(operations: Operations, queue: string | undefined): Promise<FailedGroup[]> {
  const groups = new Map<string, FailedGroup>();
  for await (const page of pages(({ cursor }) => operations.failed(queue, cursor))) {
    for (const group of page.groups) {
      const before = groups.get(group.key);
      groups.set(group.key, before === undefined ? group : merged(before, group));
    }
  }
  return [...groups.values()].toSorted((a, b) => b.lastAt - a.lastAt);
}

/** The ids that a group has at most, as on a single page. */
const MAX_IDS = 1_000;

function merged(a: FailedGroup, b: FailedGroup): FailedGroup {
  const latest = a.lastAt >= b.lastAt ? a : b;
  return { ...latest, count: a.count + b.count, ids: [...a.ids, ...b.ids].slice(0, MAX_IDS) };
}

/** Retries page after page until no job is left that had failed at the start. */
export function retryAll(
  operations: Operations,
  search: RetrySearch,
): AsyncGenerator<Pick<RetryPage, "retried" | "skipped">> {
  return pages((at) => operations.retryFailed({ ...search, ...at }));
}

/** Returns the pages of a list that is read from a place on, until a page is empty. */
export async function* pagesFrom<T>(
  read: (from: number) => Promise<readonly T[]>,
): AsyncGenerator<readonly T[], void> {
  for (let from = 0; ;) {
    const page = await read(from);
    if (page.length === 0) return;
    yield page;
    from += page.length;
  }
}

/** Returns all items of a list that is read from a place on. */
export async function allFrom<T>(read: (from: number) => Promise<readonly T[]>): Promise<T[]> {
  const items: T[] = [];
  for await (const page of pagesFrom(read)) items.push(...page);
  return items;
}
