/**
 * The pool behind `ThreadPoolExecutor`: the thread and the time of each call, and the way a call is stopped.
 *
 * **Batches.** When calls wait, several travel in one message, but only as many as take about a millisecond by the
 * earlier durations of their functions. A function that was never called travels alone. A slow call nevertheless
 * delays no other: every 2 ms a watch checks the threads with more than one call, reads the results that are there,
 * and takes back the calls that wait behind a running one.
 *
 * **Stopping.** A thread is killed on account of one call. First the pool takes back the other calls that were sent
 * there, so that none of them can begin. Then it reads the results of the thread. Only if the call still runs does
 * it end the thread. Other calls in flight are not touched.
 */
import { CancelledError, QueueFull, TimeoutError } from "@taskloom/loop";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { LifeState } from "@taskloom/loop/lifecycle";
import { startTimer } from "@taskloom/loop/timer";
import { decodeError } from "../boundary/error-transport.ts";
import type { EncodedError } from "../boundary/error-transport.ts";
import { PoolClosedError, ThreadDiedError } from "../errors.ts";
import { death, refusal } from "./call-failure.ts";
import { CallQueue } from "./call-queue.ts";
import { STACKS, recordDuration } from "./function-ref.ts";
import type { PoolCounts, PoolStats } from "./pool-stats.ts";
import type { PoolCall, PoolThread } from "./pool-thread.ts";
import { Threads } from "./threads.ts";
import { TimeHistogram } from "./time-histogram.ts";
import type { ThreadsOptions, ThreadsOwner } from "./threads.ts";

const SHUT_DOWN = "the thread pool was shut down";
const MAX_BATCH = 512;
/** The intended duration of a batch. */
const BATCH_MS = 1;
/** The time between two checks of the threads with a batch. A call waits at most two of these behind a slow one. */
const WATCH_INTERVAL_MS = 2;
const BYTES_PER_MB = 1_048_576;

/** The options of a pool. The executor fills in every field. */
export interface PoolOptions extends ThreadsOptions {
  readonly maxQueue: number;
  readonly cancelGrace: number;
  readonly maxTasksPerThread: number;
  /** Called when a thread has ended. */
  readonly onExit?: (exitCode: number, error: Error | undefined) => void;
}

