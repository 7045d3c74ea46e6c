import { ArgumentError, UsageError } from "../errors.ts";
import { describe, describesItself } from "../describe.ts";
import type { Loop } from "../kernel/loop.ts";
import { currentLoop } from "../task/running.ts";
import type { Future } from "../task/future.ts";
import type { Operation } from "../task/operation.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { ByteBuffer } from "./byte-buffer.ts";
import { ReadAll, ReadExactly, ReadLine, ReadSome, ReadUntil } from "./reading.ts";
import type { Received } from "./reading.ts";

/** The default limit of a stream reader in bytes. A reader pauses its connection at twice its limit. */
export const DEFAULT_LIMIT: number = 64 * 1024;

/** The source that a stream reader pauses while its buffer is full. */
export interface PausableSource {
  /** Stops the source from delivering data. */
  pauseReading(): void;
  /** Lets the source deliver data again. */
  resumeReading(): void;
}

/** The options of a StreamReader. */
export interface StreamReaderOptions {
  /**
   * The maximal length of a line in bytes. The reader pauses its source at twice this number of unread bytes.
   * 64 KiB by default.
   */
  limit?: number | undefined;
  /** The reader's loop; the running loop by default, else the process's default loop. */
  loop?: Loop | undefined;
}

/**
 * The reading side of a stream: bytes, lines and records, in both spellings. One task at a time reads from
 * it. A cancelled read loses no data: the next read starts at the same position.
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
 * The semantics are those of CPython 3.13's `asyncio.StreamReader`.
 */
export class StreamReader implements Received {
  /** @internal */
  readonly _loop: Loop;
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

  // -- calls of the connection --

  /** Sets the source that the reader pauses while its buffer is full. */
  setTransport(source: PausableSource): void {
    this.#source = source;
  }

  /** Adds received data to the buffer. */
  feedData(data: Buffer): void {
    if (data.length === 0 || this.#isEnded) return;
    this._buffer.append(data);
    this.#wake();
    if (!this.#isPaused && this.#source !== null && this._buffer.size > 2 * this._limit) {
      this.#isPaused = true;
      this.#source.pauseReading();
    }
  }

  /** Marks the end of the stream. */
  feedEof(): void {
    this.#isEnded = true;
    this.#wake();
  }

  /** Makes all reads fail with `error`, because the connection is lost. */
  setException(error: unknown): void {
    this.#error = error;
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter !== null && !waiter.done()) waiter.setException(error);
  }

  /** Returns the error that reads fail with, or null. */
  exception(): unknown {
    return this.#error;
  }

  #wake(): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter !== null && !waiter.done()) waiter.setResult(undefined);
  }

  // -- calls of a read --

  /** @internal Returns a Future for the next data or the end. */
  _wait(): Future<undefined> {
    if (this.#waiter !== null) {
      throw new UsageError(
        "READER_BUSY",
        "Another task is already waiting for data of this stream: let one task read",
      );
    }
    if (this.#isPaused) this.#resume(); // the read needs more than the buffer holds, and would wait forever otherwise
    return (this.#waiter = this._loop.createFuture<undefined>());
  }

  /** @internal */
  _stopWaiting(waiter: Future<undefined>): void {
    if (this.#waiter === waiter) this.#waiter = null;
  }

  /** @internal Called after bytes were taken out of the buffer. */
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
   * Returns up to `n` bytes as soon as there are any, or an empty buffer at the end. Without `n`, returns
   * everything until the end.
   */
  read(n = -1, options?: SignalOption): Operation<Buffer> {
    if (!Number.isInteger(n)) {
      throw new ArgumentError(`Expected \`n\` to be a whole number of bytes, got ${describe(n)}`);
    }
    return waiting(n < 0 ? new ReadAll(this) : new ReadSome(this, n), options);
  }

  /**
   * Returns a line with its `\n`. At the end of the stream, returns the rest without `\n`.
   *
   * @throws {@link LimitOverrunError} for a line above the limit; the received part of the line is dropped.
   */
  readLine(options?: SignalOption): Operation<Buffer> {
    return waiting(new ReadLine(this), options);
  }

  /**
   * Returns exactly `n` bytes.
   *
   * @throws {@link IncompleteReadError} with the bytes received so far, if the stream ends earlier.
   */
  readExactly(n: number, options?: SignalOption): Operation<Buffer> {
    if (!Number.isInteger(n) || n < 0) {
      throw new ArgumentError(`Expected \`n\` to be a whole number of bytes from 0, got ${describe(n)}`);
    }
    return waiting(new ReadExactly(this, n), options);
  }

  /**
   * Returns all bytes up to and including `separator`. If there are several separators, the match that ends
   * first counts.
   *
   * @throws {@link IncompleteReadError} if the stream ends before a separator.
   * @throws {@link LimitOverrunError} if more bytes than the limit contain no separator. The bytes stay in
   *   the buffer for another read.
   */
  readUntil(
    separator: string | Uint8Array | readonly (string | Uint8Array)[] = "\n",
    options?: SignalOption,
  ): Operation<Buffer> {
    const several = Array.isArray(separator) ? separator : [separator as string | Uint8Array];
    const separators = several.map((one: string | Uint8Array) => Buffer.from(one as string));
    if (separators.length === 0 || separators.some((one) => one.length === 0)) {
      throw new ArgumentError("Expected `separator` to have at least one byte, got an empty separator");
    }
    return waiting(new ReadUntil(this, separators), options);
  }

  /** Returns whether the end has arrived and all data was read. */
  atEof(): boolean {
    return this.#isEnded && this._buffer.size === 0;
  }

  /** Iterates over the lines until the end. */
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
