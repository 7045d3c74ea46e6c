import { afterEach, expect, test, vi } from "vitest";
import { StopSignals } from "@taskloom/loop/stop-signals";

afterEach(() => {
  vi.useRealTimers();
});

test("a Ctrl-C that arrives twice within 100 ms counts once, and a later one asks to end at once", async () => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
  const onFirst = vi.fn<(signal: string) => void>();
  const onSecond = vi.fn<(signal: string) => void>();
  const before = process.listenerCount("SIGINT");
  const signals = new StopSignals({ onFirst, onSecond });
  expect(signals.received).toBeUndefined();
  process.emit("SIGINT", "SIGINT");
  expect(await signals.asked).toBe("SIGINT");
  expect(signals.received).toBe("SIGINT");
  vi.advanceTimersByTime(99);
  process.emit("SIGINT", "SIGINT");
  process.emit("SIGTERM", "SIGTERM");
  expect(onFirst.mock.calls).toEqual([["SIGINT"]]);
  expect(onSecond).not.toHaveBeenCalled();

  // A disposed instance still receives the echo, which would otherwise end the process.
  signals.dispose();
  expect(process.listenerCount("SIGINT")).toBe(before + 1);
  vi.advanceTimersByTime(1);
  expect(process.listenerCount("SIGINT")).toBe(before);

  const others = new StopSignals({ onSecond, ignores: (signal) => signal === "SIGTERM" });
  process.emit("SIGTERM", "SIGTERM");
  process.emit("SIGINT", "SIGINT");
  vi.advanceTimersByTime(100);
  process.emit("SIGTERM", "SIGTERM");
  expect(onSecond).not.toHaveBeenCalled();
  process.emit("SIGINT", "SIGINT");
  expect(onSecond.mock.calls).toEqual([["SIGINT"]]);
  expect(await others.asked).toBe("SIGINT");
  others.dispose();
  expect(process.listenerCount("SIGINT")).toBe(before);
});
