import { appendFileSync, readFileSync } from "node:fs";
import { sleep } from "@taskloom/loop";
import { currentJob, defineTask } from "@taskloom/queue";

/** Writes one line to the ledger; appended in one system call, so that lines of many processes never mix. */
function record(what: "start" | "end", id: string): void {
  appendFileSync(process.env["TASKLOOM_LEDGER"]!, `${what} ${id} ${process.pid} ${Date.now()}\n`);
}

/** Leaves a mark when it starts and when it ends, and takes a while in between. Gives back what it was given. */
export const marked = defineTask({ name: "fault.marked" }, async (key: string, milliseconds: number) => {
  record("start", key);
  await sleep(milliseconds);
  record("end", key);
  return `${key} of ${currentJob()?.id}`;
});

/** As {@link marked}; gives back which attempt it was. */
export const attempted = defineTask(
  { name: "fault.attempted", attempts: 3 },
  async (key: string, milliseconds: number) => {
    record("start", key);
    await sleep(milliseconds);
    record("end", key);
    return currentJob()?.attempt;
  },
);

/** So long a first run takes: longer than any test, so that it never ends by itself. */
const endless = 3_600_000;

/** How often a key has started; the ledger is all that the processes share. */
function starts(key: string): number {
  const ledger = readFileSync(process.env["TASKLOOM_LEDGER"]!, "utf8");
  return ledger.match(new RegExp(`^start ${key} `, "gm"))?.length ?? 0;
}

/** As {@link attempted}; the first run does not end by itself, and each later one ends at once. */
export const heldAtFirst = defineTask({ name: "fault.held-at-first", attempts: 3 }, async (key: string) => {
  record("start", key);
  if (starts(key) === 1) await sleep(endless);
  record("end", key);
  return currentJob()?.attempt;
});

/** As {@link heldAtFirst}, on a thread that it blocks. */
export const threadHeldAtFirst = defineTask(
  { name: "fault.thread-held-at-first", module: import.meta.url, runsOn: "thread", attempts: 3 },
  (key: string) => {
    record("start", key);
    if (starts(key) === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, endless);
    record("end", key);
    return currentJob()?.attempt;
  },
);

/** Takes so long, and gives back its key. `racingStrictly` is the same in strict mode. */
export const racing = defineTask({ name: "fault.racing" }, async (key: string, milliseconds: number) => {
  await sleep(milliseconds);
  return key;
});
export const racingStrictly = defineTask(
  { name: "fault.racing-strictly", strict: true },
  async (key: string, milliseconds: number) => await racing(key, milliseconds),
);

/** Fails twice, with short waits in between, and gives back its key at the third attempt. */
export const stumbling = defineTask(
  { name: "fault.stumbling", strict: true, attempts: 3, backoff: { type: "fixed", delay: 10 } },
  async (key: string) => {
    await sleep(2);
    if (currentJob()?.attempt !== 3) throw new Error("not yet");
    return key;
  },
);

/** As {@link marked}, and fails. */
export const failing = defineTask({ name: "fault.failing" }, async (key: string): Promise<never> => {
  record("start", key);
  throw new Error(`${key} failed`);
});

/** As {@link marked}, the parent of a flow, on a thread: gives back what its children gave. */
export const parenting = defineTask(
  { name: "fault.parenting", module: import.meta.url, runsOn: "thread" },
  (key: string): string[] => {
    record("start", key);
    record("end", key);
    return (currentJob()?.childResults ?? []).map(String);
  },
);

/** Gives back how many parts it was given. */
export const collecting = defineTask({ name: "fault.collecting" }, async () => "collected");

/** As {@link marked}, on a thread that it blocks. */
export const threaded = defineTask(
  { name: "fault.threaded", module: import.meta.url, runsOn: "thread" },
  (key: string, milliseconds: number) => {
    record("start", key);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
    record("end", key);
    return key;
  },
);

/** A task that `tasks-next.ts` has in a newer version. */
export const versioned = defineTask({ name: "fault.versioned" }, async () => "version 1");

/** As {@link marked}, but it holds the event loop all the while. */
export const blocking = defineTask({ name: "fault.blocking" }, async (key: string, milliseconds: number) => {
  record("start", key);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  record("end", key);
  return key;
});

/** Kills its own worker until it was started so many times. */
export const deadly = defineTask(
  { name: "fault.deadly", attempts: 5 },
  async (key: string, deaths: number) => {
    record("start", key);
    if (starts(key) <= deaths) process.kill(process.pid, "SIGKILL");
    record("end", key);
    return currentJob()?.attempt;
  },
);
