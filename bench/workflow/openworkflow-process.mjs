// One process of openworkflow: node openworkflow-process.mjs PEERS URL default|eager
import { setTimeout as delay } from "node:timers/promises";
import { AT_ONCE, Marks, answer, importPeer, timed } from "./answer.ts";

const [peers, url, polling] = process.argv.slice(2);
const { OpenWorkflow } = await importPeer(peers, "openworkflow");
const { BackendPostgres } = await importPeer(peers, "openworkflow/postgres");
const marks = new Marks();
const mark = async () => marks.add();
const client = new OpenWorkflow({ backend: await BackendPostgres.connect(url) });

let onEnd = () => {};
const sequential = client.defineWorkflow({ name: "sequential" }, async ({ input, step }) => {
  for (let n = 0; n < input; n++) await step.run({ name: "step" }, mark);
  onEnd();
});
const together = client.defineWorkflow({ name: "together" }, async ({ input, step }) => {
  await Promise.all(Array.from({ length: input }, () => step.run({ name: "step" }, mark)));
  onEnd();
});

/** Resolves when the code of `count` runs has returned. Handles of runs poll each second, which is not measured. */
function ends(count) {
  let left = count;
  return new Promise((resolve) => {
    onEnd = () => {
      if (--left === 0) resolve();
    };
  });
}

/**
 * Starts a worker. Its poll interval is fixed: 0.1 s, doubled up to 1 s while it finds nothing or has no free slot. "eager"
 * instead polls each millisecond by the worker's method for tests.
 */
async function startWorker(concurrency) {
  const worker = client.newWorker({ concurrency });
  if (polling === "default") {
    await worker.start();
    return () => worker.stop();
  }
  const stop = new AbortController();
  const polls = (async () => {
    while (!stop.signal.aborted) if ((await worker.tick()) === 0) await delay(1);
  })();
  return async () => {
    stop.abort();
    await polls;
    await worker.stop();
  };
}

async function withWorker(concurrency, body) {
  const stop = await startWorker(concurrency);
  const figures = await body();
  await stop();
  return figures;
}

answer({
  steps: ({ count }) =>
    withWorker(1, async () => {
      marks.clear();
      const end = ends(1);
      await sequential.run(count);
      await end;
      return marks.between;
    }),
  runs: ({ count, steps }) =>
    withWorker(AT_ONCE, () =>
      timed(async () => {
        const end = ends(count);
        await Promise.all(Array.from({ length: count }, () => sequential.run(steps)));
        await end;
      }),
    ),
  gather: ({ count }) =>
    withWorker(1, () =>
      timed(async () => {
        const end = ends(1);
        await together.run(count);
        await end;
      }),
    ),
});
