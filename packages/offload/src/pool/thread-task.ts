/** One call to a thread, from where it was made to its end. */
import { CancelledError, ExternalTask } from "@taskloom/loop";
import type { LongTimer } from "@taskloom/loop/timer";
import type { Callback } from "../boundary/callbacks.ts";
import type { Luggage } from "../boundary/carrier.ts";
import type { Propagated } from "../boundary/context.ts";
import type { FunctionRef } from "./function-ref.ts";
import type { PoolThread } from "./pool-thread.ts";
import type { Queued } from "./call-queue.ts";
import type { Patch } from "../boundary/value-transport.ts";

/** What a consumer of a stream hears. */
export interface StreamSink {
  readonly window: number;
  item(value: unknown): void;
}

/** What only some calls have; the others share `null`. */
export interface Special {
  patches: readonly Patch[] | null;
  transfer: readonly object[] | null;
  callbacks: readonly Callback[] | null;
  each: boolean;
  stream: StreamSink | null;
  context: Propagated | undefined;
  luggage: Luggage | undefined;
  /** Milliseconds of the shared clock. */
  deadline: number | undefined;
  name: string | undefined;
}

/** What a task needs of the pool it was given to. */
export interface Canceller {
  cancel(call: ThreadTask, error: CancelledError): void;
}

/**
 * The Task of a call. It is also the pool's own record of it: one object for each call, not three, is much of
 * what ten thousand of them cost.
 */
export class ThreadTask extends ExternalTask<unknown> implements Queued {
  readonly ref: FunctionRef;
  readonly args: unknown[];
  readonly priority: number;
  readonly special: Special | null;
  waiting = false;
  /** Where it was sent, and as what; a call that comes back and goes out again gets new ones. */
  thread: PoolThread | null = null;
  seq = 0;
  /** How long it should take, as far as is known, in milliseconds. */
  estimate = 0;
  /** The error it is to end with, once it was asked to stop. */
  stopError: Error | null = null;
  /** The wish to stop was passed on to the thread it is on. */
  stopSent = false;
  timer: LongTimer | undefined = undefined;
  queueTimer: LongTimer | undefined = undefined;
  /** Limit of its run in milliseconds. */
  timeout: number | undefined = undefined;
  callerStack: { readonly stack: string } | null = null;
  ended = false;
  readonly #pool: Canceller;

  constructor(
    pool: Canceller,
    ref: FunctionRef,
    args: unknown[],
    priority: number,
    special: Special | null,
    name: string | undefined,
  ) {
    super(name === undefined ? ref.taskOptions : { description: ref.label, name });
    this.#pool = pool;
    this.ref = ref;
    this.args = args;
    this.priority = priority;
    this.special = special;
  }

  /** It shares a message with no other: it has a port, a transfer list or a stream. */
  get alone(): boolean {
    const { special } = this;
    return (
      special !== null &&
      (special.callbacks !== null || special.transfer !== null || special.stream !== null || special.each)
    );
  }

  /** Takes the call out where no thread has begun it; asks the thread to stop it, and then makes it, elsewhere. */
  override cancel(message?: string): boolean {
    if (!super.cancel(message)) return false;
    this.#pool.cancel(this, new CancelledError(message));
    return true;
  }
}
