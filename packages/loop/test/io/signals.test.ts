import { expect, test } from "vitest";
import { CancelledError, currentTask, Event, getRunningLoop, run, sleep } from "@taskloom/loop";

test("a signal's handler runs in the loop, once, until it is taken away", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const seen: unknown[] = [];
    const told = new Event();
    loop.addSignalHandler("SIGUSR2", () => seen.push("replaced"));
    loop.addSignalHandler(
      "SIGUSR2",
      (word: string) => {
        seen.push(word, currentTask());
        told.set();
      },
      "told",
    );
    process.kill(process.pid, "SIGUSR2");
    await told.wait();
    expect(seen).toEqual(["told", null]);
    expect(loop.removeSignalHandler("SIGUSR2")).toBe(true);
    expect(loop.removeSignalHandler("SIGUSR2")).toBe(false);
    expect(process.listenerCount("SIGUSR2")).toBe(0);
  });
});

test("run takes the handlers away with it", async () => {
  await run(async () => getRunningLoop().addSignalHandler("SIGUSR2", () => {}));
  expect(process.listenerCount("SIGUSR2")).toBe(0);
});

test("a handler for SIGTERM comes before run's own", async () => {
  const told = await run(
    async () => {
      const event = new Event();
      getRunningLoop().addSignalHandler("SIGTERM", () => event.set());
      process.kill(process.pid, "SIGTERM");
      await event.wait();
      return currentTask()?.cancelling();
    },
    { handleSignals: true },
  );
  expect(told).toBe(0);
  await expect(
    run(
      async () => {
        process.kill(process.pid, "SIGTERM");
        await sleep(10_000);
      },
      { handleSignals: true },
    ),
  ).rejects.toBeInstanceOf(CancelledError);
  process.exitCode = undefined;
});

test("signals that cannot be handled are refused", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    expect(() => loop.addSignalHandler("SIGKILL", () => {})).toThrow(/can be handled/);
    expect(() => loop.addSignalHandler("SIGNONE" as never, () => {})).toThrow(/got SIGNONE/);
  });
});
