import { appendFileSync } from "node:fs";
import { sleep } from "@taskloom/loop";
import { currentJob, defineTask } from "@taskloom/queue";

/** Writes one line to the ledger. One append is one system call, so lines of different processes never mix. */
function record(what: "start" | "end", key: string): void {
  const { id, attempt } = currentJob() ?? { id: "none", attempt: 0 };
  appendFileSync(
    process.env["TASKLOOM_LEDGER"]!,
    `${what} ${key} ${id} ${attempt} ${process.pid} ${Date.now()}\n`,
  );
}

/** The value that only this job can return: its key and its id. */
function own(key: string): string {
  return `${key} of ${currentJob()?.id}`;
}

export const quick = defineTask({ name: "chaos.quick" }, async (key: string, milliseconds: number) => {
  record("start", key);
  await sleep(milliseconds);
  record("end", key);
  return own(key);
});

export const threaded = defineTask(
  { name: "chaos.threaded", module: import.meta.url, runsOn: "thread" },
  (key: string, milliseconds: number) => {
    record("start", key);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
    record("end", key);
    return own(key);
  },
);

/** Fails at its first attempt. */
export const stumbling = defineTask(
  { name: "chaos.stumbling", attempts: 4, backoff: { type: "fixed", delay: 50 } },
  async (key: string) => {
    record("start", key);
    await sleep(2);
    if (currentJob()?.attempt === 1) throw new Error(`${key} stumbled`);
    record("end", key);
    return own(key);
  },
);

/** Fails for good. */
export const failing = defineTask({ name: "chaos.failing" }, async (key: string): Promise<string> => {
  record("start", key);
  throw new Error(`${key} failed`);
});

/** A flow's parent: returns its own value and the values of its children. */
export const parent = defineTask({ name: "chaos.parent" }, async (key: string) => {
  record("start", key);
  record("end", key);
  return [own(key), ...(currentJob()?.childResults ?? []).map(String)];
});

/** One item of a pack. */
export const item = defineTask({ name: "chaos.item" }, async (key: string) => key);

/** Runs of a schedule; the key is the schedule's. */
export const tick = defineTask({ name: "chaos.tick" }, async (key: string) => {
  record("start", key);
  record("end", key);
});
