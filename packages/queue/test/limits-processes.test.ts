import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineTask } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { startChild } from "./embedded/fixtures/child.ts";
import type { Child } from "./embedded/fixtures/child.ts";
import { withShards } from "./engines.ts";
import { pairTest } from "./pair.ts";
import type { Pair } from "./pair.ts";

// The bodies of the tasks are those of `fixtures/limited-worker.ts`.
const limited = defineTask(
  { name: "test.limited", concurrency: { limit: 1, key: ([key]) => key } },
  async (_key: string, n: number, _isHeld: boolean) => n,
);
const free = defineTask({ name: "test.free" }, async () => 0);

interface Line {
  readonly what: string;
  readonly key: string;
  readonly n: number;
  readonly pid: number;
}

function linesOf(ledger: string): Line[] {
  if (!existsSync(ledger)) return [];
  const lines = readFileSync(ledger, "utf8").trim().split("\n");
  return lines.map((line) => {
    const [what = "", key = "", n, pid] = line.split(" ");
    return { what, key, n: Number(n), pid: Number(pid) };
  });
}

async function startWorker(pair: Pair, ledger: string): Promise<Child> {
  const child = startChild("../../fixtures/limited-worker.ts", [pair.engine, pair.queue.name, ledger]);
  await child.printed("ready");
  return child;
}

const newLedger = async (): Promise<string> =>
  join(await mkdtemp(join(tmpdir(), "taskloom-limits-")), "ledger");

describe.each(withShards.filter(({ name }) => name !== "memory"))("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("two worker processes run the jobs of a key one at a time and in order", async ({ pair }) => {
    const ledger = await newLedger();
    const children = [await startWorker(pair, ledger), await startWorker(pair, ledger)];
    const keys = ["a", "b", "c"];
    const tasks = Array.from({ length: 60 }, (_, at) =>
      pair.queue.submit(limited, keys[at % 3]!, Math.floor(at / 3), false),
    );
    await Promise.all(tasks);
    const lines = linesOf(ledger);
    for (const key of keys) {
      const own = lines.filter((line) => line.key === key);
      const expected = Array.from({ length: 20 }, (_, n) => [`start ${n}`, `end ${n}`]).flat();
      expect(own.map(({ what, n }) => `${what} ${n}`)).toEqual(expected);
    }
    expect(new Set(lines.map(({ pid }) => pid))).toEqual(new Set(children.map(({ process }) => process.pid)));
  });

  test("the slot of a process that is killed is free again, and its job runs again", async ({ pair }) => {
    const ledger = await newLedger();
    const first = await startWorker(pair, ledger);
    const held = pair.queue.submit(limited, "a", 0, true);
    await expect.poll(() => linesOf(ledger).length, { timeout: 20_000 }).toBe(1);
    const second = await startWorker(pair, ledger);
    const others = Array.from({ length: 5 }, (_, at) => pair.queue.submit(limited, "a", at + 1, false));
    const beside = pair.queue.submit(limited, "b", 0, false);
    // Neither another key nor another task waits for the held slot.
    expect(await beside).toBe(0);
    await pair.queue.submit(free);
    expect(linesOf(ledger).filter(({ key }) => key === "a")).toHaveLength(1);
    writeFileSync(`${ledger}-go`, "");
    first.process.kill("SIGKILL");
    await first.ended;
    expect(await Promise.all([held, ...others])).toEqual([0, 1, 2, 3, 4, 5]);
    const own = linesOf(ledger).filter(({ key }) => key === "a");
    expect(own[0]).toEqual({ what: "start", key: "a", n: 0, pid: first.process.pid });
    const later = own.slice(1);
    // One at a time, each once, and those that were not interrupted in their order.
    expect(later.every(({ pid }) => pid === second.process.pid)).toBe(true);
    expect(later.map(({ what }) => what)).toEqual(Array.from({ length: 6 }, () => ["start", "end"]).flat());
    const starts = later.filter(({ what }) => what === "start").map(({ n }) => n);
    expect(starts.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(starts.filter((n) => n > 0)).toEqual([1, 2, 3, 4, 5]);
  });
});
