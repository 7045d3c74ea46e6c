import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { getRunningLoop, run } from "@taskloom/loop";
import { startTimer } from "@taskloom/loop/timer";

const DAY = 86_400_000;

describe("a long timer", () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"],
    });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each([0, 5, 2 ** 31 - 1, 2 ** 31, 60 * DAY, 10 * 366 * DAY])(
    "fires after %d ms and not before",
    (time) => {
      const fired = vi.fn<() => void>();
      startTimer(time, fired);
      if (time > 0) vi.advanceTimersByTime(time - 1);
      expect(fired).not.toHaveBeenCalled();
      vi.advanceTimersByTime(1);
      expect(fired).toHaveBeenCalledOnce();
      vi.advanceTimersByTime(60 * DAY);
      expect(fired).toHaveBeenCalledOnce();
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  it("never fires after Infinity, and leaves nothing behind", () => {
    const timer = startTimer(Infinity, () => expect.unreachable());
    expect(vi.getTimerCount()).toBe(0);
    timer.unref().cancel();
  });

  it("can be called off at any time", () => {
    const timer = startTimer(60 * DAY, () => expect.unreachable());
    vi.advanceTimersByTime(59 * DAY);
    timer.cancel();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(60 * DAY);
  });
});

describe("a loop's timer", () => {
  it("fires after 60 days and not before", async () => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"],
    });
    const fired = vi.fn<() => void>();
    const done = run(async () => {
      await new Promise<void>((resolve) => {
        getRunningLoop().callLater(60 * DAY, () => {
          fired();
          resolve();
        });
      });
    });
    await vi.advanceTimersByTimeAsync(60 * DAY - 10);
    expect(fired).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(20);
    vi.useRealTimers();
    await done;
    expect(fired).toHaveBeenCalledOnce();
  });
});
