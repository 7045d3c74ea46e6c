import { appendFileSync } from "node:fs";
import { sleep } from "@taskloom/loop";
import { currentJob, defineTask } from "@taskloom/queue";
import { defineSignal, defineWorkflow, step, submit } from "@taskloom/workflow";

/**
 * The waits of a run, one after the other, and the run parks at each: for a signal (`s`), a job (`j`), a child (`c`), and at
 * the end for a cancel (`x`).
 */
export type Waits = readonly ("s" | "j" | "c" | "x")[];

/** A signal with its number, so that a repeated one is noticed: a sender that was killed sends it again. */
export const numbered = defineSignal<number>("numbered");

const quick = defineTask({ name: "waits.quick" }, async (n: number) => {
  appendFileSync(process.env["TASKLOOM_LEDGER"]!, `${process.pid} ${currentJob()!.id}\n`);
  await sleep(5);
  return n;
});
const slept = defineWorkflow({ name: "waits.slept", residentFor: 0 }, function* (n: number) {
  yield* sleep(20);
  return n;
});

/** Returns the number of each wait in its order; a cancelled run runs one more step. */
export const waiter = defineWorkflow({ name: "waits.waiter", residentFor: 0 }, function* (waits: Waits) {
  const done: number[] = [];
  try {
    for (const [n, wait] of waits.entries()) {
      if (wait === "j") done.push(yield* submit(quick, n));
      else if (wait === "c") done.push(yield* submit(slept, n));
      else {
        let heard = yield* numbered.receive();
        while (heard < n) heard = yield* numbered.receive();
        done.push(heard);
      }
    }
    return done;
  } finally {
    yield* step(quick, -1);
  }
});

export const waitingTasks: readonly object[] = [quick, slept, waiter];
