import { CancelledError, Event, sleep } from "@taskloom/loop";
import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";

describe.each(stores)("on $name", ({ test: engineTest }) => {
  engineTest("a strict task's result never follows an accepted cancel", async ({ engine }) => {
    const started = new Event();
    const stubborn = async (): Promise<string> => {
      started.set();
      try {
        await sleep(60_000);
      } catch (error) {
        if (!(error instanceof CancelledError)) throw error;
      }
      return "all the same";
    };
    const lenient = defineTask({ name: "test.lenient" }, stubborn);
    const strict = defineTask({ name: "test.strict", strict: true }, stubborn);
    const plain = defineTask({ name: "test.plain", strict: true }, async (value: number) => value + 1);
    const failing = defineTask({ name: "test.failing", strict: true, attempts: 2 }, async () => {
      throw new RangeError("as ever");
    });
    const name = "strict";
    const queue = new TaskQueue({ engine, name });
    const running = new TaskWorker({
      engine,
      queues: [name],
      tasks: [lenient, strict, plain, failing],
    }).run();

    const kept = queue.submit(lenient);
    await started.wait();
    kept.cancel("too late");
    expect(await kept).toBe("all the same");

    started.clear();
    const dropped = queue.submit(strict);
    await started.wait();
    dropped.cancel("in time");
    await expect(dropped).rejects.toThrow(new CancelledError("in time"));

    expect(await queue.submit(plain, 1)).toBe(2);
    await expect(queue.submit(failing)).rejects.toThrow("as ever");
    running.cancel();
    await running.catch(() => {});
    await queue.close();
  });
});
