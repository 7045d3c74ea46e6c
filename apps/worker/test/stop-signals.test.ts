import { afterEach, expect, test, vi } from "vitest";
import { StopSignals } from "../src/service/stop-signals.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("a Ctrl-C that arrives twice within 100 ms counts once, and a later one ends the process at once", async () => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
  const exit = vi.spyOn(process, "exit").mockImplementation(() => undefined as never);
  const atOnce = vi.fn<() => void>();
  const before = process.listenerCount("SIGINT");
  const signals = new StopSignals(atOnce);
  process.emit("SIGINT", "SIGINT");
  expect(await signals.asked()).toBe("SIGINT");
  vi.advanceTimersByTime(99);
  process.emit("SIGINT", "SIGINT");
  process.emit("SIGTERM", "SIGTERM");
  expect(exit).not.toHaveBeenCalled();

  // A disposed instance still takes the echo, which would otherwise end the process.
  signals.dispose();
  expect(process.listenerCount("SIGINT")).toBe(before + 1);
  vi.advanceTimersByTime(1);
  expect(process.listenerCount("SIGINT")).toBe(before);

  const others = new StopSignals(atOnce);
  process.emit("SIGTERM", "SIGTERM");
  vi.advanceTimersByTime(100);
  process.emit("SIGINT", "SIGINT");
  expect(atOnce).toHaveBeenCalledOnce();
  expect(exit).toHaveBeenCalledWith(130);
  others.dispose();
  expect(process.listenerCount("SIGINT")).toBe(before);
});
