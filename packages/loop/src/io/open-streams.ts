import type { EventLoop } from "../kernel/event-loop.ts";
import { currentLoop } from "../kernel/running.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { routine } from "../waiting/routine.ts";
import type { ConnectOptions } from "./connection.ts";
import type { ListenAt } from "./listen-at.ts";
import type { Server } from "./server.ts";
import { StreamReaderProtocol } from "./stream-protocol.ts";
import type { ClientConnected } from "./stream-protocol.ts";
import { StreamReader } from "./stream-reader.ts";
import { StreamWriter } from "./stream-writer.ts";

/** What both take: how long a line may be, and half of how much is kept unread, in bytes (64 KiB). */
export interface StreamLimit {
  /** In bytes. */
  limit?: number | undefined;
}

/** A connection as two streams. */
export interface Streams {
  /** What comes from the other end. */
  readonly reader: StreamReader;
  /** What goes to it. */
  readonly writer: StreamWriter;
}

/**
 * Connects, and gives the two streams of the connection. Cancelling it, or aborting `signal`, gives the
 * connecting up. Errors are Node's (`ECONNREFUSED` …).
 *
 * ```ts
 * import { openConnection, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   try {
 *     await openConnection({ host: "127.0.0.1", port: 1 });
 *   } catch (error) {
 *     console.log((error as NodeJS.ErrnoException).code); // ECONNREFUSED
 *   }
 * });
 * ```
 */
export function openConnection(options: ConnectOptions & StreamLimit): Coroutine<Streams> {
  return routine("openConnection", () => open(options), options.signal);
}

function* open(options: ConnectOptions & StreamLimit): Generator<never, Streams, unknown> {
  const { limit, signal: _, ...rest } = options;
  const loop = currentLoop();
  const reader = new StreamReader({ limit, loop });
  const [transport, protocol] = yield* loop.createConnection(() => new StreamReaderProtocol(reader), rest);
  return { reader, writer: new StreamWriter(transport, protocol._flow, reader) };
}

/**
 * Listens, and calls `clientConnected(reader, writer)` for every connection; what it gives to await becomes a
 * task. The handler closes its writer; an error that it throws reaches the loop's exception handler, and
 * closes the connection.
 *
 * ```ts
 * import { run, startServer } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const server = await startServer(
 *     function* (reader, writer) {
 *       const name = yield* reader.readLine();
 *       writer.write(`Hello ${name.toString()}`);
 *       yield* writer.drain();
 *       writer.close();
 *     },
 *     { host: "127.0.0.1", port: 0 },
 *   );
 *   console.log(server.isServing()); // true
 *   server.close();
 *   await server.waitClosed();
 * });
 * ```
 */
export function startServer(
  clientConnected: ClientConnected,
  options: ListenAt & StreamLimit,
): Coroutine<Server> {
  return routine("startServer", () => start(clientConnected, options), options.signal);
}

function* start(
  clientConnected: ClientConnected,
  options: ListenAt & StreamLimit,
): Generator<never, Server, unknown> {
  const { limit, signal: _, ...rest } = options;
  const loop: EventLoop = currentLoop();
  return yield* loop.createServer(
    () => new StreamReaderProtocol(new StreamReader({ limit, loop }), clientConnected),
    rest,
  );
}
