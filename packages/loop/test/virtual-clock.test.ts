import { setImmediate as immediate } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  createTask,
  DeadlockError,
  EventLoop,
  ExternalTask,
  gather,
  getRunningLoop,
  run,
  sleep,
} from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

test("time stands still while anything is ready and jumps to the next deadline when nothing is", async () => {
  await run(
    async () => {
      const loop = getRunningLoop();
      for (let i = 0; i < 100; i++) await sleep(0);
      expect(loop.time()).toBe(1000);
      await gather([sleep(3_600_000), sleep(7), sleep(7)]);
      expect(loop.time()).toBe(3_601_000);
    },
    { clock: virtualClock({ start: 1000 }) },
  );
});

test("time stands still while native work is under way", async () => {
  await run(
    async () => {
      const seen: string[] = [];
      const outside = createTask(async () => {
        await immediate();
        await immediate();
        seen.push(`outside at ${getRunningLoop().time()}`);
      });
      createTask(function* () {
        yield* sleep(5);
        seen.push("timer");
      });
      await outside;
      await sleep(10);
      expect(seen).toEqual(["outside at 0", "timer"]);
    },
    { clock: virtualClock() },
  );
});

test("time stands still while an external task is pending", async () => {
  await run(
    async () => {
      const external = new ExternalTask<string>();
      setImmediate(() => setImmediate(() => external.succeed("from outside")));
      createTask(sleep(5));
      expect(await external).toBe("from outside");
      expect(getRunningLoop().time()).toBe(0);
    },
    { clock: virtualClock() },
  );
});

test("a loop says whether its time is virtual", () => {
  expect(new EventLoop().isVirtual()).toBe(false);
  expect(new EventLoop({ clock: { now: () => 5 } }).isVirtual()).toBe(false);
  expect(new EventLoop({ clock: virtualClock() }).isVirtual()).toBe(true);
  expect(new EventLoop({ clock: virtualClock({ manual: true }) }).isVirtual()).toBe(true);
});

test("moved by hand, the clock runs what falls due on the way at its time", async () => {
  const clock = virtualClock({ manual: true });
  const loop = new EventLoop({ clock });
  const seen: number[] = [];
  const done = loop.runUntilComplete(async () => {
    for (const ms of [10, 20, 30]) {
      await sleep(ms);
      seen.push(clock.now());
    }
  });
  await clock.advance(5);
  expect(seen).toEqual([]);
  await clock.advance(25);
  expect(seen).toEqual([10, 30]);
  expect(clock.now()).toBe(30);
  await clock.advance(1000);
  expect(seen).toEqual([10, 30, 60]);
  await done;
  // No loop runs any more, so time passes at once.
  await clock.advance(5);
  expect(clock.now()).toBe(1035);
  loop.close();
  await expect(async () => virtualClock().advance(1)).rejects.toThrow(/manual/);
});

test("a time of Infinity never comes: what else there is runs, and then it is a deadlock", async () => {
  const seen: string[] = [];
  const forever = run(
    async () => {
      getRunningLoop().callLater(Infinity, () => seen.push("never"));
      createTask(async () => {
        await sleep(3_600_000_000_000);
        seen.push("a century later");
      });
      await sleep(Infinity);
    },
    { clock: virtualClock() },
  );
  await expect(forever).rejects.toThrow(DeadlockError);
  await expect(forever).rejects.toThrow(/sleep\(Infinity\)/);
  expect(seen).toEqual(["a century later"]);
});
