/**
 * The pool behind `ThreadPoolExecutor`: which call runs on which thread, when, and how it is stopped.
 *
 * **Batches.** When calls wait, many travel in one message, but only as many as should take about a
 * millisecond by what their functions took before; a function that was never called travels alone. A call
 * that turns out slow holds up nobody all the same: a watch looks every 2 ms at threads that were sent more
 * than one call, reads the results that are there, and takes back what waits behind a call that does not end.
 *
 * **Stopping.** The kill of a thread belongs to one call. What the thread was sent besides is taken back
 * first, so nothing else can begin there; then what it has ended is read; and only when the call still runs
 * is the thread ended. Nothing else in flight is touched.
 */
import { CancelledError, QueueFull, TimeoutError } from "@taskloom/loop";
import { startTimer } from "@taskloom/loop/timer";
import type { LongTimer } from "@taskloom/loop/timer";
import type { ThreadTask } from "./thread-task.ts";
import { death, refusal } from "./call-failure.ts";
import { CallQueue } from "./call-queue.ts";
import { decodeError } from "../boundary/error-transport.ts";
import type { EncodedError } from "../boundary/error-transport.ts";
import { PoolClosedError, ThreadDiedError } from "../errors.ts";
import { STACKS } from "./function-ref.ts";
import { PoolThread } from "./pool-thread.ts";
import type { ThreadOwner } from "./pool-thread.ts";
import { CLAIMED, sharedClockOffset } from "../boundary/slots.ts";
import { Supervisor } from "./supervisor.ts";
import type { ThreadOptions } from "./supervisor.ts";

const SHUT_DOWN = "the thread pool was shut down";
const MAX_BATCH = 512;
/** A batch is meant to take about this long, in milliseconds. */
const BATCH_TIME = 1;
/** How often threads with a batch are looked at. A call waits at most two of these behind a slow one. */
const WATCH_INTERVAL = 2;

/** What the pool needs to know; every field is filled in by the executor. */
export interface PoolOptions extends ThreadOptions {
  minThreads: number;
  maxThreads: number;
  spareThreads: number;
  idleTimeout: number;
  maxQueue: number;
  cancelGrace: number;
  maxTasksPerThread: number;
  recycleHeapMb: number;
  /** Told when a thread has ended that was not asked to. */
  onDeath?: (error: ThreadDiedError) => void;
}

/** What a pool is doing. */
export interface PoolStats {
  /** Threads that can take calls, the spare ones included. */
  readonly threads: number;
  readonly starting: number;
  /** Threads with a call on them. */
  readonly busy: number;
  /** Threads that were told to end and have not: a native call that cannot be interrupted holds them. */
  readonly zombies: number;
  /** Calls that wait for a thread. */
  readonly queued: number;
  /** Calls on threads, begun or about to. */
  readonly running: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Threads ended because a call did not stop by itself. */
  readonly killed: number;
  /** Threads that ended by themselves. */
  readonly died: number;
  /** Threads replaced because of their age, their heap, or an error that escaped on them. */
  readonly recycled: number;
}

export class Pool implements ThreadOwner {
  readonly options: Readonly<PoolOptions>;
  readonly #supervisor: Supervisor;
  readonly #queue = new CallQueue<ThreadTask>();
  /** Every thread that was asked for and whose exit was not seen. */
  readonly #threads = new Set<PoolThread>();
  /** Ready, with nothing in flight; the last one in is the next one out, so that the others can shrink. */
  #idle: PoolThread[] = [];
  #busy = 0;
  #starting = 0;
  #failedStarts = 0;
  #closed: Promise<void> | undefined;
  #drained: (() => void) | undefined;
  #live = 0;
  #watch: NodeJS.Timeout | undefined;
  #shrink: LongTimer | undefined;
  #completed = 0;
  #failed = 0;
  #cancelled = 0;
  #killed = 0;
  #died = 0;
  #recycled = 0;
  /** Calls whose thread is being ended on their account. */
  readonly #victims = new Map<PoolThread, ThreadTask>();

