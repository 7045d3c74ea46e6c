/** The content of one slot: a job that runs here, and its lock. */
export interface HeldLock {
  readonly queue: number;
  readonly id: string;
  readonly token: string;
  readonly name: string;
  /** Different for any two entries, so it shows whether a slot still has the entry that was read before. */
  readonly sequence: number;
}

/**
 * Returns the newest lock of each job. The next attempt of a job can begin in this process while the end of the previous
 * one is still being stored; the engine's answer is then about the next attempt. Two queues can have jobs of one id.
 */
export function newestOfEach(locks: readonly HeldLock[]): HeldLock[] {
  const newest = new Map<string, HeldLock>();
  for (const lock of locks) {
    const job = `${lock.queue} ${lock.id}`;
    const known = newest.get(job);
    if (known === undefined || known.sequence < lock.sequence) newest.set(job, lock);
  }
  return [...newest.values()];
}

const SLOT_BYTES = 1_024;
const HEADER_BYTES = 8;
/** The words at the head of a slot: sequence (0 if empty), queue, length of the text in bytes, lengths of id and token. */
const SLOT_HEADER_WORDS = 5;

/**
 * The locks that a process holds, in memory that a thread can read while the event loop is blocked.
 *
 * Messages were rejected: one message a job costs more than the whole table, where a write takes a third of a microsecond.
 * Only the loop writes. Invariant: a slot's sequence is cleared before its texts change and set afterwards. The reader
 * compares the sequence before and after it copies, so it never acts on half an entry.
 */
export class LockTable {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #texts: Uint8Array[] = [];
  readonly #free: number[] = [];
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  #sequence = 0;

  private constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  static withSlots(count: number): LockTable {
    const table = new LockTable(new SharedArrayBuffer(HEADER_BYTES + count * SLOT_BYTES));
    for (let slot = count - 1; slot >= 0; slot--) table.#free.push(slot);
    return table;
  }

  /** Returns the table for a reader on another thread. */
  static reading(memory: SharedArrayBuffer): LockTable {
    return new LockTable(memory);
  }

  /** Records that the loop turns. */
  tick(): void {
    Atomics.add(this.#words, 0, 1);
  }

  get ticks(): number {
    return Atomics.load(this.#words, 0);
  }

  /** Adds a lock and returns its slot; undefined if there is no room for it, or if its texts are too long. */
  put(queue: number, id: string, token: string, name: string): number | undefined {
    const slot = this.#free.pop();
    if (slot === undefined) return undefined;
    // One text, because each call of the encoder costs more than the text.
    const text = id + token + name;
    const { read, written } = this.#encoder.encodeInto(text, this.#textOf(slot));
    if (read < text.length) {
      this.#free.push(slot);
      return undefined;
    }
    const at = this.#wordOf(slot);
    this.#words[at + 1] = queue;
    this.#words[at + 2] = written;
    this.#words[at + 3] = id.length;
    this.#words[at + 4] = token.length;
    this.#sequence = (this.#sequence % 0x7fff_fffe) + 1;
    Atomics.store(this.#words, at, this.#sequence);
    return slot;
  }

  /** Returns the sequence of the entry that a slot has now. */
  sequenceOf(slot: number): number {
    return Atomics.load(this.#words, this.#wordOf(slot));
  }

  remove(slot: number): void {
    Atomics.store(this.#words, this.#wordOf(slot), 0);
    this.#free.push(slot);
  }

  /** Returns all locks that are held now. */
  entries(): HeldLock[] {
    const entries: HeldLock[] = [];
    const slots = (this.memory.byteLength - HEADER_BYTES) / SLOT_BYTES;
    for (let slot = 0; slot < slots; slot++) {
      const at = this.#wordOf(slot);
      const sequence = Atomics.load(this.#words, at);
      if (sequence === 0) continue;
      const queue = this.#words[at + 1]!;
      // Copied first: a TextDecoder does not read shared memory.
      const text = this.#decoder.decode(this.#textOf(slot).slice(0, this.#words[at + 2]));
      const tokenAt = this.#words[at + 3]!;
      const nameAt = tokenAt + this.#words[at + 4]!;
      const [id, token, name] = [text.slice(0, tokenAt), text.slice(tokenAt, nameAt), text.slice(nameAt)];
      if (Atomics.load(this.#words, at) === sequence) entries.push({ queue, id, token, name, sequence });
    }
    return entries;
  }

  /** Returns whether a slot still has the entry that was read from it. */
  holds({ sequence }: HeldLock): boolean {
    const slots = (this.memory.byteLength - HEADER_BYTES) / SLOT_BYTES;
    for (let slot = 0; slot < slots; slot++) {
      if (Atomics.load(this.#words, this.#wordOf(slot)) === sequence) return true;
    }
    return false;
  }

  #textOf(slot: number): Uint8Array {
    return (this.#texts[slot] ??= new Uint8Array(
      this.memory,
      HEADER_BYTES + slot * SLOT_BYTES + SLOT_HEADER_WORDS * 4,
      SLOT_BYTES - SLOT_HEADER_WORDS * 4,
    ));
  }

  #wordOf(slot: number): number {
    return (HEADER_BYTES + slot * SLOT_BYTES) / 4;
  }
}
