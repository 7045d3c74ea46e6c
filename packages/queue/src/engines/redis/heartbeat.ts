import type { Socket } from "node:net";
import { Cluster } from "ioredis";
import type { Redis } from "ioredis";
import type { RedisClient } from "./redis-client.ts";

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
 * Bytes are a sign of life: a large reply, behind which the answer to a heartbeat waits, is no silence, and neither is a
 * large command that the network still takes.
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
  let seen = moved(client);
  const answered = (): void => {
    silent = 0;
  };
  client.on("close", answered);
  const timer = setInterval(() => {
    // While it waits to connect again there is nothing to give up; "connect" is connected and not answered yet.
    if (client.status !== "ready" && client.status !== "connect") return answered();
    const now = moved(client);
    if (now.received !== seen.received || (now.waiting > 0 && now.sent !== seen.sent)) answered();
    seen = now;
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

/**
 * The bytes that a connection has received and sent, and those that wait to be sent. What is sent counts only while
 * more waits: the kernel takes small commands also when nobody receives them.
 */
function moved({
  stream,
}: {
  readonly stream?: Partial<Socket>;
}): Record<"received" | "sent" | "waiting", number> {
  const { bytesRead = 0, bytesWritten = 0, writableLength = 0 } = stream ?? {};
  return { received: bytesRead, sent: bytesWritten - writableLength, waiting: writableLength };
}

/** Watches over a client: its one connection, or those to the nodes of a cluster as they come and go. */
export function watchClient(client: RedisClient, beatsAtMost: number): Heartbeat {
  if (!(client instanceof Cluster)) return watchConnection(client, beatsAtMost, () => client.ping());
  const heartbeats = new Map<Redis, Heartbeat>();
  const watch = (node: Redis): void => {
    if (!heartbeats.has(node))
      heartbeats.set(
        node,
        watchConnection(node, beatsAtMost, () => node.ping()),
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
 * Tells whether that node of a cluster answers which has a key: the cluster's other nodes say nothing of it, and
 * commands wait until it is back or replaced.
 */
export function watchKey(cluster: Cluster, key: string, tell: (answers: boolean) => void): Heartbeat {
  let beats = 0; // Since it was asked.
  const timer = setInterval(() => {
    if (beats++ > 0) return beats > 2 ? tell(false) : undefined;
    cluster
      .exists(key)
      .then(
        () => tell(true),
        () => {},
      )
      .finally(() => (beats = 0));
  }, beat).unref();
  return { answered: () => {}, stop: () => clearInterval(timer) };
}
