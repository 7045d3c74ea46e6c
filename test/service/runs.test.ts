import { fileURLToPath } from "node:url";
import { openEngine, TaskQueue } from "@taskloom/queue";
import { expect } from "vitest";
import { FakeOwner } from "../../packages/workflow/test/fake-owner.ts";
import { redisTest } from "../support/redis.ts";
import { taskloom } from "../support/taskloom-process.ts";
import type { Ended } from "../support/taskloom-process.ts";
import { basket } from "./fixtures/runs.ts";
import { Service } from "./service.ts";

const moduleOf = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}.ts`, import.meta.url));

redisTest(
  "durable runs are listed, shown, replayed and sent messages, over an engine and over a service",
  { timeout: 120_000 },
  async ({ redis }) => {
    const service = await Service.start(redis.url);
    const engine = openEngine(redis.url);
    await engine.connect();
    const queue = new TaskQueue({ engine });
    const owner = new FakeOwner(engine, "default", [basket] as never[]);
    await owner.start();
    try {
      for (const [id, ...where] of [
        ["one", "--engine", redis.url],
        ["two", "--url", service.address],
      ] as [string, ...string[]][]) {
        const run = (...args: string[]): Promise<Ended> => taskloom(...args, ...where);
        const json = async (...args: string[]): Promise<unknown> =>
          JSON.parse((await run(...args, "--json")).stdout) as unknown;
        queue
          .with({ id, tags: ["eu", id] })
          .submit(basket)
          .catch(() => {});
        await expect.poll(() => owner.residents, { timeout: 20_000 }).toContain(`workflow.${id}`);
        // The second one has the same key, so the size stays 1.
        for (let times = 0; times < 2; times++)
          expect(await run("runs", "signal", id, "item", "5", "--key", "five")).toMatchObject({ code: 0 });
        expect((await run("runs", "update", id, "size")).stdout.trim()).toBe("1");
        expect(await run("runs", "update", id, "refuse")).toMatchObject({ code: 5 });
        expect(await run("runs", "update", id, "none", "--timeout", "0.1")).toMatchObject({ code: 7 });
        expect((await run("runs", "--tag", id)).stdout).toContain(`workflow.${id}`);
        expect(await json("runs", "list", "--tag", id, "--state", "active")).toMatchObject([
          { id: `workflow.${id}`, task: "test.basket", version: 1, tags: ["eu", id], unread: 0 },
        ]);
        expect(await json("runs", "list", "--state", "parked")).toEqual([]);
        expect((await run("runs", "show", id)).stdout).toMatch(/workflow: +test\.basket@1\(\)/);
        expect((await run("runs", "history", id)).stdout).toMatch(/in +signal item 5/);
        expect(await json("runs", "history", id)).toContainEqual(
          expect.objectContaining({ commands: [{ kind: "view", name: "shown", value: 1 }] }),
        );
        const tree = await run("runs", "tree", id, moduleOf("runs"));
        expect(tree).toMatchObject({ code: 0, stderr: "" });
        expect(tree.stdout).toMatch(/test\.basket +waits for .*\n.*runs\.ts:/);
        expect((await run("replay", moduleOf("runs"))).stdout).toContain("1 histories checked, 0 diverge");
        const diverged = await run("replay", moduleOf("changed-runs"));
        expect(diverged).toMatchObject({ code: 1 });
        expect(diverged.stderr).toContain("does not follow its history");
        expect(await run("replay", moduleOf("tasks"))).toMatchObject({ code: 1 });
        expect(await run("runs", "cancel", id, "--reason", "enough")).toMatchObject({ code: 0 });
        await expect.poll(() => owner.residents, { timeout: 20_000 }).not.toContain(`workflow.${id}`);
        await expect
          .poll(async () => ((await json("runs", "show", id)) as { state: string }).state, {
            timeout: 20_000,
          })
          .toBe("cancelled");
        expect((await run("runs", "signal", id, "item", "6")).stderr).toContain("has ended");
        expect(await run("runs", "show", "none")).toMatchObject({ code: 4 });
        expect(await run("runs", "terminate", "none")).toMatchObject({ code: 4 });
        expect(await run("runs", "signal", id, "item", "{")).toMatchObject({ code: 2 });
      }
    } finally {
      await owner.close();
      await queue.close();
      await engine.close();
      await service.stop();
    }
  },
);
