import type { Redis } from "ioredis";

/** The time for which a new connection can be silent. */
const MAX_SILENCE_MS = 3_000;

/**
 * Closes each new connection of a client that is silent before it is ready, so that ioredis opens another one. A server
 * behind a network that drops packets can accept a connection and never answer on it; ioredis then waits for ever. The
 * engine's first client has a limit of its own, and its user receives the reason.
 *
 * The check runs behind the events of the loop's turn: after a blocked loop, answers that have arrived count.
 */
export function endSilentStarts(client: Redis): void {
  client.on("connect", () => {
    const { stream } = client;
    let seen = stream.bytesRead;
    const check = (): void => {
      if (client.status !== "connect" || client.stream !== stream) return clearInterval(timer);
      if (stream.bytesRead === seen) stream.destroy();
      seen = stream.bytesRead;
    };
    const timer = setInterval(() => setImmediate(check), MAX_SILENCE_MS).unref();
  });
}
