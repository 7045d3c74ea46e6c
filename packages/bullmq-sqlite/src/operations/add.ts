import type { JobsOptions } from "bullmq";
import { DELAYED, WAITING, WAITING_CHILDREN } from "../schema/states.ts";
import { Refusal } from "../store/store.ts";
import type { Store } from "../store/store.ts";
import { deduplicate } from "./deduplicate.ts";
import type { Deduplication } from "./deduplicate.ts";
import { adopt, findJob, linkChild, releaseParent } from "./parents.ts";
import type { ParentName } from "./parents.ts";
import { MISSING_PARENT, OTHER_PARENT } from "./refusals.ts";

/** A job to add. */
export interface NewJob {
  readonly queue: string;
  /** If it is empty, the queue chooses an id. */
  readonly id: string;
  readonly name: string;
  /** JSON. */
  readonly data: string;
  readonly opts: JobsOptions & { readonly debounce?: Deduplication };
  readonly priority: number;
  readonly delay: number;
  readonly timestamp: number;
  readonly parentQueue: string | null;
  readonly parentId: string | null;
  readonly parentKey: string | null;
  readonly dedupId: string | null;
  readonly schedulerId: string | null;
  readonly lifo: boolean;
  readonly waitsForChildren: boolean;
}

type Parent = ParentName & { readonly key: string | null };

function parentOfNew(job: NewJob): Parent | undefined {
  const { parentQueue: queue, parentId: id, parentKey: key } = job;
  return queue === null || id === null ? undefined : { queue, id, key };
}

/** Adds a job. Returns its id or, for a duplicate, the id of the job that takes its place. */
export function addJob(store: Store, job: NewJob): string {
  return add(store, job, false);
}

/** Adds all jobs, or none of them. */
export function addJobs(store: Store, jobs: readonly NewJob[]): string[] {
  return jobs.map((job) => add(store, job, false));
}

/**
 * Adds a flow, parents before their children. Returns the id of each job or, for a job that is refused, BullMQ's code; the
 * other jobs are added. A parent whose children had all completed before is released at the end.
 */
export function addFlow(store: Store, jobs: readonly NewJob[]): (string | number)[] {
  const parents = new Map<string, Parent>();
  const refused = new Set<string>();
  const ids = jobs.map((job) => {
    const parent = parentOfNew(job);
    const key = parent === undefined ? undefined : `${parent.queue}:${parent.id}`;
    if (parent !== undefined) parents.set(key!, parent);
    try {
      return add(store, job, true);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code === OTHER_PARENT) refused.add(key!);
      return error.code;
    }
  });
  const now = Date.now();
  for (const [key, parent] of parents) {
    if (refused.has(key)) continue;
    const row = findJob(store, parent.queue, parent.id);
    if (row !== undefined && Number(row["pending_children"]) === 0) releaseParent(store, parent, now);
  }
  return ids;
}

function add(store: Store, job: NewJob, releaseLater: boolean): string {
  const { queue, name, data, opts, priority, delay, timestamp, dedupId } = job;
  const q = store.require(queue);
  const id = job.id === "" ? store.nextId(q) : job.id;
  if (dedupId !== null && dedupId !== "") {
    const options = opts.deduplication ?? opts.debounce ?? { id: dedupId };
    const holder = deduplicate(store, queue, { name, data, opts, jobId: id }, options, timestamp);
    if (holder !== undefined) return holder;
  }
  const parent = parentOfNew(job);
  const parentRow = parent === undefined ? undefined : findJob(store, parent.queue, parent.id);
  if (parent !== undefined && parentRow === undefined) throw new Refusal(MISSING_PARENT);
  const due = !job.waitsForChildren && delay > 0 ? timestamp + delay : null;
  const state = job.waitsForChildren ? WAITING_CHILDREN : due === null ? WAITING : DELAYED;
  const inserted = store.run(
    "INSERT INTO job (q, id, name, state, prio, ord, due, delay, data, opts, added, dedup_id, scheduler_id, parent_queue, parent_id, parent_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (q, id) DO NOTHING",
    q,
    id,
    name,
    state,
    priority,
    store.nextOrd(job.lifo),
    due,
    delay,
    data,
    JSON.stringify(opts),
    timestamp,
    dedupId,
    job.schedulerId,
    job.parentQueue,
    job.parentId,
    job.parentKey,
  );
  if (inserted === 0) {
    if (!adopt(store, queue, id, parent, timestamp, releaseLater)) throw new Refusal(OTHER_PARENT);
    return id;
  }
  if (parentRow !== undefined) linkChild(store, parentRow, queue, id);
  store.publish(queue, "added", { jobId: id, name });
  if (state === WAITING_CHILDREN) store.publish(queue, "waiting-children", { jobId: id });
  else {
    if (due === null) store.publish(queue, "waiting", { jobId: id });
    else store.publish(queue, "delayed", { jobId: id, delay: due });
    store.wake(queue);
  }
  return id;
}
