/** One call while it runs on this thread: what it was asked, what it said. */
import { receiveMessageOnPort } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { CancelledError } from "@taskloom/loop";
import { findUncloneable, pack } from "../boundary/value-transport.ts";
import type { Packed } from "../boundary/value-transport.ts";
import type { RunningCall } from "../boundary/thread-call.ts";
import type { Slots } from "../boundary/slots.ts";
import { ITEM, PROGRESS, TELL, VALUE } from "../boundary/wire.ts";
import type { ToThread } from "../boundary/wire.ts";

/** A reader sees some 60 values a second. */
const PROGRESS_INTERVAL = 16;
const NOTHING = Symbol("nothing");

export class Running implements RunningCall {
  readonly seq: number;
  readonly slot: number;
  /** Where it speaks: the thread's port, or one of its own when it has callbacks. */
  readonly port: MessagePort;
  readonly label: string;
  /** Whether it has said anything, so that its result has to follow in a message. */
  spoke: boolean;
  ended = false;
  /** Stops whatever drives it. */
  onCancel: ((message: string | undefined) => void) | undefined;
  /** Something escaped from it that it did not catch; it fails with this. */
  onEscape: ((error: unknown) => void) | undefined;
  onCredit: (() => void) | undefined;
  readonly #slots: Slots;
  readonly #inbox: MessagePort;
  readonly #deliver: (message: ToThread) => void;
  #controller: AbortController | undefined;
  #message: string | undefined;
  #told = false;
  #pending: unknown = NOTHING;
  #progressAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #refusal: Error | undefined;

  constructor(
    seq: number,
    label: string,
    slots: Slots,
    inbox: MessagePort,
    port: MessagePort | undefined,
    deliver: (message: ToThread) => void,
  ) {
    this.seq = seq;
    this.slot = slots.index(seq);
    this.label = label;
    this.#slots = slots;
    this.#inbox = inbox;
    this.port = port ?? inbox;
    this.spoke = port !== undefined;
    this.#deliver = deliver;
  }

  isCancelled(): boolean {
    return (Atomics.load(this.#slots.cancels, this.slot) & 1) !== 0;
  }

  isStopped(): boolean {
    return Atomics.load(this.#slots.cancels, this.slot) !== 0;
  }

  cancelMessage(): string | undefined {
    // A busy function has not let the message in that says why; it follows the flag immediately.
    while (!this.#told) {
      const next = receiveMessageOnPort(this.#inbox);
      if (next === undefined) break;
      this.#deliver(next.message);
    }
    return this.#message;
  }

  signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.isCancelled() && !this.#controller.signal.aborted) this.#abort();
    return this.#controller.signal;
  }

  #abort(): void {
    this.#controller?.abort(new CancelledError(this.#message));
  }

  /** The starter asks it to stop. */
  cancel(message: string | undefined): void {
    this.#told = true;
    this.#message = message;
    this.#abort();
    this.onCancel?.(message);
  }

  reportProgress(value: unknown): void {
    if (this.ended) return;
    const now = performance.now();
    if (now - this.#progressAt >= PROGRESS_INTERVAL) {
      this.#pending = NOTHING;
      this.#progressAt = now;
      this.#post(PROGRESS, value, "progress");
    } else {
      this.#pending = value;
      // Only helps where the thread's event loop gets to run; a busy function's next report, or its end,
      // sends what is pending.
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.flushProgress();
      }, PROGRESS_INTERVAL);
    }
  }

  /**
   * Before anything else is said: what is pending goes first. It never throws, because its callers (a timer,
   * the call's end, a line of output) have nothing to do with the value; see `checkProgress`.
   */
  flushProgress(): void {
    if (this.#pending === NOTHING) return;
    const value = this.#pending;
    this.#pending = NOTHING;
    this.#progressAt = performance.now();
    try {
      this.#post(PROGRESS, value, "progress");
    } catch (error) {
      this.#refusal ??= error as Error;
    }
  }

  /** At the call's end: throws when a value that it reported late could not cross. */
  checkProgress(): void {
    this.flushProgress();
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  sendItem(value: unknown): void {
    this.flushProgress();
    this.#post(ITEM, value, "item");
  }

  /** Says something to a value that travelled here with the call. */
  tell(name: string, message: unknown): void {
    if (this.ended)
      throw new Error(`The call of ${this.label} that this belongs to has ended; say it before it does`);
    this.flushProgress();
    this.#post(TELL, [name, message], "message");
  }

  sendValue(value: unknown): void {
    this.#post(VALUE, value, "result");
  }

  #post(
    kind: typeof VALUE | typeof PROGRESS | typeof ITEM | typeof TELL,
    value: unknown,
    root: string,
  ): void {
    this.spoke = true;
    const packed: Packed = pack(value, root, null);
    try {
      this.port.postMessage([kind, this.seq, packed.value, packed.patches], packed.transfer ?? []);
    } catch (error) {
      throw error instanceof Error && error.name === "DataCloneError"
        ? findUncloneable(value, root, error.message)
        : error;
    }
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.#timer);
    this.onCancel = undefined;
    this.onEscape = undefined;
    this.onCredit = undefined;
  }
}
