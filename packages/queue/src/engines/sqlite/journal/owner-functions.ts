import type { Transaction } from "@taskloom/bullmq-sqlite";
import type {
  AppendAnswer,
  Continuation,
  OpenedRun,
  ParkAnswer,
  ParkTerms,
  RunAppend,
} from "../../../contract/run-journal.ts";
import { entriesFrom, entryAt, headOf, itemsFrom, lengthOf, runOf, save } from "./stored-run.ts";
import type { StoredRun } from "./stored-run.ts";

// The database thread loads this module, so it imports no other package.

/** Returns the journal of a job, if the token is that of its lock. */
function ownRun(transaction: Transaction, queue: string, id: string, token: string): StoredRun | undefined {
  const job = transaction.job(queue, id);
  if (job?.state !== "active" || job.token !== token) return undefined;
  return runOf(transaction, queue, id, job.added);
}

export function open(
  transaction: Transaction,
  queue: string,
  id: string,
  token: string,
  from: number,
): OpenedRun | undefined {
  const run = ownRun(transaction, queue, id, token);
  if (run === undefined) return undefined;
  if (run.owner !== token) {
    if (run.owner !== null) run.deaths++;
    run.epoch++;
    run.owner = token;
    save(transaction, run);
  }
  return {
    ...headOf(transaction, run),
    entries: entriesFrom(transaction, run, from),
    inbox: itemsFrom(transaction, run, 0),
  };
}

export function append(
  transaction: Transaction,
  queue: string,
  appends: readonly RunAppend[],
): AppendAnswer[] {
  return appends.map((each) => appendOne(transaction, queue, each));
}

function appendOne(transaction: Transaction, queue: string, added: RunAppend): AppendAnswer {
  const { id, at, entries, view, consume, known = consume } = added;
  const job = transaction.job(queue, id);
  if (job === undefined) return { kind: "lost" };
  const run = runOf(transaction, queue, id, job.added);
  if (added.epoch < run.epoch || added.generation < run.generation) return { kind: "lost" };
  const isSame = added.generation === run.generation;
  const length = lengthOf(transaction, run);
  let isChanged = false;
  if (!isSame || at !== length) {
    const last = entries.length === 0 || !isSame || at > length ? undefined : entries.at(-1);
    const isRepeat = last !== undefined && entryAt(transaction, run, at + entries.length - 1) === last;
    if (!isRepeat) {
      if (job.finished !== undefined || (isSame && at < length)) return { kind: "lost" };
      takeOver(run, added, job.token);
      save(transaction, run);
      return short(transaction, run, length);
    }
  } else {
    if (job.finished !== undefined) return { kind: "lost" };
    isChanged = takeOver(run, added, job.token);
    for (const [index, entry] of entries.entries()) {
      transaction.run(
        "INSERT INTO taskloom_log VALUES (?, ?, ?, ?, ?)",
        queue,
        id,
        run.generation,
        at + index,
        entry,
      );
    }
    if (run.deaths > 0 && (entries.length > 0 || consume > run.consumed)) {
      run.deaths = 0;
      isChanged = true;
    }
    if (view !== undefined) {
      run.view = view;
      isChanged = true;
    }
  }
  if (consumeItems(transaction, run, consume) || isChanged) save(transaction, run);
  return {
    kind: "ok",
    unread: run.delivered - run.consumed,
    inbox: itemsFrom(transaction, run, known),
  };
}

/** Makes an owner the owner of its run, for the first append and after the engine lost an opening. */
function takeOver(run: StoredRun, { epoch }: RunAppend, token: string | undefined): boolean {
  if (epoch === run.epoch && run.owner !== null) return false;
  run.epoch = epoch;
  run.owner ??= token ?? "?";
  return true;
}

function short(transaction: Transaction, run: StoredRun, length: number): AppendAnswer {
  return {
    kind: "short",
    generation: run.generation,
    length,
    last: entryAt(transaction, run, length - 1),
    read: run.consumed,
    unread: run.delivered - run.consumed,
    inbox: itemsFrom(transaction, run, 0),
  };
}

/** Consumes items, and returns whether the row has changed. */
function consumeItems(transaction: Transaction, run: StoredRun, count: number): boolean {
  if (count <= run.consumed) return false;
  transaction.run(
    "DELETE FROM taskloom_inbox WHERE queue = ? AND id = ? AND seq < ?",
    run.queue,
    run.id,
    count,
  );
  run.consumed = count;
  run.delivered = Math.max(run.delivered, count);
  return true;
}

export function park(
  transaction: Transaction,
  queue: string,
  id: string,
  { token, epoch, generation, read, until }: ParkTerms,
  delay: number,
): ParkAnswer {
  const run = ownRun(transaction, queue, id, token);
  if (run === undefined || epoch < run.epoch || generation < run.generation) return "lost";
  if (run.delivered > read) return "news";
  transaction.moveToDelayed(queue, id, token, until, delay);
  run.owner = null;
  save(transaction, run);
  return "parked";
}

export function release(transaction: Transaction, queue: string, id: string, epoch: number): void {
  transaction.run(
    "UPDATE taskloom_run SET owner = NULL WHERE queue = ? AND id = ? AND epoch = ?",
    queue,
    id,
    epoch,
  );
}

export function continueAs(
  transaction: Transaction,
  queue: string,
  id: string,
  next: Omit<Continuation, "data" | "name">,
  data: string,
  name: string | null,
): boolean {
  const run = ownRun(transaction, queue, id, next.token);
  if (run === undefined || next.epoch < run.epoch) return false;
  if (next.generation !== run.generation) return next.generation === run.generation - 1;
  transaction.run("DELETE FROM taskloom_log WHERE queue = ? AND id = ?", queue, id);
  consumeItems(transaction, run, next.consume);
  run.epoch = next.epoch;
  run.generation++;
  run.deaths = 0;
  save(transaction, run);
  transaction.run(
    "UPDATE job SET data = ?, name = coalesce(?, name) WHERE q = (SELECT q FROM queue WHERE name = ?) AND id = ?",
    data,
    name,
    queue,
    id,
  );
  return true;
}
