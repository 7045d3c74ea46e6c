import { describesItself } from "../describe.ts";
import { machine, PAUSED, probed, returned, SUSPENDED } from "../task/machine.ts";
import type { Coroutine } from "../task/coroutine.ts";
import type { Future } from "../task/future.ts";
import { Operation } from "../task/operation.ts";
import { hasNativeRequests } from "../task/requests.ts";
import type { Strand } from "../task/strand.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import type { ExtraInfo } from "./extra-info.ts";
import { startTls } from "./start-tls.ts";
import type { StartTlsOptions } from "./start-tls.ts";
import type { FlowControl } from "./flow-control.ts";
import type { StreamReader } from "./stream-reader.ts";
import type { Transport } from "./transport.ts";

/**
 * The writing side of a stream. `write` only fills the buffer, and `drain` waits while the buffer is above
 * its high limit. A loop of both calls never outruns a slow reader.
 * ```ts
 * import { openConnection, run, startServer } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const server = await startServer(
 *     async (reader, writer) => {
 *       for await (const line of reader) {
 *         writer.write(line.toString().toUpperCase());
 *         await writer.drain();
 *       }
 *       writer.close();
 *     },
 *     { host: "127.0.0.1" },
 *   );
 *   const { reader, writer } = await openConnection({ host: "127.0.0.1", port: server.sockets()[0]!.port });
 *   writer.write("hello\n");
 *   writer.writeEof();
 *   console.log((await reader.read()).toString()); // HELLO
 *   writer.close();
 *   server.close();
 *   await server.waitClosed();
 * });
 * ```
 * The semantics are those of CPython 3.13's `asyncio.StreamWriter`.
 */
export class StreamWriter {
  readonly #transport: Transport;
  readonly #flow: FlowControl;
  readonly #reader: StreamReader | null;

  /** Made by the library. */
  constructor(transport: Transport, flow: FlowControl, reader: StreamReader | null) {
    this.#transport = transport;
    this.#flow = flow;
    this.#reader = reader;
  }

  /** The transport of the stream. */
  get transport(): Transport {
    return this.#transport;
  }

  /** Adds data to the send buffer; a string is sent as UTF-8. */
  write(data: string | Uint8Array): void {
    // If the reader has unread requests, more answers follow in this turn. They are sent together.
    if (this.#reader !== null && this.#reader._buffer.size > 0) this.#transport._gather(data);
    else this.#transport.write(data);
  }

  /** Adds several pieces to the send buffer. */
  writeLines(pieces: Iterable<string | Uint8Array>): void {
    this.#transport.writeLines(pieces);
  }

  /**
   * Waits until the buffer has room; returns at once if it has.
   *
   * @throws the reader's error, or {@link ConnectionLostError}, if the connection is lost.
   */
  drain(options?: SignalOption): Operation<void> {
    const drain = new Drain(this.#transport, this.#flow, this.#reader);
    return options?.signal === undefined ? drain : routine("drain", () => delegate(drain), options.signal);
  }

  /** Ends this side of the connection. The other end reads the end, and may continue to send. */
  writeEof(): void {
    this.#transport.writeEof();
  }

  /** Returns whether this side can be ended alone; false over TLS. */
  canWriteEof(): boolean {
    return this.#transport.canWriteEof();
  }

  /** Sends the buffered data, then closes the connection. */
  close(): void {
    this.#transport.close();
  }

  /** Returns whether the connection is closed or closing. */
  isClosing(): boolean {
    return this.#transport.isClosing();
  }

  /**
   * Waits until the connection is closed.
   *
   * @throws the error that ended the connection.
   */
  waitClosed(options: SignalOption = {}): Coroutine<void> {
    return routine("waitClosed", () => this.#flow.waitClosed(), options.signal);
  }

  /** Returns a fact about the connection, as the transport's `getExtraInfo` does. */
  getExtraInfo<K extends keyof ExtraInfo>(name: K): ExtraInfo[K] | undefined {
    return this.#transport.getExtraInfo(name);
  }

  /**
   * Upgrades the connection to TLS after the written data was sent. Data that the reader has not read belongs
   * to the handshake.
   */
  startTls(options: StartTlsOptions): Coroutine<void> {
    return routine("startTls", () => this.#startTls(options), options.signal);
  }

  *#startTls(options: StartTlsOptions): Generator<never, void, unknown> {
    yield* this.drain();
    const early = this.#reader?._buffer.take(Infinity);
    yield* startTls(this.#transport, options, early);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.waitClosed();
  }

  /** @internal */
  _describe(): string {
    return `<StreamWriter of ${this.#transport._describe()}>`;
  }
}

describesItself(StreamWriter);

const FRESH = 0;
const PAUSING = 1;
const WAITING = 2;

/**
 * A drain starts FRESH. If the connection is closing, it is PAUSING for one iteration, in which the loop can
 * notice the connection's end; a loop of writes to a dead peer would never end otherwise. It is WAITING while
 * the buffer is above its limit.
 */
class Drain extends Operation<void> {
  readonly #transport: Transport;
  readonly #flow: FlowControl;
  readonly #reader: StreamReader | null;
  #phase = FRESH;
  #waiter: Future<undefined> | null = null;

  constructor(transport: Transport, flow: FlowControl, reader: StreamReader | null) {
    super();
    this.#transport = transport;
    this.#flow = flow;
    this.#reader = reader;
  }

  #check(): void {
    const error = this.#reader?.exception() ?? null;
    if (error !== null) throw error;
  }

  next(): IteratorResult<never, void> {
    if (machine.probe !== null) return probed(this.#phase === PAUSING ? PAUSED : SUSPENDED) as never;
    if (this.#phase === WAITING) return returned(undefined);
    if (this.#phase === PAUSING) machine.resumed = false;
    else {
      this.#check();
      if (this.#transport.isClosing()) {
        this.#phase = PAUSING;
        return PAUSED as never;
      }
    }
    this.#phase = WAITING;
    this.#waiter = this.#flow.drain();
    if (this.#waiter === null) return returned(undefined);
    machine.awaited = this.#waiter;
    return SUSPENDED as never;
  }

  throw(error: unknown): IteratorResult<never, void> {
    if (this.#waiter !== null) this.#flow.stopDraining(this.#waiter);
    throw error;
  }

  /** If there is room, an await from an `async` function needs no strand of its own. */
  override _awaitFrom(
    strand: Strand | null,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): void {
    if (
      hasNativeRequests() ||
      this.#transport.isClosing() ||
      this.#flow.isPaused ||
      this.#reader?.exception() != null
    ) {
      super._awaitFrom(strand, resolve, reject);
    } else {
      resolve(undefined);
    }
  }

  _describe(): string {
    return "<writer.drain()>";
  }
}

function* delegate(operation: Operation<void>): Generator<never, void, unknown> {
  return yield* operation;
}
