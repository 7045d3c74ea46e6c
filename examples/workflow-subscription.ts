// A subscription that bills each month for as long as it lives. In a test, two years take milliseconds.
import { run, sleep } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { defineTask } from "@taskloom/queue";
import { continueAs, defineSignal, defineWorkflow, step } from "@taskloom/workflow";
import { exploreCrashes } from "@taskloom/workflow/testing";

const MONTH_MS = 30 * 86_400_000;
/** The months of one history. A history must not grow without end. */
const MONTHS_OF_HISTORY = 12;

const bill = defineTask({ name: "bill", attempts: 10 }, (customer: string, month: number) => {
  return `${customer} paid month ${month}`;
});
const ended = defineSignal("ended");

export const subscription = defineWorkflow(
  { name: "subscription" },
  function* (customer: string, month: number, last: number): Generator<unknown, string, unknown> {
    for (let billed = 0; billed < MONTHS_OF_HISTORY; billed++, month++) {
      if (month > last || ended.receiveNowait() !== undefined)
        return `${customer} left after month ${month - 1}`;
      yield* step(bill, customer, month);
      yield* sleep(MONTH_MS);
    }
    return continueAs(subscription, customer, month, last);
  },
);

export async function main(): Promise<void> {
  // Plainly, in virtual time: the function itself, without a queue.
  console.log(await run(subscription("Ada", 1, 10), { clock: virtualClock() }));
  // With a crash before and after each append, also over the end of a history.
  const { crashes } = await exploreCrashes(subscription, { args: ["Grace", 1, 24], seeds: 1 });
  console.log(`the same end after each of ${crashes} crashes`);
}

if (import.meta.main) await main();
