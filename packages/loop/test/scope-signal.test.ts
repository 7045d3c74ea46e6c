import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { createTask, currentTask, gather, run, sleep, timeout, waitFor } from "@taskloom/loop";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

it("leaves nothing of a scope whose signal still has listeners when the scope has ended", async () => {
  const refs: WeakRef<AbortSignal>[] = [];
  const listen = (): void => {
    const { signal } = currentTask()!;
    signal.addEventListener("abort", () => {});
    refs.push(new WeakRef(signal));
  };
  await run(async () => {
    const { signal } = currentTask()!;
    for (let i = 0; i < 100; i++) {
      await timeout(60_000, async () => {
        listen();
        await waitFor(async () => listen(), 60_000);
      });
    }
    // A WeakRef keeps its target alive until the end of the turn in which it was created.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect(refs.length).toBe(200);
    expect(refs.filter((ref) => ref.deref() !== undefined && ref.deref() !== signal).length).toBeLessThan(10);
    expect(getEventListeners(signal, "abort").length).toBe(0);
  });
});

it("aborts a scope's signal with that of its task, at any depth, and not the other way round", async () => {
  const seen: string[] = [];
  await run(async () => {
    const work = async (): Promise<void> => {
      const outer = currentTask()!.signal;
      outer.addEventListener("abort", () => seen.push("task"));
      await timeout(60_000, async () => {
        await timeout(10, async () => {
          currentTask()!.signal.addEventListener("abort", () => seen.push("inner"));
          await sleep(60_000);
        }).catch(() => {});
        seen.push(String(outer.aborted));
        await timeout(60_000, async () => {
          currentTask()!.signal.addEventListener("abort", () => seen.push("second"));
          currentTask()!.cancel("stop");
          await sleep(60_000);
        });
      });
    };
    await gather([createTask(work)], { returnExceptions: true });
  });
  expect(seen.toSorted()).toEqual(["false", "inner", "second", "task"]);
});

it("gives a fresh signal to a scope whose task's cancellation was withdrawn", async () => {
  const task = run(async () => {
    const mine = currentTask()!;
    return timeout(60_000, async () => {
      const before = mine.signal;
      mine.cancel();
      await sleep(0).catch(() => {});
      const aborted = before.aborted;
      mine.uncancel();
      return [aborted, currentTask()!.signal.aborted];
    });
  });
  expect(await task).toEqual([true, false]);
});
