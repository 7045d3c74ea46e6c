import { TaskQueue } from "@taskloom/queue";
import { expect } from "vitest";
import { shardsTest as test } from "../../packages/queue/test/shards/shards-test.ts";
import { urlOf } from "../support/redis-shards.ts";
import * as tasks from "./fixtures/tasks.ts";
import { command } from "./in-process.ts";

test("shards shows the shards, and changes their number", async ({ startServers }) => {
  const { servers } = await startServers(3);
  const [two, three] = [urlOf(servers.slice(0, 2)), urlOf(servers)];
  await using queue = new TaskQueue({ engine: two });
  for (let n = 0; n < 4; n++)
    await queue
      .with({ id: `sum-${n}` })
      .submit(tasks.add, n, n)
      .sent();
  const shown = await command("shards", "--engine", two);
  expect(shown).toMatchObject({ code: 0 });
  expect(shown.stdout).toMatch(/shard │ place +│ state │ open jobs │ left/);
  expect(shown.stdout.trimEnd().endsWith("2 shards")).toBe(true);
  const changed = await command("shards", "--set", "3", "--engine", three);
  expect(changed.stdout).toMatch(/3 shards; \d+ jobs and schedules of the layout with 2 are left/);
  const read = JSON.parse((await command("shards", "--json", "--engine", three)).stdout) as {
    count: number;
    shards: { open: number }[];
  };
  expect(read.count).toBe(3);
  expect(read.shards.reduce((sum, { open }) => sum + open, 0)).toBe(4);
});

test("shards refuses what cannot be", async ({ startServers }) => {
  const { url } = await startServers(2);
  for (const [code, text, ...args] of [
    [2, "names 2 servers, and 5 shards need one each", "--set", "5", "--engine", url],
    [2, "whole number", "--set", "none", "--engine", url],
    [1, "only Redis has them", "--engine", "memory:"],
    [2, "shards=9", "--engine", `${url}?shards=9`],
  ] as const)
    expect(await command("shards", ...args)).toMatchObject({
      code,
      stderr: expect.stringContaining(text) as string,
    });
});