  constructor(options: PoolOptions) {
    this.options = options;
    // Threads that are being ended still count for Piscina; there is room for their successors.
    this.#supervisor = new Supervisor(options, 2 * (options.maxThreads + options.spareThreads) + 8);
    for (let i = 0; i < options.minThreads; i++) this.#startThread();
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  get backlog(): number {
    return this.#queue.size;
  }

  /** Threads that can run calls at the same time, at most. */
  get width(): number {
    return this.options.maxThreads;
  }

  stats(): PoolStats {
    let running = 0;
    let zombies = 0;
    for (const thread of this.#threads) {
      running += thread.inFlight;
      if (thread.state === "stopping") zombies++;
    }
    return {
      threads: this.#threads.size - this.#starting - zombies,
      starting: this.#starting,
      busy: this.#busy,
      zombies,
      queued: this.#queue.size,
      running,
      completed: this.#completed,
      failed: this.#failed,
      cancelled: this.#cancelled,
      killed: this.#killed,
      died: this.#died,
      recycled: this.#recycled,
    };
  }

  /**
   * Checks that one more call may come.
   *
   * @throws PoolClosedError, QueueFull
   */
  admit(): void {
    if (this.#closed !== undefined)
      throw new PoolClosedError("The thread pool was shut down and takes no more calls; make a new one");
    if (this.#queue.size >= this.options.maxQueue && !this.#hasRoom())
      throw new QueueFull(
        `${this.#queue.size} calls wait for a thread and maxQueue is ${this.options.maxQueue}; ` +
          "await some before you make more, or raise maxQueue",
      );
  }

  #hasRoom(): boolean {
    if (this.#idle.length > 0 && this.#busy < this.options.maxThreads) return true;
    // A call that a starting thread will take does not wait in the queue's sense.
    return this.#queue.size < Math.min(this.#starting, this.options.maxThreads - this.#busy);
  }

  add(call: ThreadTask): void {
    this.#live++;
    if (this.#queue.size === 0 && this.#sendNow(call)) return;
    this.#queue.push(call);
    if (this.#idle.length > 0 && this.#busy < this.options.maxThreads) this.#dispatch();
    else this.#grow();
  }

  /** The short way, for a call that need not wait. */
  #sendNow(call: ThreadTask): boolean {
    if (this.#idle.length === 0 || this.#busy >= this.options.maxThreads) return false;
    const thread = this.#idle.at(-1)!;
    if (thread.state !== "ready" || !this.#hasSlots(thread)) return false;
    this.#idle.pop();
    call.estimate = call.ref.meanDuration ?? 2 * BATCH_TIME;
    this.#sendTo(thread, [call]);
    if (thread.inFlight > 0) this.#occupy(thread);
    else this.#idle.push(thread);
    this.#grow();
    return true;
  }

  #dispatch(): void {
    while (this.#queue.size > 0 && this.#idle.length > 0 && this.#busy < this.options.maxThreads) {
      const thread = this.#idle.pop()!;
      if (thread.state !== "ready") continue;
      if (!this.#hasSlots(thread)) {
        this.#idle.unshift(thread);
        this.#startWatch();
        break;
      }
      const room = Math.min(this.#idle.length + 1, this.options.maxThreads - this.#busy);
      this.#sendTo(thread, this.#takeBatch(Math.ceil(this.#queue.size / room)));
      if (thread.inFlight > 0) this.#occupy(thread);
      else this.#idle.push(thread);
    }
    if (this.#queue.size > 0) this.#topUp();
    this.#grow();
  }

  /** Calls that were taken back hold their slots until the thread has passed them by, which is soon. */
  #hasSlots(thread: PoolThread): boolean {
    if (thread.room < MAX_BATCH) thread.collect();
    return thread.room >= MAX_BATCH;
  }

  /** Nobody is free: threads that are about to be get their next batch now, so that they need not wait for it. */
  #topUp(): void {
    for (const thread of this.#threads) {
      if (!thread.occupied || thread.state !== "ready" || this.#isSpent(thread)) continue;
      if (thread.load >= BATCH_TIME || !this.#hasSlots(thread) || thread.inFlight >= MAX_BATCH) continue;
      const next = this.#queue.peek();
      if (next === undefined || next.alone || next.ref.meanDuration === undefined) return;
      if (thread.running()?.alone === true || thread.runningFor() > WATCH_INTERVAL / 2) continue;
      this.#sendTo(thread, this.#takeBatch(Math.ceil(this.#queue.size / Math.max(1, this.#busy))));
    }
  }

  #occupy(thread: PoolThread): void {
    thread.occupied = true;
    this.#busy++;
  }

  #vacate(thread: PoolThread): void {
    if (!thread.occupied) return;
    thread.occupied = false;
    this.#busy--;
  }

  /** What goes in one message: calls that together should take about BATCH_TIME. */
  #takeBatch(share: number): ThreadTask[] {
    const batch: ThreadTask[] = [];
    const most = Math.min(share, MAX_BATCH);
    let time = 0;
    while (batch.length < most) {
      const call = this.#queue.peek();
      if (call === undefined) break;
      call.estimate = call.ref.meanDuration ?? 2 * BATCH_TIME;
      time += call.estimate;
      // The first goes in any case; one with a port, a transfer list or a stream goes alone.
      if (batch.length > 0 && (time > BATCH_TIME || call.alone)) break;
      batch.push(this.#queue.take()!);
      if (call.alone) break;
    }
    return batch;
  }

  #sendTo(thread: PoolThread, batch: ThreadTask[]): void {
    if (batch.length === 0) return;
    try {
      thread.send(batch);
    } catch (error) {
      if (batch.length === 1) {
        const [call] = batch as [ThreadTask];
        if (this.#end(call)) call.fail(refusal(call, error));
        this.#failed++;
        return;
      }
      // One of them cannot be cloned: find out which by sending them one by one.
      for (const call of batch) this.#sendTo(thread, [call]);
      return;
    }
    for (const call of batch) if (call.timeout !== undefined) this.#limitRun(call, call.timeout);
    if (thread.inFlight > 1) this.#startWatch();
  }

  // ---- ends

  settled(thread: PoolThread, call: ThreadTask, ok: boolean, value: unknown): void {
    const { ref, special } = call;
    const items = special?.each ? (call.args[0] as ArrayLike<unknown>).length || 1 : 1;
    const duration = thread.slots.durations[thread.slots.index(call.seq)]! / items;
    // Down at once, up in steps: one call that was slow by accident (a collection, another process) shall not
    // stop the batches, and what really has become slow is dealt with by the watch meanwhile.
    const mean = ref.meanDuration;
    if (mean === undefined || duration <= mean) ref.meanDuration = ((mean ?? duration) + duration) / 2;
    else ref.meanDuration = mean + (Math.min(duration, mean * 2 + 0.01) - mean) / 8;
    if (ok) {
      this.#completed++;
      if (this.#end(call)) call.succeed(value);
    } else {
      ref.stacks = STACKS;
      const error = decodeError(value as EncodedError, call.callerStack?.stack);
      if (this.#end(call)) this.#fail(call, error);
    }
  }

  #fail(call: ThreadTask, error: unknown): void {
    const { stopError } = call;
    if (error instanceof CancelledError) {
      // Asked to stop because of a limit, it did: the limit is what the caller sees.
      this.#cancelled++;
      call.fail(stopError ?? error);
    } else {
      this.#failed++;
      call.fail(error);
    }
  }

  /** True, once: the call has ended, and has to be settled now. */
  #end(call: ThreadTask): boolean {
    if (call.ended) return false;
    call.ended = true;
    this.#live--;
    call.timer?.cancel();
    call.queueTimer?.cancel();
    // Those who wait for the last one do so in a promise: they hear of it after the call itself.
    if (this.#live === 0) this.#drained?.();
    return true;
  }

  progressed(thread: PoolThread): void {
    if (!thread.occupied) return;
    if (thread.inFlight === 0) this.#freed(thread);
    if (this.#queue.size > 0) this.#dispatch();
  }

  /** A thread that had calls has none. */
  #freed(thread: PoolThread): void {
    this.#vacate(thread);
    if (thread.state === "retiring") thread.stop();
    if (thread.state !== "ready") return;
    if (this.#isSpent(thread)) {
      this.#recycled++;
      thread.retire();
      this.#grow();
    } else {
      this.#idle.push(thread);
      this.#startShrink();
    }
  }

  #isSpent(thread: PoolThread): boolean {
    const { maxTasksPerThread, recycleHeapMb } = this.options;
    return thread.unsound || thread.ended >= maxTasksPerThread || thread.heapUsed > recycleHeapMb * 1_048_576;
  }

  // ---- stopping

  /** Cancels a call wherever it is. */
  cancel(call: ThreadTask, error: CancelledError): void {
    this.#stop(call, error, error.message || undefined);
  }

  #stop(call: ThreadTask, error: Error, message: string | undefined): void {
    if (call.ended) return;
    call.stopError ??= error;
    const { thread } = call;
    if (thread === null) {
      this.#queue.remove(call);
      this.#cancelled++;
      if (this.#end(call)) call.fail(call.stopError);
      return;
    }
    if (thread.revoke(call)) {
      this.#cancelled++;
      if (this.#end(call)) call.fail(call.stopError);
      this.progressed(thread);
      return;
    }
    if (!(error instanceof StreamAbandoned)) thread.askToStop(call, message);
    if (call.stopSent) return;
    call.stopSent = true;
    call.timer?.cancel();
    const { cancelGrace } = this.options;
    if (cancelGrace === 0) this.#kill(call, thread, call.seq);
    else call.timer = startTimer(cancelGrace, () => this.#kill(call, thread, call.seq));
  }

  /** Nobody reads a stream any more: its producer is told, and ended if it does not stop by itself. */
  stopStream(call: ThreadTask): void {
    if (call.ended) return;
    if (call.thread !== null) call.thread.grant(call, 0);
    this.#stop(call, new StreamAbandoned("nobody reads the stream any more"), undefined);
  }

  /** Ends the thread if it still runs this call, and nothing but this call. */
  #kill(call: ThreadTask, thread: PoolThread, seq: number): void {
    if (call.ended || call.thread !== thread || call.seq !== seq || this.#victims.has(thread)) return;
    const back = thread.revokeWaiting();
    thread.drain();
    if (call.ended) {
      // It ended in time; what was taken back goes on, here or elsewhere.
      this.#queue.giveBack(back);
      this.progressed(thread);
      this.#dispatch();
      return;
    }
    this.#victims.set(thread, call);
    this.#killed++;
    this.#vacate(thread);
    this.#queue.giveBack(back);
    thread.stop();
    this.#dispatch();
    this.#grow();
  }

  /** Starts the clock of a call's run; it runs only once the thread has begun the call. */
  #limitRun(call: ThreadTask, timeout: number): void {
    const { thread, seq } = call;
    const check = (): void => {
      if (call.ended || thread === null || call.thread !== thread || call.seq !== seq) return;
      const slot = thread.slots.index(seq);
      const ran =
        thread.slots.state(slot) === CLAIMED
          ? performance.now() + sharedClockOffset - thread.slots.startedAt[slot]!
          : 0;
      if (ran < timeout - 0.5) {
        call.timer = startTimer(timeout - ran, check);
        return;
      }
      const message = `${call.ref.label} ran for more than ${timeout} ms`;
      this.#stop(call, new TimeoutError(message), message);
    };
    call.timer = startTimer(timeout, check);
  }

  /** Limits how long a call may wait for a thread to begin it. */
  limitQueueing(call: ThreadTask, limit: number): void {
    call.queueTimer = startTimer(limit, () => {
      if (call.ended) return;
      const { thread } = call;
      if (thread !== null && !thread.revoke(call)) return;
      this.#queue.remove(call);
      this.#failed++;
      if (this.#end(call))
        call.fail(new TimeoutError(`${call.ref.label} waited more than ${limit} ms for a thread`));
      if (thread !== null) this.progressed(thread);
    });
  }

  // ---- the watch

  #startWatch(): void {
    this.#watch ??= setTimeout(() => this.#look(), WATCH_INTERVAL);
  }

  #look(): void {
    this.#watch = undefined;
    let again = false;
    for (const thread of this.#threads) {
      if (thread.inFlight === 0 || thread.state !== "ready") continue;
      thread.collect();
      if (thread.inFlight > 1 && thread.runningFor() > WATCH_INTERVAL / 2)
        this.#queue.giveBack(thread.revokeWaiting());
      if (thread.inFlight === 0) this.progressed(thread);
      if (thread.inFlight > 1) again = true;
    }
    if (again) this.#startWatch();
    this.#dispatch();
  }

  // ---- threads come and go

  /**
   * Starts the threads that the calls at hand are short of. Without calls it starts no spare thread either: that
   * one would end after `idleTimeout`, and its end would start the next one, for ever.
   */
  #grow(): void {
    if (this.#closed !== undefined && this.#live === 0) return;
    const { maxThreads, spareThreads, minThreads } = this.options;
    const calls = this.#busy + this.#queue.size;
    const wanted = calls === 0 ? 0 : Math.min(calls, maxThreads) + spareThreads;
    const have = this.#starting + this.#busy + this.#idle.length;
    for (let i = have; i < Math.max(wanted, minThreads); i++) this.#startThread();
  }

  #startThread(): void {
    const thread = new PoolThread(this);
    this.#threads.add(thread);
    this.#starting++;
    thread.start(this.#supervisor, this.options.recycleHeapMb !== Infinity).then(
      () => {
        this.#starting--;
        this.#failedStarts = 0;
        // At the bottom: those that have run something know their functions.
        this.#idle.unshift(thread);
        this.#startShrink();
        this.#dispatch();
      },
      (error: unknown) => {
        this.#starting--;
        this.#threads.delete(thread);
        thread.abandon();
        this.#startFailed(error);
      },
    );
  }

  #startFailed(error: unknown): void {
    if (this.#closed !== undefined && this.#live === 0) return;
    // Once may be an accident; what waits is not left waiting for threads that will not come.
    if (++this.#failedStarts < 2) {
      this.#grow();
      return;
    }
    // Threads that are there, or may yet come up, take what waits; the next call tries again to have more of them.
    if (this.#busy + this.#idle.length + this.#starting > 0) return;
    this.#failedStarts = 0;
    for (const call of this.#queue.clear()) {
      this.#failed++;
      if (this.#end(call))
        call.fail(
          new ThreadDiedError("The thread that should run this call did not start; see its cause", "start", {
            cause: error,
          }),
        );
    }
  }

  exited(thread: PoolThread, exitCode: number, error: Error | undefined): void {
    const wasBusy = thread.occupied;
    this.#vacate(thread);
    this.#threads.delete(thread);
    this.#idle = this.#idle.filter((idle) => idle !== thread);
    const victim = this.#victims.get(thread);
    this.#victims.delete(thread);
    const back = thread.revokeWaiting();
    for (const call of thread.takeLost()) {
      if (call === victim || call.stopError !== null) {
        this.#cancelled++;
        if (this.#end(call)) call.fail(call.stopError);
      } else {
        this.#failed++;
        if (this.#end(call)) call.fail(death(call.ref.label, exitCode, error));
      }
    }
    if (victim === undefined && wasBusy) this.#died++;
    this.options.onDeath?.(death("this object", exitCode, error));
    this.#queue.giveBack(back);
    this.#dispatch();
    if (this.#queue.size > 0 || victim !== undefined || wasBusy) this.#grow();
  }

  stray(error: unknown, label: string): void {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(
      `An error escaped on a thread${label === "" ? "" : ` from ${label}`} after its call had ended: ${what}`,
      "TaskloomStrayError",
    );
  }

  #startShrink(): void {
    this.#shrink ??= startTimer(this.options.idleTimeout, () => this.#shrinkNow()).unref();
  }

  #shrinkNow(): void {
    this.#shrink = undefined;
    const { idleTimeout, spareThreads } = this.options;
    const now = performance.now();
    // While something runs, the spare threads are there for it.
    const minThreads = Math.max(this.options.minThreads, this.#busy > 0 ? this.#busy + spareThreads : 0);
    let alive = this.#starting + this.#busy + this.#idle.length;
    // The one that has been idle longest is at the bottom.
    this.#idle = this.#idle.filter((thread) => {
      if (alive <= minThreads || now - thread.idleSince < idleTimeout - 1) return true;
      alive--;
      thread.retire();
      return false;
    });
    if (this.#idle.length > 0 && alive > minThreads) this.#startShrink();
  }

  /** Takes no more calls; resolves when those it has have ended and the threads are gone. */
  shutdown(cancelPending: boolean, cancelRunning: boolean): Promise<void> {
    if (cancelPending) this.#cancelPending();
    if (cancelRunning)
      for (const thread of this.#threads)
        for (const call of thread.calls()) this.#stop(call, new CancelledError(SHUT_DOWN), SHUT_DOWN);
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #cancelPending(): void {
    const pending = this.#queue.clear();
    for (const thread of this.#threads) pending.push(...thread.revokeWaiting());
    for (const call of pending) {
      this.#cancelled++;
      if (this.#end(call)) call.fail(new CancelledError(SHUT_DOWN));
    }
  }

  async #close(): Promise<void> {
    if (this.#live > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    clearTimeout(this.#watch);
    this.#shrink?.cancel();
    for (const thread of this.#threads) if (thread.state !== "starting") thread.stop();
    await this.#supervisor.destroy();
  }
}

/** The gentler way to stop: the producer's generator is returned, not thrown into. */
class StreamAbandoned extends CancelledError {}
