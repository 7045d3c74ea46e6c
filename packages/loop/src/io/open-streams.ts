import { currentLoop } from "../task/running.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { routine } from "../task/routine.ts";
import type { ConnectOptions } from "./connection.ts";
import type { ListenAt } from "./listen-at.ts";
import type { Server } from "./server.ts";
import { StreamReaderProtocol } from "./stream-protocol.ts";
import type { ClientConnected } from "./stream-protocol.ts";
import { StreamReader } from "./stream-reader.ts";
import { StreamWriter } from "./stream-writer.ts";

/** The limit of `openConnection` and `startServer`. */
export interface StreamLimit {
  /**
   * The maximal length of a line, and half the number of bytes that are kept unread, in bytes. 64 KiB by
   * default.
   */
  limit?: number | undefined;
}

/** A connection as two streams. */
export interface Streams {
  /** The data from the other end. */
  readonly reader: StreamReader;
  /** The data to the other end. */
  readonly writer: StreamWriter;
}

/**
 * Connects, and returns the two streams of the connection. A cancellation, or an abort of `signal`, ends the
 * attempt. Node's errors (`ECONNREFUSED` …) are thrown unchanged.
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
 * Listens, and calls `clientConnected(reader, writer)` for every connection. If the handler returns an
 * awaitable, it becomes a task. The handler closes its writer. If it throws, the loop's exception handler
 * receives the error, and the connection is closed.
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
  const loop = currentLoop();
  return yield* loop.createServer(
    () => new StreamReaderProtocol(new StreamReader({ limit, loop }), clientConnected),
    rest,
  );
}
