/** The calls that were sent to one thread and have not ended, by their slots in the memory shared with the thread. */
import { CLAIMED, DONE, FREE, REVOKED, SLOTS, Slots, WAITING, sharedClockOffset } from "../boundary/slots.ts";
import type { ThreadTask } from "./thread-task.ts";

export class CallsInFlight<Thread> {
  readonly slots: Slots = new Slots();
  /** The number of calls. */
  count = 0;
  /** The sum of the expected durations, in milliseconds. */
  load = 0;
  /** The number of calls that have ended on this thread. */
  endedCount = 0;
  readonly #bySlot: (ThreadTask<Thread> | undefined)[] = Array.from({ length: SLOTS });
  readonly #thread: Thread;
  readonly #onEmpty: () => void;
  /** Calls from `#head` to before `#next` can be in flight. */
  #head = 0;
  #next = 0;

  /** @param onEmpty called when the last call has ended or was revoked */
  constructor(thread: Thread, onEmpty: () => void) {
    this.#thread = thread;
    this.#onEmpty = onEmpty;
  }

  /** The number of free slots. The slot of a revoked call is free when the thread has passed it. */
  get room(): number {
    return SLOTS - (this.#next - this.#head);
  }

  /** The number that the next call gets. */
  get nextSeq(): number {
    return this.#next;
  }

  /** Opens a slot for a call that is about to be sent. */
  open(call: ThreadTask<Thread>): void {
    const slot = this.slots.index(this.#next);
    this.slots.open(slot, call.local?.stream?.window ?? 0);
    this.#bySlot[slot] = call;
    call.seq = this.#next++;
    call.thread = this.#thread;
    this.load += call.estimate;
    this.count++;
  }

  /** Closes the slots of calls that could not be sent. */
  close(calls: readonly ThreadTask<Thread>[]): void {
    for (const call of calls) {
      const slot = this.slots.index(call.seq);
      this.slots.states[slot] = FREE;
      this.#bySlot[slot] = undefined;
      call.thread = null;
      this.load -= call.estimate;
      this.count--;
    }
  }

  /** Returns the call with this number, if it is in flight. */
  get(seq: number): ThreadTask<Thread> | undefined {
    const call = this.#bySlot[this.slots.index(seq)];
    return call?.seq === seq ? call : undefined;
  }

  /** Returns true if this thread still has the call. */
  has(call: ThreadTask<Thread>): boolean {
    return this.#bySlot[this.slots.index(call.seq)] === call;
  }

  /** Removes a call that has ended. */
  end(call: ThreadTask<Thread>): void {
    this.endedCount++;
    this.#remove(this.slots.index(call.seq), call);
  }

  #remove(slot: number, call: ThreadTask<Thread>): void {
    this.#bySlot[slot] = undefined;
    call.thread = null;
    this.load -= call.estimate;
    if (--this.count === 0) {
      this.load = 0;
      this.#onEmpty();
    }
  }

  /** Ends every call whose result lies in shared memory, and passes the results to `succeeded`. */
  collect(succeeded: (call: ThreadTask<Thread>, value: unknown) => void): void {
    while (this.#head < this.#next) {
      const slot = this.slots.index(this.#head);
      const call = this.#bySlot[slot];
      if (call !== undefined) {
        const state = this.slots.state(slot);
        if (state === WAITING || state === CLAIMED) return;
        // A posted result arrives as a message, and holds its slot until then.
        if (state !== DONE) {
          this.#collectBehind(succeeded);
          return;
        }
        this.#head++;
        this.end(call);
        succeeded(call, this.slots.take(slot));
      } else {
        // The thread would take the next call in the slot of a revoked call for the revoked one, until it has passed
        // that slot.
        if (this.slots.state(slot) === REVOKED) return;
        this.#head++;
      }
    }
  }

  /** Does the same for the calls behind a call whose result is still on its way. */
  #collectBehind(succeeded: (call: ThreadTask<Thread>, value: unknown) => void): void {
    for (let seq = this.#head + 1; seq < this.#next; seq++) {
      const slot = this.slots.index(seq);
      const call = this.#bySlot[slot];
      if (call === undefined) continue;
      if (this.slots.state(slot) !== DONE) continue;
      this.end(call);
      succeeded(call, this.slots.take(slot));
    }
  }

  /** Returns the call that runs now, if the thread has claimed one. */
  running(): ThreadTask<Thread> | undefined {
    for (let seq = this.#head; seq < this.#next; seq++) {
      const slot = this.slots.index(seq);
      const call = this.#bySlot[slot];
      if (call !== undefined && this.slots.state(slot) === CLAIMED) return call;
    }
    return undefined;
  }

  /** Returns the milliseconds for which a call that the thread has claimed has run; 0 for every other call. */
  runTime(call: ThreadTask<Thread> | undefined): number {
    if (call === undefined) return 0;
    const slot = this.slots.index(call.seq);
    if (this.slots.state(slot) !== CLAIMED) return 0;
    return performance.now() + sharedClockOffset - this.slots.startedAt[slot]!;
  }

  /** Returns the duration of a call that has ended, in milliseconds. */
  duration(call: ThreadTask<Thread>): number {
    return this.slots.durations[this.slots.index(call.seq)]!;
  }

  /** Returns when the thread has claimed a call that has ended, in `performance.now()` milliseconds of this thread. */
  startedAt(call: ThreadTask<Thread>): number {
    return this.slots.startedAt[this.slots.index(call.seq)]! - sharedClockOffset;
  }

  all(): ThreadTask<Thread>[] {
    return this.#bySlot.filter((call) => call !== undefined);
  }

  /** Takes a call back. Returns true if the call will not run on this thread. */
  revoke(call: ThreadTask<Thread>): boolean {
    const slot = this.slots.index(call.seq);
    if (this.#bySlot[slot] !== call || !this.slots.revoke(slot)) return false;
    this.#remove(slot, call);
    return true;
  }

  /** Takes back, in order, every call that the thread has not begun. */
  revokeWaiting(): ThreadTask<Thread>[] {
    const revoked: ThreadTask<Thread>[] = [];
    for (let seq = this.#head; seq < this.#next; seq++) {
      const call = this.#bySlot[this.slots.index(seq)];
      if (call !== undefined && this.revoke(call)) revoked.push(call);
    }
    return revoked;
  }

  /** Removes the calls that were under way when the thread ended: at most one call, begun and not ended. */
  takeLost(): ThreadTask<Thread>[] {
    const lost: ThreadTask<Thread>[] = [];
    for (let seq = this.#head; seq < this.#next; seq++) {
      const call = this.#bySlot[this.slots.index(seq)];
      if (call === undefined) continue;
      this.end(call);
      lost.push(call);
    }
    return lost;
  }
}
