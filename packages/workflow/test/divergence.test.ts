import { sleep } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import { now, onUpdate, patched, ReplayDivergedError, step } from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { checkReplay } from "@taskloom/workflow/testing";
import { describe, expect, test } from "vitest";
import { a, b, asked, shown, next, twice, changes, workflow } from "./changes.ts";
import { explored } from "./lives.ts";

const RECORDED = { id: "workflow.explored", args: [] };

describe("a change of the code is found by its replay", () => {
  test("in more than 30 kinds", () => {
    expect(changes.length).toBeGreaterThanOrEqual(30);
  });

  test.each(changes)("$change", async ({ old, code, says, send = [] }) => {
    const { histories } = await explored(workflow(old), { send, maxCrashes: 1, workflows: [next as never] });
    await checkReplay(workflow(old), histories[0]!, RECORDED);
    const error: unknown = await checkReplay(workflow(code) as never, histories[0]!, RECORDED).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ReplayDivergedError);
    const { message } = error as Error;
    expect(message).toMatch(
      /^REPLAY_DIVERGED: run workflow\.explored of order@1 does not follow its history at tick \d+ \(2026-01-01 00:00:0\d\)\n {2}history: .*\n {2}code: /,
    );
    for (const pattern of says) expect(message).toMatch(pattern);
  });
});

test("a change under patched() follows old histories, and new ones", async () => {
  const old = workflow(() => twice(a, a));
  const changed = workflow(function* () {
    const one = yield* step(a, 1);
    yield* sleep(1000);
    if (patched("b")) return yield* step(b, one);
    return (yield* step(a, one)) + 3;
  });
  for (const code of [old, changed]) {
    // oxlint-disable-next-line no-await-in-loop -- two cases
    const { histories } = await explored(code, { maxCrashes: 1 });
    // oxlint-disable-next-line no-await-in-loop
    await expect(checkReplay(changed as never, histories[0]!, RECORDED)).resolves.toBeUndefined();
  }
});

test("a run of old code that has passed a patch keeps the old way", async () => {
  const loops = (isNew: boolean): WorkflowDefinition<[]> =>
    workflow(function* () {
      const ways: boolean[] = [];
      for (let i = 0; i < 3; i++) {
        if (isNew) ways.push(patched("way"));
        yield* step(a, i);
      }
      return isNew ? ways : now();
    });
  const { histories } = await explored(loops(false), { maxCrashes: 1 });
  const replayed = checkReplay(loops(true), histories[0]!.slice(0, 3), RECORDED);
  await expect(replayed).resolves.toBeUndefined();
});

test("an error that is made at another line, and is an argument, a view and a result, follows its history", async () => {
  const report = defineTask({ name: "report" }, (error: Error) => error.message);
  const here = (): Error => new Error("no");
  const there = (): Error => {
    const error = new Error("no");
    error.stack = `Error: no\n    at elsewhere (file:///app/other.ts:1:1)`;
    return error;
  };
  const code = (make: () => Error): WorkflowDefinition<[]> =>
    workflow(function* () {
      onUpdate(asked, function* () {
        throw make();
      });
      yield* step(report, make());
      shown.set(make() as never);
      yield* sleep(100);
      return make();
    });
  const send = [{ at: 1, update: asked, args: [1], id: "u" }];
  const { histories } = await explored(code(here), { send, maxCrashes: 1 });
  const replayed = checkReplay(code(there), histories[0]!, RECORDED);
  await expect(replayed).resolves.toBeUndefined();
});
