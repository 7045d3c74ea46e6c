import { TaskQueue, call } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { faultTest, until } from "./support/fault-test.ts";
import { failing, marked, parenting } from "./support/tasks.ts";
import { TcpProxy } from "./support/tcp-proxy.ts";
import type { CutWhen } from "./support/tcp-proxy.ts";

const test = faultTest.extend<{ proxy: TcpProxy }>({
  proxy: async ({ redis }, use) => {
    const proxy = await TcpProxy.to(redis.url);
    await use(proxy);
    proxy.close();
  },
});

/** The state when the connection was back. */
type Progress = "nothing" | "children" | "all";

describe.each<{ when: CutWhen; ended: Progress }>([
  { when: "asked", ended: "nothing" },
  { when: "answering", ended: "nothing" },
  { when: "answering", ended: "children" },
  { when: "answering", ended: "all" },
  { when: "answered", ended: "nothing" },
  { when: "answered", ended: "children" },
  { when: "answered", ended: "all" },
])("a flow whose connection is reset when it is $when, until of its jobs $ended ended", ({ when, ended }) => {
  test.for([{ returnExceptions: false }, { returnExceptions: true }])(
    "is there once, with %o",
    { timeout: 120_000 },
    async ({ returnExceptions }, { redis, proxy, workers, ledger }) => {
      await using direct = new TaskQueue({ engine: redis.url });
      await using queue = new TaskQueue({ engine: proxy.url });
      await queue.connect();
      await queue.submit(marked, "before", 0).sent(); // All connections of the queue exist after this.
      const threads = direct.engine.openQueue("default.thread");
      if (ended === "children") await threads.pause();
      if (ended !== "nothing") await workers.start();
      const cut = proxy.cutAt("fault.parenting", when);
      const children = [
        call(marked, "child", 0),
        returnExceptions ? call(failing, "bad") : call(marked, "good", 0),
      ];
      const flow = queue.flow(call(parenting, "parent"), children, { returnExceptions });
      await cut;
      const end = (key: string): boolean => ledger.runs().has(key);
      if (ended === "children") {
        const parentWaits = async (): Promise<number> => (await direct.counts("thread")).waiting;
        await expect.poll(parentWaits, { timeout: 30_000, interval: 20 }).toBe(1);
      }
      if (ended === "all") await until("the parent has run", () => end("parent"));
      proxy.mend();
      await flow.sent();
      if (ended === "children") await threads.resume();
      if (ended === "nothing") await workers.start();
      const [child, other] = flow.children;
      expect(await flow).toEqual([
        `child of ${child?.id}`,
        returnExceptions ? "Error: bad failed" : `good of ${other?.id}`,
      ]);
      const runs = Object.fromEntries([...ledger.runs()].map(([key, each]) => [key, each.length]));
      expect(runs).toMatchObject({ child: 1, parent: 1, [returnExceptions ? "bad" : "good"]: 1 });
      await threads.close();
    },
  );
});
