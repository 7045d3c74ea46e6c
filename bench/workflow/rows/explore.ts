import { gather, sleep, timeout } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import { defineSignal, defineWorkflow, step } from "@taskloom/workflow";
import { exploreCrashes } from "@taskloom/workflow/testing";
import { measured, median } from "../report.ts";
import { rounds } from "../turns.ts";

const double = defineTask({ name: "bench.double" }, (n: number) => 2 * n);
const approved = defineSignal<number>("approved");

/** Steps in sequence and together, a timer, and a signal with a limit. */
const order = defineWorkflow({ name: "bench.order" }, function* (n: number) {
  const one = yield* step(double, n);
  const [two, three] = yield* gather([step(double, one), step(double, one + 1)]);
  yield* sleep(60_000);
  const by = yield* timeout(3_600_000, approved.receive());
  let sum = two + three + by;
  for (let at = 0; at < 4; at++) sum = yield* step(double, sum);
  return sum;
});

const options = { args: [1] as [number], seeds: 40, send: [{ at: 120_000, signal: approved, payload: 5 }] };

/** Lives of a small workflow a second, in one process. */
export async function explore(): Promise<void> {
  await exploreCrashes(order, options); // V8 compiles the code.
  const rates: number[] = [];
  let found = { lives: 0, crashes: 0, ticks: 0 };
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    found = await exploreCrashes(order, options);
    rates.push((found.lives / (performance.now() - from)) * 1_000);
  }
  const each = `${found.lives} lives, ${found.crashes} crashes, ${found.ticks} ticks a round`;
  measured("exploreCrashes", median(rates), { atLeast: 500, unit: " lives/s" }, each);
}
