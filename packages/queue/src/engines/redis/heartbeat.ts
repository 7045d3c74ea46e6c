import type { Socket } from "node:net";
import { Cluster } from "ioredis";
import type { Redis } from "ioredis";
import type { RedisClient } from "./redis-client.ts";

/** The interval at which a connection is checked. */
const BEAT_MS = 1_000;

/** The check of one connection, until it is stopped. */
export interface Heartbeat {
  /** Records an answer, for a connection that no heartbeat command is sent to. */
  answered(): void;
  stop(): void;
}

/**
 * Closes a connection that has been silent for too long, so that ioredis opens another one. If packets are dropped in
 * silence, TCP alone takes a quarter of an hour to notice.
 *
 * Every byte is a sign of life: the answer to a heartbeat can wait behind a large reply, or behind a large command that is
 * still being sent.
 *
 * Silence is counted in beats and not by the clock. ioredis's own `socketTimeout` uses the clock, and after the event loop
 * was blocked it closes connections whose answers have already arrived.
 *
 * @param ask sends a command that is answered at once; undefined if the caller reports answers by {@link Heartbeat.answered}.
 */
export function watchConnection(
  client: Redis,
  maxSilentBeats: number,
  ask: (() => Promise<unknown>) | undefined,
): Heartbeat {
  let silent = 0;
  let asked = false;
  let seen = moved(client);
  const answered = (): void => {
    silent = 0;
  };
  client.on("close", answered);
  const timer = setInterval(() => {
    // A client that waits to connect again has no connection to close. "connect" is connected and not answered yet.
    if (client.status !== "ready" && client.status !== "connect") return answered();
    const now = moved(client);
    const hasReceived = now.received !== seen.received;
    if (hasReceived || (now.waiting > 0 && now.sent !== seen.sent)) answered();
    seen = now;
    if (++silent > maxSilentBeats) {
      answered();
      client.stream.destroy();
    } else if (client.status === "ready" && ask !== undefined && !asked && !hasReceived) {
      asked = true;
      ask()
        .then(answered, () => {})
        .finally(() => (asked = false));
    }
  }, BEAT_MS).unref();
  return { answered, stop: () => clearInterval(timer) };
}

/**
 * Returns the bytes that a connection has received and sent, and those that wait to be sent. Sent bytes are a sign of life
 * only while more bytes wait: the kernel accepts small commands even if no one receives them.
 */
function moved({
  stream,
}: {
  readonly stream?: Partial<Socket>;
}): Record<"received" | "sent" | "waiting", number> {
  const { bytesRead = 0, bytesWritten = 0, writableLength = 0 } = stream ?? {};
  return { received: bytesRead, sent: bytesWritten - writableLength, waiting: writableLength };
}

/** Checks the connection of a client, or the connections to the nodes of a cluster as they come and go. */
export function watchClient(client: RedisClient, maxSilentBeats: number): Heartbeat {
  if (!(client instanceof Cluster)) return watchConnection(client, maxSilentBeats, () => client.ping());
  const heartbeats = new Map<Redis, Heartbeat>();
  const watch = (node: Redis): void => {
    if (!heartbeats.has(node))
      heartbeats.set(
        node,
        watchConnection(node, maxSilentBeats, () => node.ping()),
      );
  };
  const leave = (node: Redis): void => {
    heartbeats.get(node)?.stop();
    heartbeats.delete(node);
  };
  client.on("+node", watch);
  client.on("-node", leave);
  for (const node of client.nodes()) watch(node);
  return {
    answered: () => {},
    stop: () => {
      client.off("+node", watch);
      client.off("-node", leave);
      for (const node of heartbeats.keys()) leave(node);
    },
  };
}

/**
 * Notifies `onAnswer` whether the node of a cluster that has a key answers. The other nodes do not show it, and commands
 * wait until the node is back or replaced.
 */
export function watchKey(cluster: Cluster, key: string, onAnswer: (answers: boolean) => void): Heartbeat {
  let beats = 0; // The beats since the node was asked.
  const timer = setInterval(() => {
    if (beats++ > 0) return beats > 2 ? onAnswer(false) : undefined;
    cluster
      .exists(key)
      .then(
        () => onAnswer(true),
        () => {},
      )
      .finally(() => (beats = 0));
  }, BEAT_MS).unref();
  return { answered: () => {}, stop: () => clearInterval(timer) };
}
