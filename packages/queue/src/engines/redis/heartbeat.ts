import type { Redis } from "ioredis";

/** How often a connection is asked for a sign of life, in milliseconds. */
const beat = 1_000;

/** Watches over one connection until it is stopped. */
export interface Heartbeat {
  /** For a connection that cannot be asked: it has just answered by itself. */
  answered(): void;
  stop(): void;
}

/**
 * Gives up a connection on which nothing comes back any more, so that ioredis opens another: where packets are
 * dropped in silence, TCP alone takes a quarter of an hour to notice.
 *
 * Silence is counted in beats and not by the clock. ioredis's own `socketTimeout` goes by the clock, and after an event
 * loop stood still it ends connections whose answers have long been there.
 *
 * @param ask A command that is answered at once; undefined where {@link Heartbeat.answered} tells.
 */
export function watchConnection(
  client: Redis,
  beatsAtMost: number,
  ask: (() => Promise<unknown>) | undefined,
): Heartbeat {
  let silent = 0;
  let asked = false;
  const answered = (): void => {
    silent = 0;
  };
  client.on("close", answered);
  const timer = setInterval(() => {
    // While it waits to connect again there is nothing to give up; "connect" is connected and not answered yet.
    if (client.status !== "ready" && client.status !== "connect") return answered();
    if (++silent > beatsAtMost) {
      answered();
      client.stream.destroy();
    } else if (client.status === "ready" && ask !== undefined && !asked) {
      asked = true;
      ask()
        .then(answered, () => {})
        .finally(() => (asked = false));
    }
  }, beat).unref();
  return { answered, stop: () => clearInterval(timer) };
}
