import { ArgumentError, UsageError } from "../errors.ts";
import { describe, describesItself } from "../diagnosis/describe.ts";
import type { EventLoop } from "../kernel/event-loop.ts";
import { currentLoop } from "../kernel/running.ts";
import type { Future } from "../task/future.ts";
import type { Operation } from "../task/operation.ts";
import { routine } from "../waiting/routine.ts";
import type { SignalOption } from "../waiting/signal.ts";
import { ByteBuffer } from "./byte-buffer.ts";
import { ReadAll, ReadExactly, ReadLine, ReadSome, ReadUntil } from "./reading.ts";

/** How many bytes a stream reader keeps by default: half of what makes it hold its connection up. */
export const DEFAULT_LIMIT: number = 64 * 1024;

/** What a stream reader holds up while it has enough. */
export interface PausableSource {
  /** Let nothing more come. */
  pauseReading(): void;
  /** Let it come again. */
  resumeReading(): void;
}

/** Options of a StreamReader. */
export interface StreamReaderOptions {
  /** How long a line may be, and half of how much is kept before the other end is held up, in bytes. 64 KiB by default. */
  limit?: number | undefined;
  /** The loop it belongs to; the running one, else the process's default loop. */
  loop?: EventLoop | undefined;
}

/**
 * The reading side of a stream: bytes, lines, records, from both spellings. One reader at a time. A read that
 * is cancelled loses nothing: the next one begins where it began.
 *
 * ```ts
 * import { run, StreamReader } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const reader = new StreamReader();
 *   reader.feedData(Buffer.from("one\ntwo\n"));
 *   reader.feedEof();
 *   for await (const line of reader) console.log(line.toString().trimEnd()); // one two
 * });
 * ```
 *
 * The semantics are those of CPython 3.13's `asyncio.StreamReader`.
 */
export class StreamReader {
  /** @internal */
  readonly _loop: EventLoop;
  /** @internal */
  readonly _limit: number;
  /** @internal */
  readonly _buffer: ByteBuffer = new ByteBuffer();
  #waiter: Future<undefined> | null = null;
  #error: unknown = null;
  #isEnded = false;
  #isPaused = false;
  #source: PausableSource | null = null;

  constructor(options: StreamReaderOptions = {}) {
    const limit = options.limit ?? DEFAULT_LIMIT;
    if (!(limit > 0)) throw new ArgumentError(`Expected \`limit\` to be above 0, got ${limit}`);
    this._limit = limit;
    this._loop = options.loop ?? currentLoop();
  }

  // -- what the connection does --

  /** What to hold up while enough is waiting to be read. */
  setTransport(source: PausableSource): void {
    this.#source = source;
  }

  /** Data came. */
  feedData(data: Buffer): void {
    if (data.length === 0 || this.#isEnded) return;
    this._buffer.append(data);
    this.#wake();
    if (!this.#isPaused && this.#source !== null && this._buffer.size > 2 * this._limit) {
      this.#isPaused = true;
      this.#source.pauseReading();
    }
  }

  /** No more will come. */
  feedEof(): void {
    this.#isEnded = true;
    this.#wake();
  }

  /** Has every read fail with `error`: the connection is lost. */
  setException(error: unknown): void {
    this.#error = error;
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter !== null && !waiter.done()) waiter.setException(error);
  }

  /** The error that reads fail with, or null. */
  exception(): unknown {
    return this.#error;
  }

  #wake(): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter !== null && !waiter.done()) waiter.setResult(undefined);
  }

  // -- what a read does --

  /** @internal A Future for the next data, or for the end. */
  _wait(): Future<undefined> {
    if (this.#waiter !== null) {
      throw new UsageError(
        "READER_BUSY",
        "another task is already waiting for data of this stream: let one task read",
      );
    }
    if (this.#isPaused) this.#resume(); // more is wanted than fits: else it would wait for ever
    return (this.#waiter = this._loop.createFuture<undefined>());
  }

  /** @internal */
  _stopWaiting(waiter: Future<undefined>): void {
    if (this.#waiter === waiter) this.#waiter = null;
  }

  /** @internal Bytes were taken out. */
  _consumed(): void {
    if (this.#isPaused && this._buffer.size <= this._limit) this.#resume();
  }

  /** @internal */
  get _isEnded(): boolean {
    return this.#isEnded;
  }

  #resume(): void {
    this.#isPaused = false;
    this.#source?.resumeReading();
  }

  // -- reading --

  /**
   * Up to `n` bytes, as soon as there are any; without `n`, everything until the end. Empty at the end.
   */
  read(n = -1, options?: SignalOption): Operation<Buffer> {
    if (!Number.isInteger(n)) {
      throw new ArgumentError(`Expected a whole number of bytes to read, got ${describe(n)}`);
    }
    return waiting(n < 0 ? new ReadAll(this) : new ReadSome(this, n), options);
  }

  /**
   * A line with its `\n`; the rest without one, at the end. Throws a LimitOverrunError for a line above the
   * limit; what has come of it is dropped.
   */
  readLine(options?: SignalOption): Operation<Buffer> {
    return waiting(new ReadLine(this), options);
  }

  /** Exactly `n` bytes. Throws an IncompleteReadError, with what there was, if the stream ends before. */
  readExactly(n: number, options?: SignalOption): Operation<Buffer> {
    if (!Number.isInteger(n) || n < 0) {
      throw new ArgumentError(`Expected a number of bytes, 0 or more, to read, got ${describe(n)}`);
    }
    return waiting(new ReadExactly(this, n), options);
  }

  /**
   * Everything up to `separator` (with several: the one that ends first), and that too. Throws an
   * IncompleteReadError if the stream ends before, and a LimitOverrunError if there is more than the limit
   * without one; then the bytes stay, to be read otherwise.
   */
  readUntil(
    separator: string | Uint8Array | readonly (string | Uint8Array)[] = "\n",
    options?: SignalOption,
  ): Operation<Buffer> {
    const several = Array.isArray(separator) ? separator : [separator as string | Uint8Array];
    const separators = several.map((one: string | Uint8Array) => Buffer.from(one as string));
    if (separators.length === 0 || separators.some((one) => one.length === 0)) {
      throw new ArgumentError("Expected a separator of at least one byte, got an empty one");
    }
    return waiting(new ReadUntil(this, separators), options);
  }

  /** Whether the end has come and everything is read. */
  atEof(): boolean {
    return this.#isEnded && this._buffer.size === 0;
  }

  /** The lines, to the end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const line = await this.readLine();
      if (line.length === 0) return;
      yield line;
    }
  }

  /** @internal */
  _describe(): string {
    const state = this.#error === null ? (this.#isEnded ? "ended" : "open") : "failed";
    return `<StreamReader ${state} buffered=${this._buffer.size}>`;
  }
}

describesItself(StreamReader);

function waiting<T>(operation: Operation<T>, options: SignalOption | undefined): Operation<T> {
  if (options?.signal === undefined) return operation;
  return routine("read", () => delegate(operation), options.signal);
}

function* delegate<T>(operation: Operation<T>): Generator<never, T, unknown> {
  return yield* operation;
}
