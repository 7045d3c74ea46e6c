/**
 * Bytes that came and were not read yet: one stretch of memory with a start and an end.
 *
 * A chunk that comes while nothing waits is kept as it is, and taken out without a copy. Else it is appended
 * to a buffer of ours, which grows by doubling: every byte is copied a bounded number of times, however
 * small the pieces are that a peer sends. What was taken out shares the memory, so that is never moved
 * within; when there is no room left, what remains goes to a new buffer.
 */
export class ByteBuffer {
  #bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;

  get size(): number {
    return this.#end - this.#start;
  }

  append(chunk: Buffer): void {
    const size = this.size;
    if (size === 0) {
      this.#bytes = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      return;
    }
    // A chunk that was kept as it came is full to its end: this never writes into memory that is not ours.
    if (this.#end + chunk.length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * (size + chunk.length), SMALLEST));
      this.#bytes.copy(larger, 0, this.#start, this.#end);
      this.#bytes = larger;
      this.#start = 0;
      this.#end = size;
    }
    chunk.copy(this.#bytes, this.#end);
    this.#end += chunk.length;
  }

  /** Puts bytes back in front. */
  unread(bytes: Buffer): void {
    const rest = this.take(this.size);
    this.append(rest.length === 0 ? bytes : Buffer.concat([bytes, rest]));
  }

  /** Takes out the first `n` bytes, or all there are if they are fewer. */
  take(n: number): Buffer {
    const end = Math.min(this.#start + n, this.#end);
    const taken = this.#bytes.subarray(this.#start, end);
    this.#start = end;
    if (this.#start === this.#end) this.clear();
    return taken;
  }

  /** The position of the first `byte` at or after `offset`; -1 if there is none. */
  indexOfByte(byte: number, offset: number): number {
    const bytes = this.#bytes;
    const start = this.#start;
    const end = this.#end;
    let at = start + offset;
    // A short line is found sooner than V8 calls a function of Node's.
    const near = Math.min(at + NEAR, end);
    for (; at < near; at++) if (bytes[at] === byte) return at - start;
    if (at >= end) return -1;
    const found = bytes.indexOf(byte, at);
    return found === -1 || found >= end ? -1 : found - start;
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#start = this.#end = 0;
  }

  /** Where `separator` begins, looking from `offset` on; -1 if it is not there. */
  indexOf(separator: Buffer, offset: number): number {
    const from = this.#start + offset;
    const found =
      this.#end === this.#bytes.length
        ? this.#bytes.indexOf(separator, from)
        : this.#bytes.subarray(0, this.#end).indexOf(separator, from);
    return found === -1 ? -1 : found - this.#start;
  }
}

const EMPTY: Buffer = Buffer.alloc(0);
const SMALLEST = 4096;
const NEAR = 48;
