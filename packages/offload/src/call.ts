/** One call, from where it was made to its end. */
import type { ExternalTask } from "@taskloom/loop";
import type { Callback } from "./callbacks.ts";
import type { Propagated } from "./context.ts";
import type { FunctionRef } from "./function-ref.ts";
import type { PoolThread } from "./pool-thread.ts";
import type { Queued } from "./call-queue.ts";
import type { Patch } from "./pack.ts";

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
  /** Milliseconds of the shared clock. */
  deadline: number | undefined;
  name: string | undefined;
}

export class Call implements Queued {
  readonly task: ExternalTask<unknown>;
  readonly ref: FunctionRef;
  readonly args: unknown[];
  readonly priority: number;
  special: Special | null;
  waiting = false;
  /** Where it was sent, and as what; a call that comes back and goes out again gets new ones. */
  thread: PoolThread | null = null;
  seq = 0;
  /** The error it is to end with, once it was asked to stop. */
  stopError: Error | null = null;
  /** The wish to stop was passed on to the thread it is on. */
  stopSent = false;
  timer: NodeJS.Timeout | undefined;
  queueTimer: NodeJS.Timeout | undefined;
  /** Limit of its run in milliseconds. */
  timeout: number | undefined;
  callerStack: { readonly stack: string } | null = null;
  ended = false;

  /** It shares a message with no other: it has a port, a transfer list or a stream. */
  get alone(): boolean {
    const { special } = this;
    return (
      special !== null &&
      (special.callbacks !== null || special.transfer !== null || special.stream !== null || special.each)
    );
  }

  constructor(
    task: ExternalTask<unknown>,
    ref: FunctionRef,
    args: unknown[],
    priority: number,
    special: Special | null,
  ) {
    this.task = task;
    this.ref = ref;
    this.args = args;
    this.priority = priority;
    this.special = special;
  }
}
