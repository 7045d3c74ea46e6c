import type { Transaction } from "@taskloom/bullmq-sqlite";
import { workerOfToken } from "../../../contract/cancellation.ts";
import { KEPT_KEYS, MAX_UNREAD } from "../../../contract/run-journal.ts";
import type { DeliverAnswer, Delivery, RunHead } from "../../../contract/run-journal.ts";
import { clear, entriesFrom, findRun, headOf, itemsFrom, runOf, save } from "./stored-run.ts";
import type { StoredRun } from "./stored-run.ts";

// The database thread loads this module, so it imports no other package.

/** Returns the channel on which the owners of runs in a worker are notified of deliveries. */
export function deliverChannel(workerId: string): string {
  return `deliver:${workerId}`;
}

export function deliver(
  transaction: Transaction,
  queue: string,
  id: string,
  items: readonly string[],
  key: string | undefined,
): DeliverAnswer {
  const job = transaction.job(queue, id);
  if (job === undefined) return { kind: "gone" };
  if (job.finished !== undefined) return { kind: "ended" };
  const run = runOf(transaction, queue, id, job.added);
  const unread = run.delivered - run.consumed;
  const keys: string[] = JSON.parse(run.keys);
  if (key !== undefined && keys.includes(key)) return { kind: "stored", unread };
  if (unread + items.length > MAX_UNREAD) return { kind: "full" };
  for (const [index, item] of items.entries())
    transaction.run("INSERT INTO taskloom_inbox VALUES (?, ?, ?, ?)", queue, id, run.delivered + index, item);
  run.delivered += items.length;
  if (key !== undefined) run.keys = JSON.stringify([...keys, key].slice(-KEPT_KEYS));
  save(transaction, run);
  if (job.state === "delayed" && job.attemptsStarted > 0) transaction.promote(queue, id);
  if (job.token !== undefined) {
    const delivery: Delivery = { lane: queue, id };
    transaction.post(deliverChannel(workerOfToken(job.token)), JSON.stringify(delivery));
  }
  return { kind: "stored", unread: unread + items.length };
}

/** Reads some of the runs with unread items, and promotes the parked ones. */
export function sweep(
  transaction: Transaction,
  queue: string,
  after: string,
  count: number,
): { readonly promoted: number; readonly last: string | undefined } {
  const rows = transaction.all(
    "SELECT id FROM taskloom_run WHERE queue = ? AND id > ? AND delivered > consumed ORDER BY id LIMIT ?",
    queue,
    after,
    count,
  );
  let promoted = 0;
  for (const { id } of rows) {
    const job = transaction.job(queue, String(id));
    if (job?.state !== "delayed" || job.attemptsStarted === 0) continue;
    transaction.promote(queue, String(id));
    promoted++;
  }
  return { promoted, last: rows.length < count ? undefined : String(rows.at(-1)?.["id"]) };
}

/** Reads some of the journals, and removes those without a job. Returns the last one, if there may be more. */
export function search(
  transaction: Transaction,
  queue: string,
  after: string,
  count: number,
): string | undefined {
  const rows = transaction.all(
    "SELECT id FROM taskloom_run WHERE queue = ? AND id > ? ORDER BY id LIMIT ?",
    queue,
    after,
    count,
  );
  const ids = rows.map(({ id }) => String(id));
  forget(transaction, queue, ids);
  return rows.length < count ? undefined : ids.at(-1);
}

export function forget(transaction: Transaction, queue: string, ids: readonly string[]): void {
  for (const id of ids) if (transaction.job(queue, id) === undefined) clear(transaction, queue, id);
}

function storedRun(transaction: Transaction, queue: string, id: string): StoredRun | undefined {
  const job = transaction.job(queue, id);
  return job && findRun(transaction, queue, id, job.added);
}

export function read(
  transaction: Transaction,
  queue: string,
  id: string,
  from: number,
  count: number,
): string[] {
  const run = storedRun(transaction, queue, id);
  return run === undefined ? [] : entriesFrom(transaction, run, from, count);
}

export function readInbox(
  transaction: Transaction,
  queue: string,
  id: string,
  from: number,
  count: number,
): string[] {
  const run = storedRun(transaction, queue, id);
  return run === undefined ? [] : itemsFrom(transaction, run, from, count);
}

export function view(
  transaction: Transaction,
  queue: string,
  ids: readonly string[],
): (string | undefined)[] {
  return ids.map((id) => storedRun(transaction, queue, id)?.view ?? undefined);
}

export function head(transaction: Transaction, queue: string, id: string): RunHead | undefined {
  const run = storedRun(transaction, queue, id);
  return run && headOf(transaction, run);
}
