import { appendFileSync, readFileSync } from "node:fs";
import { sleep } from "@taskloom/loop";
import { currentJob, defineTask } from "@taskloom/queue";

/** Writes one line to the ledger in one system call, so that lines of many processes never mix. */
function record(what: "start" | "end", id: string): void {
  appendFileSync(process.env["TASKLOOM_LEDGER"]!, `${what} ${id} ${process.pid} ${Date.now()}\n`);
}

/** Records its start and its end with a pause in between, and returns its argument. */
export const marked = defineTask({ name: "fault.marked" }, async (key: string, milliseconds: number) => {
  record("start", key);
  await sleep(milliseconds);
  record("end", key);
  return `${key} of ${currentJob()?.id}`;
});

/** As {@link marked}; returns its attempt. */
export const attempted = defineTask(
  { name: "fault.attempted", attempts: 3 },
  async (key: string, milliseconds: number) => {
    record("start", key);
    await sleep(milliseconds);
    record("end", key);
    return currentJob()?.attempt;
  },
);

/** The duration of a first run: longer than any test, so that it never ends by itself. */
const endless = 3_600_000;

/** Returns the number of starts of a key; the processes share only the ledger. */
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

/** Takes that long, and returns its key. `racingStrictly` is the same in strict mode. */
export const racing = defineTask({ name: "fault.racing" }, async (key: string, milliseconds: number) => {
  await sleep(milliseconds);
  return key;
});
export const racingStrictly = defineTask(
  { name: "fault.racing-strictly", strict: true },
  async (key: string, milliseconds: number) => await racing(key, milliseconds),
);

/** Fails twice, with short waits in between, and returns its key at the third attempt. */
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

/** As {@link marked}, as the parent of a flow, on a thread: returns the results of its children. */
export const parenting = defineTask(
  { name: "fault.parenting", module: import.meta.url, runsOn: "thread" },
  (key: string): string[] => {
    record("start", key);
    record("end", key);
    return (currentJob()?.childResults ?? []).map(String);
  },
);

/** Returns the number of its parts. */
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

/** A task of which `tasks-next.ts` has a newer version. */
export const versioned = defineTask({ name: "fault.versioned" }, async () => "version 1");

/** As {@link marked}, but it blocks the event loop meanwhile. */
export const blocking = defineTask({ name: "fault.blocking" }, async (key: string, milliseconds: number) => {
  record("start", key);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  record("end", key);
  return key;
});

/** Kills its own worker until it was started that many times. */
export const deadly = defineTask(
  { name: "fault.deadly", attempts: 5 },
  async (key: string, deaths: number) => {
    record("start", key);
    if (starts(key) <= deaths) process.kill(process.pid, "SIGKILL");
    record("end", key);
    return currentJob()?.attempt;
  },
);
