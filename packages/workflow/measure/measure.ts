// Prints the costs of a durable run: replay a tick, memory of a resident run, lives a second of exploreCrashes.
//
//   node --expose-gc --conditions=@taskloom/source packages/workflow/measure/measure.ts
import { gather, sleep } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import { defineWorkflow, step } from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { DurableRun } from "@taskloom/workflow/running";
import type { RunHost } from "@taskloom/workflow/running";
import { exploreCrashes } from "@taskloom/workflow/testing";

const nowhere: RunHost = { startStep() {}, submit() {}, cancel() {}, answer() {}, log() {}, warn() {} };
const work = defineTask({ name: "work" }, (n: number) => n + 1);
const plain = (workflow: unknown): WorkflowDefinition => workflow as WorkflowDefinition;

const sequence = defineWorkflow({ name: "sequence" }, function* (count: number) {
  let n = 0;
  for (let i = 0; i < count; i++) n = yield* step(work, n);
  return n;
});
const sequenceAsync = defineWorkflow({ name: "sequence.async" }, async (count: number) => {
  let n = 0;
  // oxlint-disable-next-line no-await-in-loop -- one step after the other
  for (let i = 0; i < count; i++) n = await step(work, n);
  return n;
});

function runOf(workflow: WorkflowDefinition, args: readonly number[], id = "workflow.measured"): DurableRun {
  return new DurableRun({ workflow, args: [...args], id, host: nowhere });
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** Records a sequence of steps, and replays it. */
async function replayCost(workflow: WorkflowDefinition, ticks: number): Promise<string> {
  const log: string[] = [];
  const run = runOf(workflow, [ticks]);
  let result = await run.tick(0, []);
  const began = performance.now();
  for (let n = 1; result.end === undefined; n++) {
    log.push(result.entry);
    run.release(run.length);
    // oxlint-disable-next-line no-await-in-loop -- one tick after the other
    result = await run.tick(n, [[n, 0, n]]);
  }
  log.push(result.entry);
  const live = ((performance.now() - began) * 1000) / log.length;
  const costs: number[] = [];
  for (let round = 0; round < 15; round++) {
    const again = runOf(workflow, [ticks]);
    const start = performance.now();
    // oxlint-disable-next-line no-await-in-loop
    await again.replay(log);
    costs.push(((performance.now() - start) * 1000) / log.length);
    again.dispose();
  }
  return `${median(costs).toFixed(1)} µs to replay a tick, ${live.toFixed(1)} µs to run one (${log.length} ticks)`;
}

function memory(count: number): string {
  const waits = defineWorkflow({ name: "waits" }, function* () {
    yield* sleep(1e9);
    return yield* step(work, 1);
  });
  const runs: DurableRun[] = [];
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    const run = runOf(plain(waits), [], `workflow.${i}`);
    void run.tick(0, []);
    runs.push(run);
  }
  const made = ((performance.now() - start) * 1000) / count;
  globalThis.gc?.();
  const each = (process.memoryUsage().heapUsed - before) / runs.length;
  return `${(each / 1024).toFixed(1)} KiB a resident run, ${made.toFixed(0)} µs to make one (${count} runs)`;
}

async function lives(): Promise<string> {
  const order = defineWorkflow({ name: "order" }, function* () {
    const values = yield* gather([step(work, 1), step(work, 2), step(work, 3)]);
    yield* sleep(1000);
    return yield* step(work, values[0]);
  });
  const start = performance.now();
  const explored = await exploreCrashes(plain(order), { seeds: 100 });
  const seconds = (performance.now() - start) / 1000;
  return `${(explored.lives / seconds).toFixed(0)} lives a second (${explored.lives} lives, ${explored.crashes} crashes)`;
}

console.log(`generators: ${await replayCost(plain(sequence), 10_000)}`);
console.log(`async functions: ${await replayCost(plain(sequenceAsync), 10_000)}`);
console.log(memory(2000));
console.log(await lives());
