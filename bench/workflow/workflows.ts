/** The durable runs of the bench's side of Taskloom. Steps record their times, since the clock of a run stands still. */
import { gather, sleep } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import { defineSignal, defineWorkflow, now, step } from "@taskloom/workflow";
import { Marks } from "./answer.ts";

export const marks: Marks = new Marks();
export const go = defineSignal<number>("go");

const wallTime = (): number => performance.timeOrigin + performance.now();

export const mark = defineTask({ name: "bench.mark" }, async () => marks.add());
/** Reports its start to the bench. */
export const report = defineTask({ name: "bench.report" }, async (n: number) => {
  process.send?.({ reported: { n, at: wallTime() } });
});
/** Reports its start, and takes some time. */
export const pace = defineTask({ name: "bench.pace" }, async (n: number) => {
  process.send?.({ paced: { n, at: wallTime() } });
  await sleep(20);
});
export const fired = { count: 0 };
export const fire = defineTask({ name: "bench.fire" }, async () => {
  fired.count++;
});

export const sequential = defineWorkflow({ name: "bench.sequential" }, function* (count: number) {
  for (let n = 0; n < count; n++) yield* step(mark);
});
export const together = defineWorkflow({ name: "bench.together" }, function* (count: number) {
  yield* gather(Array.from({ length: count }, () => step(mark)));
});
/** Makes a history, and then a step for each signal. It is parked as soon as it waits. */
export const waiting = defineWorkflow({ name: "bench.waiting", residentFor: 0 }, function* (count: number) {
  for (let n = 0; n < count; n++) yield* step(mark);
  for (;;) yield* step(report, yield* go.receive());
});
/** Stays in memory. */
export const resident = defineWorkflow({ name: "bench.resident", residentFor: 3_600_000 }, function* () {
  yield* go.receive();
});
export const sleeper = defineWorkflow({ name: "bench.sleeper", residentFor: 0 }, function* (until: number) {
  yield* sleep(until - now());
  yield* step(fire);
});
export const endless = defineWorkflow({ name: "bench.endless" }, function* () {
  for (let n = 0; ; n++) yield* step(pace, n);
});

export const tasks = [
  mark,
  report,
  pace,
  fire,
  sequential,
  together,
  waiting,
  resident,
  sleeper,
  endless,
] as const;
