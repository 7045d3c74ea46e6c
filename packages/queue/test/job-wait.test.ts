import type { IQueueBackend } from "bullmq";
import { expect, test } from "vitest";
import { JobWait } from "../src/consumer/job-wait.ts";

/** A wait on a backend without news, and the times for which the backend waited, in seconds. */
function openWait(): { wait: JobWait; waited: number[] } {
  const waited: number[] = [];
  const backend: Partial<IQueueBackend> = {
    minimumBlockTimeout: 0.001,
    waitForJob: async (seconds) => {
      waited.push(seconds);
      return null;
    },
    disconnectBlocking: async () => {},
  };
  return { wait: new JobWait(backend as IQueueBackend, () => {}), waited };
}

test("a job that is due by this clock and not by the engine's is asked for once, and then with pauses", async () => {
  const { wait, waited } = openWait();
  const due = Date.now() - 10;
  await wait.news(due);
  expect(waited).toEqual([]);
  await wait.news(due);
  await wait.news(due);
  expect(waited).toEqual([1, 1]);
  await wait.news(due + 1);
  expect(waited).toEqual([1, 1]);
});

test("the wait for a delayed job ends when it is due, and a lane without one is looked at after 5 s", async () => {
  const { wait, waited } = openWait();
  await wait.news(Date.now() + 2_000);
  await wait.news(Date.now() + 60_000);
  await wait.news(0);
  expect(waited[0]).toBeCloseTo(2, 1);
  expect(waited.slice(1)).toEqual([10, 5]);
});

test("a wait that has ended for good resolves at once", async () => {
  const { wait, waited } = openWait();
  await wait.end();
  await wait.news(0);
  expect(waited).toEqual([]);
});
