import { ConnectionLostError } from "../errors.ts";
import type { EventLoop } from "../kernel/event-loop.ts";
import type { Future } from "../task/future.ts";
import { isAwaitable } from "../task/open.ts";
import { Protocol } from "./protocol.ts";
import type { StreamReader } from "./stream-reader.ts";
import { StreamWriter } from "./stream-writer.ts";
import type { Transport } from "./transport.ts";
import { Waiters } from "./waiters.ts";

/** Called with the streams of every connection. If it returns an awaitable, that becomes a task. */
export type ClientConnected = (reader: StreamReader, writer: StreamWriter) => unknown;

/** Flow control as an operation to wait for: the part of a protocol that a StreamWriter needs. */
export class FlowControl {
  readonly #loop: EventLoop;
  #isPaused = false;
  #isLost = false;
  #error: Error | null = null;
  /**
   * Created on demand: most connections never wait, and an empty Set would double the size of this object.
   */
  #drains: Set<Future<undefined>> | null = null;
  #closed: Waiters<void> | null = null;

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    for (const drain of this.#drains ?? []) if (!drain.done()) drain.setResult(undefined);
    this.#drains?.clear();
  }

  lost(error: Error | null): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#error = error;
    for (const drain of this.#drains ?? []) {
      if (drain.done()) continue;
      if (error === null) drain.setResult(undefined);
      else drain.setException(error);
    }
    this.#drains?.clear();
    if (error === null) this.#closed?.succeed();
    else this.#closed?.fail(error);
  }

  /**
   * Returns the future that a drain waits for, or null if there is room.
   *
   * @throws {@link ConnectionLostError} if the connection is lost.
   */
  drain(): Future<undefined> | null {
    if (this.#isLost) throw new ConnectionLostError(this.#error);
    if (!this.#isPaused) return null;
    const drain = this.#loop.createFuture<undefined>();
    (this.#drains ??= new Set()).add(drain);
    return drain;
  }

  stopDraining(drain: Future<undefined>): void {
    this.#drains?.delete(drain);
  }

  /** Waits for the end of the connection. Throws the error that ended it. */
  *waitClosed(): Generator<never, void, unknown> {
    if (!this.#isLost) yield* (this.#closed ??= new Waiters(this.#loop)).wait();
    else if (this.#error !== null) throw this.#error;
  }
}

/**
 * The protocol behind the streams. It feeds a StreamReader, and pauses and resumes a StreamWriter.
 *
 * ```ts
 * import { getRunningLoop, Protocol, run, StreamReader, StreamReaderProtocol } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const loop = getRunningLoop();
 *   const server = await loop.createServer(() => new Protocol(), { host: "127.0.0.1" });
 *   const reader = new StreamReader();
 *   const [transport, protocol] = await loop.createConnection(() => new StreamReaderProtocol(reader), {
 *     host: "127.0.0.1",
 *     port: server.sockets()[0]!.port,
 *   });
 *   console.log(protocol instanceof StreamReaderProtocol); // true
 *   transport.close();
 *   server.close();
 *   await server.waitClosed();
 * });
 * ```
 */
export class StreamReaderProtocol extends Protocol {
  readonly #loop: EventLoop;
  readonly #reader: StreamReader;
  readonly #clientConnected: ClientConnected | null;
  /** @internal */
  readonly _flow: FlowControl;

  constructor(reader: StreamReader, clientConnected: ClientConnected | null = null) {
    super();
    this.#loop = reader._loop;
    this.#reader = reader;
    this.#clientConnected = clientConnected;
    this._flow = new FlowControl(reader._loop);
  }

  override connectionMade(transport: Transport): void {
    this.#reader.setTransport(transport);
    if (this.#clientConnected === null) return;
    const writer = new StreamWriter(transport, this._flow, this.#reader);
    const handler = this.#clientConnected;
    const task = this.#loop.createTask<unknown>(() => {
      const work = handler(this.#reader, writer);
      return isAwaitable(work) ? work : Promise.resolve(work); // the handler may be a plain function
    });
    task.addDoneCallback(() => {
      if (task.cancelled()) {
        transport.close();
        return;
      }
      const exception = task.exception();
      if (exception === undefined) return;
      this.#loop.callExceptionHandler({
        message: "Unhandled exception in client_connected_cb",
        exception,
        transport,
      });
      transport.close();
    });
  }

  override dataReceived(data: Buffer): void {
    this.#reader.feedData(data);
  }

  override eofReceived(): boolean {
    this.#reader.feedEof();
    return true;
  }

  override pauseWriting(): void {
    this._flow.pause();
  }

  override resumeWriting(): void {
    this._flow.resume();
  }

  override connectionLost(error: Error | null): void {
    if (error === null) this.#reader.feedEof();
    else this.#reader.setException(error);
    this._flow.lost(error);
  }
}
