import { IncompleteReadError, LimitOverrunError } from "../errors.ts";
import { machine, probed, returned, SUSPENDED } from "../kernel/machine.ts";
import type { Future } from "../task/future.ts";
import { isAwait } from "../task/native-await.ts";
import { Operation } from "../task/operation.ts";
import { hasNativeRequests } from "../task/requests.ts";
import type { StreamReader } from "./stream-reader.ts";

/**
 * A read: it takes what it wants out of the reader's buffer, or waits for more and looks again. An iterator
 * by hand, because reads are the hottest thing a stream does, and mostly find their data there.
 */
abstract class Reading extends Operation<Buffer> {
  protected readonly reader: StreamReader;
  #waiter: Future<undefined> | null = null;

  constructor(reader: StreamReader) {
    super();
    this.reader = reader;
  }

  /** What was asked for, or null: more has to come first. Throws what the read throws. */
  protected abstract take(): Buffer | null;
  /** The read is given up. */
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
   * An `await` of bytes that are there needs no strand, neither one of its own nor the awaiting one, unless a
   * cancellation may wait for the latter.
   */
  // oxlint-disable-next-line unicorn/no-thenable -- this is what `await` calls
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
      return undefined as never; // `await` does not look at it
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
  constructor(reader: StreamReader, n: number) {
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
  constructor(reader: StreamReader, n: number) {
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
  /** Up to here no separator begins. */
  #searched = 0;

  constructor(reader: StreamReader, separators: readonly Buffer[]) {
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

/** `readUntil` for one byte, written for speed: protocols of lines read little else. */
export class ReadLine extends Reading {
  /** Up to here there is no newline. */
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

  /** A line that is too long is dropped, as far as it is there. */
  #drop(size: number): void {
    this.reader._buffer.take(size);
    this.reader._consumed();
  }
}

/** The error of a line or block that is longer than the limit; CPython's words, and the next step. */
function beyondLimit(isFound: boolean, limit: number, consumed: number): LimitOverrunError {
  const what = isFound
    ? "Separator is found, but chunk is longer than limit"
    : "Separator is not found, and chunk exceed the limit";
  return new LimitOverrunError(`${what} (${limit} bytes): read it in pieces, or raise the limit`, consumed);
}
