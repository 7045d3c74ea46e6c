/**
 * Bytes that arrived and are not read yet, in one buffer with a start and an end.
 *
 * If the buffer is empty, an arriving chunk is kept as it is and later taken out without a copy. Otherwise
 * the chunk is appended to a buffer of this class, which grows by doubling. Every byte is therefore copied a
 * bounded number of times, even if a peer sends very small pieces. Bytes that were taken out share the
 * memory, so bytes never move within a buffer; if a buffer has no room left, the rest is copied to a new
 * buffer.
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
    // A chunk that was kept as it is fills its buffer, so this copy never writes into the chunk's memory.
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

  /** Adds bytes in front of the unread bytes. */
  unread(bytes: Buffer): void {
    const rest = this.take(this.size);
    this.append(rest.length === 0 ? bytes : Buffer.concat([bytes, rest]));
  }

  /** Removes and returns the first `n` bytes, or all bytes if there are fewer. */
  take(n: number): Buffer {
    const end = Math.min(this.#start + n, this.#end);
    const taken = this.#bytes.subarray(this.#start, end);
    this.#start = end;
    if (this.#start === this.#end) this.clear();
    return taken;
  }

  /** Returns the position of the first `byte` at or after `offset`, or -1 if there is none. */
  indexOfByte(byte: number, offset: number): number {
    const bytes = this.#bytes;
    const start = this.#start;
    const end = this.#end;
    let at = start + offset;
    // For a short line this loop ends before V8 would have entered Node's `indexOf`.
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

  /** Returns the position of the first `separator` at or after `offset`, or -1 if there is none. */
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
