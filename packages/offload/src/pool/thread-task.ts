/** One call to a thread, from the place where it was made to its end. */
import { CancelledError, ExternalTask } from "@taskloom/loop";
import type { LongTimer } from "@taskloom/loop/timer";
import type { Callable } from "../boundary/callable.ts";
import type { CarriedValues } from "../boundary/carried-stores.ts";
import type { Movable } from "../boundary/transfer.ts";
import type { CallMetadata } from "../boundary/wire.ts";
import type { QueuedCall } from "./call-queue.ts";
import type { FunctionRef } from "./function-ref.ts";

/** The consumer of a stream, as its producing call sees it. */
export interface StreamSink {
  /** The number of items that may be under way. */
  readonly window: number;
  onItem(value: unknown): void;
}

/** The parts of a call that stay on the caller's side. Plain calls have none. */
export interface CallerParts {
  transfer: readonly Movable[] | null;
  callbacks: readonly Callable[] | null;
  stream: StreamSink | null;
  carried: CarriedValues | undefined;
}

/** The pool of a call, as the call uses it. */
export interface Canceller<Thread> {
  cancel(call: ThreadTask<Thread>, error: CancelledError): void;
}

/**
 * The Task of a call, which is also the pool's own record of it. One object for each call and not three is a large
 * part of the speed of ten thousand calls.
 *
 * `Thread` is the pool's record of a thread. It is a parameter, so that this file does not depend on that record.
 */
export class ThreadTask<Thread> extends ExternalTask<unknown> implements QueuedCall {
  readonly ref: FunctionRef;
  readonly args: unknown[];
  readonly priority: number;
  /** The metadata that crosses with the call; null for plain calls. */
  readonly metadata: CallMetadata | null;
  /** The parts that stay here; null for plain calls. */
  readonly local: CallerParts | null;
  isWaiting = false;
  passed = 0;
  /** The thread to which the call was sent, with its number there. A call that is sent again gets new ones. */
  thread: Thread | null = null;
  seq = 0;
  /** When the pool got the call, in `performance.now()` milliseconds. */
  addedAt = 0;
  /** The expected duration in milliseconds. */
  estimate = 0;
  /** The error with which the call ends, once it was asked to stop. */
  stopError: Error | null = null;
  /** True once the thread was asked to stop the call. */
  isStopSent = false;
  timer: LongTimer | undefined = undefined;
  queueTimer: LongTimer | undefined = undefined;
  /** The limit of the run in milliseconds. */
  timeout: number | undefined = undefined;
  callerStack: { readonly stack: string } | null = null;
  isEnded = false;
  readonly #pool: Canceller<Thread>;

  constructor(
    pool: Canceller<Thread>,
    ref: FunctionRef,
    args: unknown[],
    priority: number,
    metadata: CallMetadata | null,
    local: CallerParts | null,
  ) {
    const name = metadata?.name;
    super(name === undefined ? ref.taskOptions : { description: ref.label, name });
    this.#pool = pool;
    this.ref = ref;
    this.args = args;
    this.priority = priority;
    this.metadata = metadata;
    this.local = local;
  }

  /** True for a call that shares a message with no other: it has a port, a transfer list, a stream or a chunk. */
  get isAlone(): boolean {
    const { local } = this;
    return (
      this.metadata?.isEach === true ||
      (local !== null && (local.callbacks !== null || local.transfer !== null || local.stream !== null))
    );
  }

  /** Takes the call out if no thread has begun it. Otherwise the thread is asked to stop it, and later made to. */
  override cancel(message?: string): boolean {
    if (!super.cancel(message)) return false;
    this.#pool.cancel(this, new CancelledError(message));
    return true;
  }
}
