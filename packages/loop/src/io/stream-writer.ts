import { describesItself } from "../diagnosis/describe.ts";
import { machine, PAUSED, probed, returned, SUSPENDED } from "../kernel/machine.ts";
import type { Coroutine } from "../task/coroutine.ts";
import type { Future } from "../task/future.ts";
import { Operation } from "../task/operation.ts";
import { hasNativeRequests } from "../task/requests.ts";
import type { Strand } from "../task/strand.ts";
import { routine } from "../waiting/routine.ts";
import type { SignalOption } from "../waiting/signal.ts";
import type { ExtraInfo } from "./extra-info.ts";
import { startTls } from "./start-tls.ts";
import type { StartTlsOptions } from "./start-tls.ts";
import type { FlowControl } from "./stream-protocol.ts";
import type { StreamReader } from "./stream-reader.ts";
import type { Transport } from "./transport.ts";

/**
 * The writing side of a stream. `write` only fills the buffer; `drain` waits while that is above its high
 * mark, so a loop of both never outruns a slow reader.
 *
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
 *
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

  /** The transport underneath. */
  get transport(): Transport {
    return this.#transport;
  }

  /** Puts data into the buffer to be sent, a string as UTF-8. */
  write(data: string | Uint8Array): void {
    // While requests are left in the reader, more answers will follow in this turn: they are sent together.
    if (this.#reader !== null && this.#reader._buffer.size > 0) this.#transport._gather(data);
    else this.#transport.write(data);
  }

  /** Puts several pieces there. */
  writeLines(pieces: Iterable<string | Uint8Array>): void {
    this.#transport.writeLines(pieces);
  }

  /**
   * Waits until there is room in the buffer again; at once if there is. Throws the reader's error, or a
   * ConnectionLostError, when the connection is gone.
   */
  drain(options?: SignalOption): Operation<void> {
    const drain = new Drain(this.#transport, this.#flow, this.#reader);
    return options?.signal === undefined ? drain : routine("drain", () => delegate(drain), options.signal);
  }

  /** Ends this side: the other reads the end, and may go on sending. */
  writeEof(): void {
    this.#transport.writeEof();
  }

  /** Whether this side can be ended by itself: not over TLS. */
  canWriteEof(): boolean {
    return this.#transport.canWriteEof();
  }

  /** Sends what is in the buffer, then closes. */
  close(): void {
    this.#transport.close();
  }

  /** Whether the connection is closed, or about to be. */
  isClosing(): boolean {
    return this.#transport.isClosing();
  }

  /** Waits until the connection is closed. Throws the error that it was lost to. */
  waitClosed(options: SignalOption = {}): Coroutine<void> {
    return routine("waitClosed", () => this.#flow.waitClosed(), options.signal);
  }

  /** What is known about the connection, as the transport's `getExtraInfo` tells it. */
  getExtraInfo<K extends keyof ExtraInfo>(name: K): ExtraInfo[K] | undefined {
    return this.#transport.getExtraInfo(name);
  }

  /** Goes on over TLS: after what was written, and with what the reader has not read. */
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
 * FRESH -> PAUSING, when the connection is closing: its end has an iteration's time to be noticed, or a loop
 * of writes to a dead peer would never end -> WAITING, when the buffer is above its mark.
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

  /** From an `async` function: when there is room, nothing needs a strand of its own. */
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
