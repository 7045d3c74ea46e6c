import { EventEmitter } from "node:events";
import type { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { watchConnection } from "../src/engines/redis/heartbeat.ts";

/** A connection whose heartbeats are never answered. */
class Connection extends EventEmitter {
  readonly status = "ready";
  readonly stream = { bytesRead: 0, bytesWritten: 0, writableLength: 0, destroy: vi.fn<() => void>() };
}

/** Watches a connection for so many seconds, each of which changes something about it; gives whether it was given up. */
async function isGivenUp(seconds: number, change: (stream: Connection["stream"]) => void): Promise<boolean> {
  const connection = new Connection();
  const heartbeat = watchConnection(connection as unknown as Redis, 3, () => new Promise(() => {}));
  for (let second = 0; second < seconds; second++) {
    change(connection.stream);
    await vi.advanceTimersByTimeAsync(1_000);
  }
  heartbeat.stop();
  return connection.stream.destroy.mock.calls.length > 0;
}

describe("a connection whose heartbeats are not answered", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("is given up when nothing comes", async () => {
    expect(await isGivenUp(3, () => {})).toBe(false);
    expect(await isGivenUp(4, () => {})).toBe(true);
  });

  test("is kept while a long reply comes", async () => {
    expect(await isGivenUp(60, (stream) => (stream.bytesRead += 1_000))).toBe(false);
  });

  test("is kept while a long command leaves, and given up when it stands still", async () => {
    let left = 60_000;
    const leave = (stream: Connection["stream"]): void => {
      stream.bytesWritten = 60_000;
      stream.writableLength = left -= 1_000;
    };
    expect(await isGivenUp(50, leave)).toBe(false);
    expect(
      await isGivenUp(10, (stream) => Object.assign(stream, { bytesWritten: 9, writableLength: 5 })),
    ).toBe(true);
  });

  test("is given up when small commands leave and nothing comes", async () => {
    expect(await isGivenUp(10, (stream) => (stream.bytesWritten += 100))).toBe(true);
  });
});
