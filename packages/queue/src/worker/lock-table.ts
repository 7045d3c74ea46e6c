/** What one slot says: a job that runs here, and the lock under which it does. */
export interface HeldLock {
  readonly queue: number;
  readonly id: string;
  readonly token: string;
  readonly name: string;
  /** Never the same for two entries: tells whether a slot still holds what was read before. */
  readonly sequence: number;
}

const slotBytes = 1_024;
const headerBytes = 8;
/** Words at the head of a slot: sequence (0: empty), queue, and the three texts' lengths in bytes. */
const slotHeaderWords = 5;
const textBytes = slotBytes - slotHeaderWords * 4;

/**
 * The locks that a process holds, in memory that a thread can read while the event loop stands still.
 *
 * Messages would do as well, but one a job costs more than the whole table: a write here is a third of a microsecond.
 * Only the loop writes. A slot's sequence is cleared before its texts change and set after, and the reader looks at
 * it before and after it copies, so it never acts on half an entry.
 */
export class LockTable {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #free: number[] = [];
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  #sequence = 0;

  private constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
  }

  static withSlots(count: number): LockTable {
    const table = new LockTable(new SharedArrayBuffer(headerBytes + count * slotBytes));
    for (let slot = count - 1; slot >= 0; slot--) table.#free.push(slot);
    return table;
  }

  /** The reading side, on another thread. */
  static reading(memory: SharedArrayBuffer): LockTable {
    return new LockTable(memory);
  }

  /** Shows that the loop turns. */
  tick(): void {
    Atomics.add(this.#words, 0, 1);
  }

  get ticks(): number {
    return Atomics.load(this.#words, 0);
  }

  /** Takes a lock in; undefined when there is no room for it, or its texts are too long. */
  put(queue: number, id: string, token: string, name: string): number | undefined {
    const slot = this.#free.pop();
    if (slot === undefined) return undefined;
    const at = this.#wordOf(slot);
    let used = 0;
    for (const [index, text] of [id, token, name].entries()) {
      const from = headerBytes + slot * slotBytes + slotHeaderWords * 4 + used;
      const { read, written } = this.#encoder.encodeInto(
        text,
        this.#bytes.subarray(from, from + textBytes - used),
      );
      if (read < text.length) {
        this.#free.push(slot);
        return undefined;
      }
      this.#words[at + 2 + index] = written;
      used += written;
    }
    this.#words[at + 1] = queue;
    this.#sequence = (this.#sequence % 0x7fff_fffe) + 1;
    Atomics.store(this.#words, at, this.#sequence);
    return slot;
  }

  remove(slot: number): void {
    Atomics.store(this.#words, this.#wordOf(slot), 0);
    this.#free.push(slot);
  }

  /** Every lock that is held, as of now. */
  entries(): HeldLock[] {
    const entries: HeldLock[] = [];
    const slots = (this.memory.byteLength - headerBytes) / slotBytes;
    for (let slot = 0; slot < slots; slot++) {
      const at = this.#wordOf(slot);
      const sequence = Atomics.load(this.#words, at);
      if (sequence === 0) continue;
      const queue = this.#words[at + 1] as number;
      let from = headerBytes + slot * slotBytes + slotHeaderWords * 4;
      const [id = "", token = "", name = ""] = [2, 3, 4].map((word) => {
        const length = this.#words[at + word] as number;
        // Copied first: a TextDecoder does not read shared memory.
        const text = this.#decoder.decode(this.#bytes.slice(from, from + length));
        from += length;
        return text;
      });
      if (Atomics.load(this.#words, at) === sequence) entries.push({ queue, id, token, name, sequence });
    }
    return entries;
  }

  /** Whether a slot still holds what was read from it. */
  holds({ sequence }: HeldLock): boolean {
    const slots = (this.memory.byteLength - headerBytes) / slotBytes;
    for (let slot = 0; slot < slots; slot++) {
      if (Atomics.load(this.#words, this.#wordOf(slot)) === sequence) return true;
    }
    return false;
  }

  #wordOf(slot: number): number {
    return (headerBytes + slot * slotBytes) / 4;
  }
}
