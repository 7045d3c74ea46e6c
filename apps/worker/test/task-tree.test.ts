import { createTask, run, sleep } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { expect, test } from "vitest";
import { TaskWatch, formatForest } from "../src/workers/task-tree.ts";

test("the time of a wait belongs to one awaited object", async () => {
  await run(
    async () => {
      const watch = new TaskWatch();
      const elsewhere = Promise.withResolvers<void>();
      const looping = createTask(
        async () => {
          for (;;) await sleep(500);
        },
        { name: "looping" },
      );
      const waiting = createTask(() => sleep(100_000), { name: "waiting" });
      const sinceOf = (): Record<string, number | undefined> =>
        Object.fromEntries(watch.snapshot().roots.map(({ name, since }) => [name, since]));
      await sleep(1);
      for (let look = 0; look < 8; look++) {
        sinceOf();
        await sleep(1_000);
      }
      const since = sinceOf();
      expect(since["looping"]).toBe(0);
      expect(since["waiting"]).toBe(8_000);
      const outside = createTask(async () => await elsewhere.promise, { name: "outside" });
      await sleep(0);
      expect(sinceOf()["outside"]).toBeUndefined();
      const lines = formatForest(watch.snapshot(), () => undefined);
      expect(lines).toContain("outside  waits for a promise that is not Taskloom's, such as I/O");
      elsewhere.resolve();
      await outside;
      looping.cancel();
      waiting.cancel();
    },
    { clock: virtualClock() },
  );
});