export class Pool implements ThreadsOwner {
  readonly options: PoolOptions;
  readonly #queue = new CallQueue<PoolCall>();
  readonly #threads: Threads;
  readonly #life = new Lifecycle(
    () => new PoolClosedError("The thread pool was shut down and takes no more calls; make a new one"),
  );
  #onDrained: (() => void) | undefined;
  /** The number of calls that have not ended. */
  #liveCount = 0;
  #watch: NodeJS.Timeout | undefined;
  readonly #counts: PoolCounts = { completed: 0, failed: 0, cancelled: 0, killed: 0, died: 0, recycled: 0 };
  readonly #waitTimes = new TimeHistogram();
  readonly #runTimes = new TimeHistogram();
  /** The calls on whose account a thread is being ended. */
  readonly #victims = new Map<PoolThread, PoolCall>();

  constructor(options: PoolOptions) {
    this.options = options;
    this.#threads = new Threads(options, this);
  }

  get isFinished(): boolean {
    return !this.#life.isOpen && this.#liveCount === 0;
  }

  get state(): LifeState {
    return this.#life.state;
  }

  get backlog(): number {
    return this.#queue.size;
  }

  /** The most calls that run at the same time. */
  get width(): number {
    return this.options.maxThreads;
  }

  stats(): PoolStats {
    let running = 0;
    let zombies = 0;
    for (const thread of this.#threads.all) {
      running += thread.calls.count;
      if (thread.state === "stopping") zombies++;
    }
    const starting = this.#threads.startingCount;
    return {
      threads: this.#threads.all.size - starting - zombies,
      starting,
      busy: this.#threads.busyCount,
      zombies,
      queued: this.#queue.size,
      running,
      ...this.#counts,
      waitTime: this.#waitTimes.summary(),
      runTime: this.#runTimes.summary(),
    };
  }

  /**
   * Checks that the pool takes one more call.
   *
   * @throws {@link PoolClosedError} if the pool was shut down
   * @throws {@link QueueFull} if as many calls wait as `maxQueue` allows
   */
  admit(): void {
    this.#life.assertOpen();
    if (this.#queue.size >= this.options.maxQueue && !this.#hasRoom())
      throw new QueueFull(
        `${this.#queue.size} calls wait for a thread and maxQueue is ${this.options.maxQueue}; ` +
          "await some before you make more, or raise maxQueue",
      );
  }

  #hasRoom(): boolean {
    // A call that a starting thread will take does not count as waiting.
    return this.#threads.freeCount > 0 || this.#queue.size < this.#threads.expectedCount;
  }

  add(call: PoolCall): void {
    this.#liveCount++;
    call.addedAt = performance.now();
    if (this.#queue.size === 0 && this.#sendNow(call)) return;
    this.#queue.push(call);
    if (this.#threads.freeCount > 0) this.#dispatch();
    else this.#threads.grow();
  }

  /** Sends a call that does not have to wait, without a detour through the queue. Returns false if it has to wait. */
  #sendNow(call: PoolCall): boolean {
    if (this.#threads.freeCount === 0) return false;
    const thread = this.#threads.peekIdle()!;
    if (thread.state !== "ready" || !this.#hasSlots(thread)) return false;
    this.#threads.takeIdle();
    call.estimate = call.ref.meanDuration ?? 2 * BATCH_MS;
    this.#sendTo(thread, [call]);
    this.#settleIdle(thread);
    this.#threads.grow();
    return true;
  }

  #dispatch(): void {
    while (this.#queue.size > 0 && this.#threads.freeCount > 0) {
      const room = this.#threads.freeCount;
      const thread = this.#threads.takeIdle()!;
      if (thread.state !== "ready") continue;
      if (!this.#hasSlots(thread)) {
        this.#threads.putIdleLast(thread);
        this.#startWatch();
        break;
      }
      this.#sendTo(thread, this.#takeBatch(Math.ceil(this.#queue.size / room)));
      this.#settleIdle(thread);
    }
    if (this.#queue.size > 0) this.#topUp();
    this.#threads.grow();
  }

  /** Marks a thread that was idle as busy if it has taken calls. */
  #settleIdle(thread: PoolThread): void {
    if (thread.calls.count > 0) this.#threads.occupy(thread);
    else this.#threads.putIdle(thread);
  }

  /** Returns true if a whole batch has slots. A call that was taken back holds its slot until the thread has passed it. */
  #hasSlots(thread: PoolThread): boolean {
    if (thread.calls.room < MAX_BATCH) thread.collect();
    return thread.calls.room >= MAX_BATCH;
  }

  /** Sends the next batch to busy threads that are about to be free, so that they do not wait for it. */
  #topUp(): void {
    for (const thread of this.#threads.all) {
      if (!thread.isOccupied || thread.state !== "ready" || this.#isSpent(thread)) continue;
      const { calls } = thread;
      if (calls.load >= BATCH_MS || !this.#hasSlots(thread) || calls.count >= MAX_BATCH) continue;
      const next = this.#queue.peek();
      if (next === undefined || next.isAlone || next.ref.meanDuration === undefined) return;
      const running = calls.running();
      if (running?.isAlone === true || calls.runTime(running) > WATCH_INTERVAL_MS / 2) continue;
      this.#sendTo(
        thread,
        this.#takeBatch(Math.ceil(this.#queue.size / Math.max(1, this.#threads.busyCount))),
      );
    }
  }

  /** Takes at most `share` calls that together take about BATCH_MS. They travel in one message. */
  #takeBatch(share: number): PoolCall[] {
    const batch: PoolCall[] = [];
    const most = Math.min(share, MAX_BATCH);
    let time = 0;
    while (batch.length < most) {
      const call = this.#queue.peek();
      if (call === undefined) break;
      call.estimate = call.ref.meanDuration ?? 2 * BATCH_MS;
      time += call.estimate;
      // The first call always travels. A call with a port, a transfer list or a stream travels alone.
      if (batch.length > 0 && (time > BATCH_MS || call.isAlone)) break;
      batch.push(this.#queue.take()!);
      if (call.isAlone) break;
    }
    return batch;
  }

  #sendTo(thread: PoolThread, batch: readonly PoolCall[]): void {
    if (batch.length === 0) return;
    try {
      thread.send(batch);
    } catch (error) {
      if (batch.length > 1) {
        // One of the calls cannot be cloned. It is found by sending the calls one by one.
        for (const call of batch) this.#sendTo(thread, [call]);
        return;
      }
      const call = batch[0]!;
      if (this.#end(call)) call.fail(refusal(call, error));
      this.#counts.failed++;
      return;
    }
    for (const call of batch) if (call.timeout !== undefined) this.#limitRun(call, call.timeout);
    if (thread.calls.count > 1) this.#startWatch();
  }

  /** A thread has returned the value of a call. */
  succeeded(thread: PoolThread, call: PoolCall, value: unknown): void {
    this.#recordDuration(thread, call);
    this.#counts.completed++;
    if (this.#end(call)) call.succeed(value);
  }

  /** A thread has reported the error of a call. */
  failed(thread: PoolThread, call: PoolCall, encoded: EncodedError): void {
    this.#recordDuration(thread, call);
    call.ref.stacks = STACKS;
    const error = decodeError(encoded, call.callerStack?.stack);
    if (!this.#end(call)) return;
    if (error instanceof CancelledError) {
      this.#counts.cancelled++;
      // A call that was stopped because of a limit fails with the error of the limit.
      call.fail(call.stopError ?? error);
    } else {
      this.#counts.failed++;
      call.fail(error);
    }
  }

  #recordDuration(thread: PoolThread, call: PoolCall): void {
    let duration = thread.calls.duration(call);
    this.#waitTimes.record(thread.calls.startedAt(call) - call.addedAt);
    this.#runTimes.record(duration);
    if (call.metadata?.isEach === true) {
      const items = call.args[0];
      if (Array.isArray(items)) duration /= Math.max(1, items.length);
    }
    recordDuration(call.ref, duration);
  }

  /** Marks a call as ended. Returns true at the first call: the caller then settles it. */
  #end(call: PoolCall): boolean {
    if (call.isEnded) return false;
    call.isEnded = true;
    this.#liveCount--;
    call.timer?.cancel();
    call.queueTimer?.cancel();
    // The waiters for the last call await a promise, so they continue after the call itself is settled.
    if (this.#liveCount === 0) this.#onDrained?.();
    return true;
  }

  progressed(thread: PoolThread): void {
    if (!thread.isOccupied) return;
    if (thread.calls.count === 0) this.#freed(thread);
    if (this.#queue.size > 0) this.#dispatch();
  }

  /** The last call of a thread has ended. */
  #freed(thread: PoolThread): void {
    this.#threads.vacate(thread);
    if (thread.state === "retiring") thread.stop();
    if (thread.state !== "ready") return;
    if (this.#isSpent(thread)) {
      this.#counts.recycled++;
      thread.retire();
      this.#threads.grow();
    } else {
      this.#threads.release(thread);
    }
  }

  /** Returns true if a thread has to be replaced. */
  #isSpent(thread: PoolThread): boolean {
    const { maxTasksPerThread, recycleHeapMb } = this.options;
    return (
      thread.isTainted ||
      thread.calls.endedCount >= maxTasksPerThread ||
      thread.heapUsed > recycleHeapMb * BYTES_PER_MB
    );
  }

  /** Cancels a call in any state. */
  cancel(call: PoolCall, error: CancelledError): void {
    this.#stop(call, error, error.message || undefined);
  }

  /** Stops a call: a call that no thread has begun ends at once, and the thread of a running call is asked to stop it. */
  #stop(call: PoolCall, error: Error, message: string | undefined): void {
    if (this.#stopBeforeRun(call, error)) return;
    const thread = call.thread!;
    thread.askToStop(call, message);
    this.#limitStop(call, thread);
  }

  /** Stops the producer of a stream that nobody reads any more: its generator is returned, and not thrown into. */
  stopStream(call: PoolCall): void {
    call.thread?.abandonStream(call);
    if (this.#stopBeforeRun(call, new CancelledError("nobody reads the stream any more"))) return;
    this.#limitStop(call, call.thread!);
  }

  /** Ends a call that no thread has begun. Returns false for a call that runs. */
  #stopBeforeRun(call: PoolCall, error: Error): boolean {
    if (call.isEnded) return true;
    call.stopError ??= error;
    const { thread } = call;
    if (thread !== null && !thread.calls.revoke(call)) return false;
    if (thread === null) this.#queue.remove(call);
    this.#counts.cancelled++;
    if (this.#end(call)) call.fail(call.stopError);
    if (thread !== null) this.progressed(thread);
    return true;
  }

  /** Kills the thread of a call that does not stop within the grace. */
  #limitStop(call: PoolCall, thread: PoolThread): void {
    if (call.isStopSent) return;
    call.isStopSent = true;
    call.timer?.cancel();
    const { cancelGrace } = this.options;
    const { seq } = call;
    if (cancelGrace === 0) this.#kill(call, thread, seq);
    else call.timer = startTimer(cancelGrace, () => this.#kill(call, thread, seq));
  }

  /** Ends the thread if it still runs this call. */
  #kill(call: PoolCall, thread: PoolThread, seq: number): void {
    if (call.isEnded || call.thread !== thread || call.seq !== seq || this.#victims.has(thread)) return;
    const revoked = thread.calls.revokeWaiting();
    thread.drain();
    if (call.isEnded) {
      // The call ended in time. The calls that were taken back run here or elsewhere.
      this.#queue.putBack(revoked);
      this.progressed(thread);
      this.#dispatch();
      return;
    }
    this.#victims.set(thread, call);
    this.#counts.killed++;
    this.#threads.vacate(thread);
    this.#queue.putBack(revoked);
    thread.stop();
    this.#dispatch();
  }

  /** Limits the run of a call. The time counts from the moment at which the thread has begun the call. */
  #limitRun(call: PoolCall, timeout: number): void {
    const { thread, seq } = call;
    const check = (): void => {
      if (call.isEnded || thread === null || call.thread !== thread || call.seq !== seq) return;
      const runTime = thread.calls.runTime(call);
      if (runTime < timeout - 0.5) {
        call.timer = startTimer(timeout - runTime, check);
        return;
      }
      const message = `${call.ref.label} ran for more than ${timeout} ms`;
      this.#stop(call, new TimeoutError(message), message);
    };
    call.timer = startTimer(timeout, check);
  }

  /** Limits the time for which a call waits until a thread begins it. */
  limitQueueing(call: PoolCall, limit: number): void {
    call.queueTimer = startTimer(limit, () => {
      if (call.isEnded) return;
      const { thread } = call;
      if (thread !== null && !thread.calls.revoke(call)) return;
      this.#queue.remove(call);
      this.#counts.failed++;
      if (this.#end(call))
        call.fail(new TimeoutError(`${call.ref.label} waited more than ${limit} ms for a thread`));
      if (thread !== null) this.progressed(thread);
    });
  }

  #startWatch(): void {
    this.#watch ??= setTimeout(() => this.#checkBatches(), WATCH_INTERVAL_MS);
  }

  #checkBatches(): void {
    this.#watch = undefined;
    let isNeeded = false;
    for (const thread of this.#threads.all) {
      const { calls } = thread;
      if (calls.count === 0 || thread.state !== "ready") continue;
      thread.collect();
      if (calls.count > 1 && calls.runTime(calls.running()) > WATCH_INTERVAL_MS / 2)
        this.#queue.putBack(calls.revokeWaiting());
      if (calls.count === 0) this.progressed(thread);
      if (calls.count > 1) isNeeded = true;
    }
    if (isNeeded) this.#startWatch();
    this.#dispatch();
  }

  ready(): void {
    this.#dispatch();
  }

  failedToStart(error: unknown): void {
    for (const call of this.#queue.clear()) {
      this.#counts.failed++;
      if (this.#end(call))
        call.fail(
          new ThreadDiedError("The thread that should run this call did not start; see its cause", "start", {
            cause: error,
          }),
        );
    }
  }

  exited(thread: PoolThread, exitCode: number, error: Error | undefined): void {
    const wasBusy = thread.isOccupied;
    this.#threads.remove(thread);
    const victim = this.#victims.get(thread);
    this.#victims.delete(thread);
    const revoked = thread.calls.revokeWaiting();
    for (const call of thread.calls.takeLost()) {
      if (call === victim || call.stopError !== null) {
        this.#counts.cancelled++;
        if (this.#end(call)) call.fail(call.stopError);
      } else {
        this.#counts.failed++;
        if (this.#end(call)) call.fail(death(call.ref.label, exitCode, error));
      }
    }
    if (victim === undefined && wasBusy) this.#counts.died++;
    this.options.onExit?.(exitCode, error);
    this.#queue.putBack(revoked);
    this.#dispatch();
  }

  unattributed(error: unknown, label: string): void {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(
      `An error escaped on a thread${label === "" ? "" : ` from ${label}`} after its call had ended: ${what}`,
      "TaskloomStrayError",
    );
  }

  /** Takes no more calls; resolves when the calls have ended and the threads are gone. */
  shutdown(options: { readonly cancelPending: boolean; readonly cancelRunning: boolean }): Promise<void> {
    if (options.cancelPending) this.#cancelPending();
    if (options.cancelRunning)
      for (const thread of this.#threads.all)
        for (const call of thread.calls.all()) this.#stop(call, new CancelledError(SHUT_DOWN), SHUT_DOWN);
    return this.#life.stop(() => this.#close());
  }

  #cancelPending(): void {
    const pending = this.#queue.clear();
    for (const thread of this.#threads.all) pending.push(...thread.calls.revokeWaiting());
    for (const call of pending) {
      this.#counts.cancelled++;
      if (this.#end(call)) call.fail(new CancelledError(SHUT_DOWN));
    }
  }

  async #close(): Promise<void> {
    if (this.#liveCount > 0) {
      await new Promise<void>((resolve) => {
        this.#onDrained = resolve;
      });
    }
    clearTimeout(this.#watch);
    await this.#threads.close();
  }
}
