/**
 * The memory a thread shares with the one that started it: one slot for each call in flight.
 *
 * A call that travelled in a batch is not lost to that batch. Each slot has one word that says where
 * its call stands, and two parties that may change it, each by compare-and-exchange, so exactly one wins:
 *
 *   FREE -> WAITING     the starter, before the batch is posted
 *   WAITING -> CLAIMED  the thread, just before it runs the call
 *   WAITING -> REVOKED  the starter, which may then run the call elsewhere, or nowhere
 *   CLAIMED -> DONE     the thread: the result is in this memory (`tags`, `numbers`)
 *   CLAIMED -> POSTED   the thread: the result is in a message
 *
 * Results of simple types stay in the slot. So a call that turns out to be slow holds back neither those
 * behind it (they are revoked) nor the results of those before it (they can be read), although the thread
 * cannot answer a message meanwhile.
 */
export const SLOTS = 1024;
const MASK = SLOTS - 1;

export const FREE = 0;
export const WAITING = 1;
export const CLAIMED = 2;
export const REVOKED = 3;
export const DONE = 4;
export const POSTED = 5;

const TAG_UNDEFINED = 1;
const TAG_NULL = 2;
const TAG_TRUE = 3;
const TAG_FALSE = 4;
const TAG_NUMBER = 5;
const TAG_EMPTY_STRING = 6;

const WORDS = 4;

/** Milliseconds of a clock that all threads of a process share (`performance.now()` starts anew in each). */
export const sharedClockOffset: number = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** The slots of one thread; both sides make one of these over the same buffer. */
export class Slots {
  readonly buffer: SharedArrayBuffer;
  readonly states: Int32Array;
  /** Bit 1: the call was asked to stop. Bit 2: nobody reads its stream any more. */
  readonly cancels: Int32Array;
  /** How many items a stream may still send. */
  readonly credits: Int32Array;
  /** When the call was claimed, in milliseconds of the shared clock. */
  readonly startedAt: Float64Array;
  /** How long it ran, in milliseconds. */
  readonly durations: Float64Array;
  /** Rung (counted up and notified) whenever something was posted to the thread. */
  readonly bell: Int32Array;
  readonly #tags: Int32Array;
  readonly #numbers: Float64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(SLOTS * (WORDS * 4 + 3 * 8) + 8)) {
    this.buffer = buffer;
    const words = (index: number): Int32Array => new Int32Array(buffer, index * SLOTS * 4, SLOTS);
    const doubles = (index: number): Float64Array =>
      new Float64Array(buffer, WORDS * SLOTS * 4 + index * SLOTS * 8, SLOTS);
    this.states = words(0);
    this.#tags = words(1);
    this.cancels = words(2);
    this.credits = words(3);
    this.startedAt = doubles(0);
    this.durations = doubles(1);
    this.#numbers = doubles(2);
    this.bell = new Int32Array(buffer, SLOTS * (WORDS * 4 + 3 * 8), 1);
  }

  /** The slot of the call with this sequence number. */
  index(seq: number): number {
    return seq & MASK;
  }

  state(slot: number): number {
    return Atomics.load(this.states, slot);
  }

  /** By the starter, after something was posted: a thread that still listens need not go to sleep. */
  ring(): void {
    Atomics.add(this.bell, 0, 1);
    Atomics.notify(this.bell, 0);
  }

  /** By the starter, before the call is posted. */
  open(slot: number, credits: number): void {
    this.cancels[slot] = 0;
    this.credits[slot] = credits;
    Atomics.store(this.states, slot, WAITING);
  }

  /** By the thread: true when the call is now its to run. One that was revoked leaves its slot free. */
  claim(slot: number): boolean {
    if (Atomics.compareExchange(this.states, slot, WAITING, CLAIMED) === WAITING) return true;
    Atomics.store(this.states, slot, FREE);
    return false;
  }

  /** By the starter: true when the call will certainly not run on this thread. */
  revoke(slot: number): boolean {
    return Atomics.compareExchange(this.states, slot, WAITING, REVOKED) === WAITING;
  }

  /** By the thread: leaves a simple result in the slot; false when it has to go in a message. */
  store(slot: number, value: unknown): boolean {
    let tag: number;
    switch (typeof value) {
      case "number":
        tag = TAG_NUMBER;
        this.#numbers[slot] = value;
        break;
      case "undefined":
        tag = TAG_UNDEFINED;
        break;
      case "boolean":
        tag = value ? TAG_TRUE : TAG_FALSE;
        break;
      default:
        if (value === null) tag = TAG_NULL;
        else if (value === "") tag = TAG_EMPTY_STRING;
        else return false;
    }
    this.#tags[slot] = tag;
    Atomics.store(this.states, slot, DONE);
    return true;
  }

  /** By the starter, when the state is DONE: the result that `store` left. */
  take(slot: number): unknown {
    switch (this.#tags[slot]) {
      case TAG_NUMBER:
        return this.#numbers[slot];
      case TAG_NULL:
        return null;
      case TAG_TRUE:
        return true;
      case TAG_FALSE:
        return false;
      case TAG_EMPTY_STRING:
        return "";
      default:
        return undefined;
    }
  }
}
