import { IncompleteReadError, LimitOverrunError } from "../errors.ts";
import { machine, probed, returned, SUSPENDED } from "../task/machine.ts";
import type { Future } from "../task/future.ts";
import { isAwait } from "../task/native-await.ts";
import { Operation } from "../task/operation.ts";
import { hasNativeRequests } from "../task/requests.ts";
import type { ByteBuffer } from "./byte-buffer.ts";

/** The received bytes of a stream and the wait for more of them, as a read needs them. */
export interface Received {
  /** @internal */
  readonly _buffer: ByteBuffer;
  /** @internal */
  readonly _limit: number;
  /** @internal */
  readonly _isEnded: boolean;
  exception(): unknown;
  /** @internal Returns a Future for the next data or the end. */
  _wait(): Future<undefined>;
  /** @internal */
  _stopWaiting(waiter: Future<undefined>): void;
  /** @internal Called after bytes were taken out of the buffer. */
  _consumed(): void;
}

/**
 * A read: it takes its bytes out of the reader's buffer, or waits for more data and tries again. It is a
 * hand-written iterator, because reads are the hottest operation of a stream and usually find their data in
 * the buffer.
 */
abstract class Reading extends Operation<Buffer> {
  protected readonly reader: Received;
  #waiter: Future<undefined> | null = null;

  constructor(reader: Received) {
    super();
    this.reader = reader;
  }

  /**
   * Returns the requested bytes, or null if more data must arrive first.
   *
   * @throws the errors of the read.
   */
  protected abstract take(): Buffer | null;
  /** Called when the read is cancelled: returns the bytes to the buffer. */
  protected putBack(): void {}

  #attempt(): Buffer | null {
    const error = this.reader.exception();
    if (error !== null) throw error;
    const taken = this.take();
    if (taken !== null) this.reader._consumed();
    return taken;
  }

  next(): IteratorResult<never, Buffer> {
    if (machine.probe !== null) return probed(SUSPENDED) as never;
    this.#waiter = null;
    const taken = this.#attempt();
    if (taken !== null) return returned(taken);
    this.#waiter = machine.awaited = this.reader._wait();
    return SUSPENDED as never;
  }

  throw(error: unknown): IteratorResult<never, Buffer> {
    if (this.#waiter !== null) this.reader._stopWaiting(this.#waiter);
    this.#waiter = null;
    this.putBack();
    throw error;
  }

  /**
   * If the bytes are in the buffer, an `await` needs neither a strand of its own nor the awaiting strand,
   * unless a cancel request may be pending for that strand.
   */
  // oxlint-disable-next-line unicorn/no-thenable -- `await` calls this method
  override then<A = Buffer, B = never>(
    onFulfilled?: ((value: Buffer) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (hasNativeRequests() || !isAwait(onFulfilled, onRejected)) return super.then(onFulfilled, onRejected);
    let taken: Buffer | null;
    try {
      taken = this.#attempt();
    } catch (error) {
      void onRejected!(error);
      return undefined as never; // `await` ignores the result
    }
    if (taken === null) return super.then(onFulfilled, onRejected);
    void onFulfilled!(taken);
    return undefined as never;
  }

  _describe(): string {
    return `<${this.constructor.name} of a stream>`;
  }
}

export class ReadSome extends Reading {
  readonly #n: number;
  constructor(reader: Received, n: number) {
    super(reader);
    this.#n = n;
  }
  protected take(): Buffer | null {
    const { _buffer: buffer, _isEnded: isEnded } = this.reader;
    return this.#n === 0 || buffer.size > 0 || isEnded ? buffer.take(this.#n) : null;
  }
}

export class ReadAll extends Reading {
  #blocks: Buffer[] = [];
  protected take(): Buffer | null {
    const { _buffer: buffer } = this.reader;
    if (buffer.size > 0) this.#blocks.push(buffer.take(buffer.size));
    this.reader._consumed();
    return this.reader._isEnded ? Buffer.concat(this.#blocks) : null;
  }
  protected override putBack(): void {
    if (this.#blocks.length > 0) this.reader._buffer.unread(Buffer.concat(this.#blocks));
    this.#blocks = [];
  }
}

export class ReadExactly extends Reading {
  readonly #n: number;
  constructor(reader: Received, n: number) {
    super(reader);
    this.#n = n;
  }
  protected take(): Buffer | null {
    const { _buffer: buffer } = this.reader;
    if (buffer.size >= this.#n) return buffer.take(this.#n);
    if (!this.reader._isEnded) return null;
    throw new IncompleteReadError(buffer.take(buffer.size), this.#n);
  }
}

export class ReadUntil extends Reading {
  readonly #separators: readonly Buffer[];
  readonly #longest: number;
  readonly #shortest: number;
  /** The offset before which no separator begins. */
  #searched = 0;

  constructor(reader: Received, separators: readonly Buffer[]) {
    super(reader);
    this.#separators = separators;
    this.#longest = Math.max(...separators.map((separator) => separator.length));
    this.#shortest = Math.min(...separators.map((separator) => separator.length));
  }

  protected take(): Buffer | null {
    const { _buffer: buffer, _limit: limit, _isEnded: isEnded } = this.reader;
    if (buffer.size - this.#searched >= this.#shortest) {
      let start = -1;
      let end = -1;
      for (const separator of this.#separators) {
        const at = buffer.indexOf(separator, this.#searched);
        if (at !== -1 && (end === -1 || at + separator.length < end)) {
          start = at;
          end = at + separator.length;
        }
      }
      if (end !== -1) {
        if (start > limit) {
          throw beyondLimit(true, limit, start);
        }
        return buffer.take(end);
      }
      this.#searched = Math.max(0, buffer.size + 1 - this.#longest);
      if (this.#searched > limit) {
        throw beyondLimit(false, limit, this.#searched);
      }
    }
    if (isEnded) throw new IncompleteReadError(buffer.take(buffer.size));
    return null;
  }
}

const NEWLINE = 0x0a;

/** `readUntil` for one byte, written for speed: protocols of lines read almost only lines. */
export class ReadLine extends Reading {
  /** The offset before which there is no newline. */
  #searched = 0;

  protected take(): Buffer | null {
    const { _buffer: buffer, _limit: limit } = this.reader;
    const at = buffer.indexOfByte(NEWLINE, this.#searched);
    if (at !== -1) {
      if (at <= limit) return buffer.take(at + 1);
      this.#drop(at + 1);
      throw beyondLimit(true, limit, at);
    }
    const size = (this.#searched = buffer.size);
    if (size > limit) {
      this.#drop(size);
      throw beyondLimit(false, limit, size);
    }
    return this.reader._isEnded ? buffer.take(size) : null;
  }

  /** Drops the received part of a line that is too long. */
  #drop(size: number): void {
    this.reader._buffer.take(size);
    this.reader._consumed();
  }
}

/** The error for a line or block above the limit, in CPython's words with the next step. */
function beyondLimit(isFound: boolean, limit: number, consumed: number): LimitOverrunError {
  const what = isFound
    ? "Separator is found, but chunk is longer than limit"
    : "Separator is not found, and chunk exceed the limit";
  return new LimitOverrunError(`${what} (${limit} bytes): read it in pieces, or raise the limit`, consumed);
}
