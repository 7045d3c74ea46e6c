/**
 * The memory that a thread shares with its starter, the thread that started it: one slot for each call in flight.
 *
 * A call can leave the batch in which it travelled. Each slot has one word with the state of its call. The starter
 * and the thread change it by compare-and-exchange, so exactly one of them has the call:
 *
 *   FREE -> WAITING     the starter, before the batch is posted
 *   WAITING -> CLAIMED  the thread, immediately before it runs the call
 *   WAITING -> REVOKED  the starter, which can then run the call elsewhere, or not at all
 *   CLAIMED -> DONE     the thread: the result is in this memory (`tags`, `numbers`)
 *   CLAIMED -> POSTED   the thread: the result is in a message
 *
 * Results of simple types stay in the slot. While a slow call runs, its thread cannot answer a message. The starter
 * nevertheless revokes the calls behind it, and reads the results of the calls before it.
 */
export const SLOTS = 1024;
const MASK = SLOTS - 1;

export const FREE = 0;
export const WAITING = 1;
export const CLAIMED = 2;
export const REVOKED = 3;
export const DONE = 4;
export const POSTED = 5;

/** Bits of `Slots.cancels`. */
export const STOP_REQUESTED = 1;
export const STREAM_ABANDONED = 2;

const TAG_UNDEFINED = 1;
const TAG_NULL = 2;
const TAG_TRUE = 3;
const TAG_FALSE = 4;
const TAG_NUMBER = 5;
const TAG_EMPTY_STRING = 6;

const WORDS = 4;

/**
 * The milliseconds between `performance.now()` of this thread and a clock that all threads of the process share.
 * `performance.now()` starts anew in each thread.
 */
export const sharedClockOffset: number = readSharedClockOffset();

/** Reads both clocks some times, since the system can suspend the thread between two reads. The closest reads count. */
function readSharedClockOffset(): number {
  let [offset, closest] = [0, Infinity];
  for (let times = 0; times < 5; times++) {
    const before = performance.now();
    const shared = Number(process.hrtime.bigint()) / 1e6;
    const apart = performance.now() - before;
    if (apart < closest) [offset, closest] = [shared - before - apart / 2, apart];
  }
  return offset;
}

/** The slots of one thread. Both sides make an object of this class over the same buffer. */
export class Slots {
  readonly buffer: SharedArrayBuffer;
  readonly states: Int32Array;
  /** Two bits for each call: STOP_REQUESTED and STREAM_ABANDONED. */
  readonly cancels: Int32Array;
  /** The number of items that a stream may still send. */
  readonly credits: Int32Array;
  /** The time at which the call was claimed, in milliseconds of the shared clock. */
  readonly startedAt: Float64Array;
  /** The duration of the run, in milliseconds. */
  readonly durations: Float64Array;
  /** The number of messages that were posted to the thread. The thread waits on this word. */
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

  /** Returns the slot of the call with this sequence number. */
  index(seq: number): number {
    return seq & MASK;
  }

  state(slot: number): number {
    return Atomics.load(this.states, slot);
  }

  /** Called by the starter after each message. A thread that listens at the bell takes the message without a sleep. */
  ring(): void {
    Atomics.add(this.bell, 0, 1);
    Atomics.notify(this.bell, 0);
  }

  /** Called by the starter before the call is posted. */
  open(slot: number, credits: number): void {
    this.cancels[slot] = 0;
    this.credits[slot] = credits;
    Atomics.store(this.states, slot, WAITING);
  }

  /** Called by the thread. Returns true if the thread now runs the call; the slot of a revoked call becomes free. */
  claim(slot: number): boolean {
    if (Atomics.compareExchange(this.states, slot, WAITING, CLAIMED) === WAITING) return true;
    Atomics.store(this.states, slot, FREE);
    return false;
  }

  /** Called by the starter. A running function reads the bit, even in a busy loop. */
  requestStop(slot: number): void {
    Atomics.or(this.cancels, slot, STOP_REQUESTED);
  }

  /** Called by the starter. Returns true if the call will not run on this thread. */
  revoke(slot: number): boolean {
    return Atomics.compareExchange(this.states, slot, WAITING, REVOKED) === WAITING;
  }

  /** Called by the thread. Stores a simple result in the slot; returns false for a value that needs a message. */
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

  /** Called by the starter when the state is DONE. Returns the result that the thread stored. */
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
