// An order with an approval and a refund. The run waits for three days, in no process's memory.
import { gather, timeout, TimeoutError } from "@taskloom/loop";
import { defineTask, TaskQueue, TaskWorker } from "@taskloom/queue";
import { defineSignal, defineView, defineWorkflow, step, undoing, workflowRun } from "@taskloom/workflow";

const charge = defineTask({ name: "charge", attempts: 5 }, async (euros: number) => `receipt of ${euros}`);
const refund = defineTask({ name: "refund", attempts: 20 }, async (receipt: string) =>
  console.log(`refunded: ${receipt}`),
);
const print = defineTask({ name: "print" }, async (what: string) => `${what}.pdf`);

const approved = defineSignal<{ by: string }>("approved");
const progress = defineView<string>("progress");

const APPROVAL_MS = 3 * 86_400_000;

export const order = defineWorkflow({ name: "order" }, function* (euros: number, patience: number) {
  return yield* undoing(function* (undo) {
    const receipt = yield* step(charge, euros);
    undo(() => step(refund, receipt)); // runs if the rest fails or is cancelled
    const papers = yield* gather([step(print, "invoice"), step(print, "label")]);
    progress.set("waiting for approval");
    try {
      const { by } = yield* timeout(patience, approved.receive());
      return `${papers.join(" and ")} sent, approved by ${by}`;
    } catch (error) {
      if (error instanceof TimeoutError) throw new Error("nobody approved the order", { cause: error });
      throw error;
    }
  });
});

export async function main(): Promise<void> {
  const engine = "memory:";
  await using worker = new TaskWorker({ engine, tasks: [order, charge, refund, print] });
  worker.run().then(undefined, () => {});
  await using queue = new TaskQueue({ engine });

  const run = workflowRun(queue, queue.submit(order, 12, APPROVAL_MS));
  for await (const text of run.views(progress)) {
    console.log(text);
    break;
  }
  await run.signal(approved, { by: "Ada" });
  console.log(await run.result());

  try {
    await queue.submit(order, 30, 10);
  } catch (error) {
    console.log((error as Error).message);
  }
}

if (import.meta.main) await main();
