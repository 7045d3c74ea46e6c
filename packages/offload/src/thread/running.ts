/** One call while it runs on this thread: the requests that it has received, and the messages that it sends. */
import { receiveMessageOnPort } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { CancelledError } from "@taskloom/loop";
import { STOP_REQUESTED } from "../boundary/slots.ts";
import type { Slots } from "../boundary/slots.ts";
import type { RunningCall } from "../boundary/thread-call.ts";
import { encodeValue, findUncloneable } from "../boundary/value-transport.ts";
import { ITEM, PROGRESS, STORE_MESSAGE, VALUE } from "../boundary/wire.ts";
import type { PoolMessage, ThreadMessage } from "../boundary/wire.ts";

/** The time between two reports of progress. A reader sees some 60 values a second. */
const PROGRESS_INTERVAL_MS = 16;
const NOTHING = Symbol("nothing");

/** The parts of the thread that a running call uses. */
export interface CallSite {
  readonly slots: Slots;
  /** The port on which requests to stop arrive. */
  readonly inbox: MessagePort;
  /** Handles a message that was taken from the inbox. */
  readonly deliver: (message: PoolMessage) => void;
}

export class Running implements RunningCall {
  readonly seq: number;
  readonly slot: number;
  readonly label: string;
  /** The port for the call's messages: the inbox, or a port of its own if the call has callbacks. */
  readonly port: MessagePort;
  /** True if the call has sent a message, so that its result has to follow in a message. */
  hasSent: boolean;
  isEnded = false;
  /** Stops the task of the call. */
  onCancel: ((message: string | undefined) => void) | undefined;
  /** Fails the call with an error that escaped from it. */
  onEscape: ((error: unknown) => void) | undefined;
  onCredit: (() => void) | undefined;
  readonly #site: CallSite;
  #controller: AbortController | undefined;
  #cancelMessage: string | undefined;
  /** True once the message that asks the call to stop was read. */
  #hasCancelMessage = false;
  /** The latest progress that was not sent yet. */
  #pending: unknown = NOTHING;
  #progressAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #progressError: unknown = NOTHING;

  /** @param port the call's own port, if it has one */
  constructor(site: CallSite, seq: number, label: string, port: MessagePort | undefined) {
    this.#site = site;
    this.seq = seq;
    this.slot = site.slots.index(seq);
    this.label = label;
    this.port = port ?? site.inbox;
    this.hasSent = port !== undefined;
  }

  isCancelled(): boolean {
    return (Atomics.load(this.#site.slots.cancels, this.slot) & STOP_REQUESTED) !== 0;
  }

  /** Returns true if the call was asked to stop, or nobody reads its stream any more. */
  isStopped(): boolean {
    return Atomics.load(this.#site.slots.cancels, this.slot) !== 0;
  }

  cancelMessage(): string | undefined {
    // The message with the reason follows the bit immediately, but a busy function has not let it in.
    while (!this.#hasCancelMessage) {
      const next = receiveMessageOnPort(this.#site.inbox);
      if (next === undefined) break;
      this.#site.deliver(next.message);
    }
    return this.#cancelMessage;
  }

  signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.isCancelled() && !this.#controller.signal.aborted) this.#abort();
    return this.#controller.signal;
  }

  #abort(): void {
    this.#controller?.abort(new CancelledError(this.#cancelMessage));
  }

  /** Handles the request to stop. */
  cancel(message: string | undefined): void {
    this.#hasCancelMessage = true;
    this.#cancelMessage = message;
    this.#abort();
    this.onCancel?.(message);
  }

  reportProgress(value: unknown): void {
    if (this.isEnded) return;
    const now = performance.now();
    if (now - this.#progressAt >= PROGRESS_INTERVAL_MS) {
      this.#pending = NOTHING;
      this.#progressAt = now;
      this.#post(PROGRESS, value, "progress");
    } else {
      this.#pending = value;
      // The timer fires only while the thread's event loop runs. The next report of a busy function, or its end,
      // sends the pending value otherwise.
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.flushProgress();
      }, PROGRESS_INTERVAL_MS);
    }
  }

  /**
   * Sends the pending progress. It goes before every other message of the call. This method never throws, because its
   * callers (a timer, the call's end, a line of output) have nothing to do with the value; see `checkProgress`.
   */
  flushProgress(): void {
    if (this.#pending === NOTHING) return;
    const value = this.#pending;
    this.#pending = NOTHING;
    this.#progressAt = performance.now();
    try {
      this.#post(PROGRESS, value, "progress");
    } catch (error) {
      if (this.#progressError === NOTHING) this.#progressError = error;
    }
  }

  /**
   * Sends the pending progress at the end of the call.
   *
   * @throws {@link UncloneableError} if a value that was sent late could not cross
   */
  checkProgress(): void {
    this.flushProgress();
    if (this.#progressError !== NOTHING) throw this.#progressError;
  }

  sendItem(value: unknown): void {
    this.flushProgress();
    this.#post(ITEM, value, "item");
  }

  /** Sends a message to a value that travelled here with the call. */
  sendToStore(store: string, message: unknown): void {
    if (this.isEnded)
      throw new Error(
        `The call of ${this.label} that this belongs to has ended; send it before the call ends`,
      );
    this.flushProgress();
    this.#post(STORE_MESSAGE, message, "message", store);
  }

  sendValue(value: unknown): void {
    this.#post(VALUE, value, "result");
  }

  #post(kind: typeof VALUE | typeof PROGRESS | typeof ITEM, value: unknown, root: string): void;
  #post(kind: typeof STORE_MESSAGE, value: unknown, root: string, store: string): void;
  #post(
    kind: typeof VALUE | typeof PROGRESS | typeof ITEM | typeof STORE_MESSAGE,
    value: unknown,
    root: string,
    store?: string,
  ): void {
    this.hasSent = true;
    const encoded = encodeValue(value, root, null);
    const message: ThreadMessage =
      kind === STORE_MESSAGE
        ? [kind, this.seq, encoded.value, encoded.patches, store!]
        : [kind, this.seq, encoded.value, encoded.patches];
    try {
      this.port.postMessage(message, encoded.transfer ?? []);
    } catch (error) {
      throw error instanceof Error && error.name === "DataCloneError"
        ? findUncloneable(value, root, error.message)
        : error;
    }
  }

  end(): void {
    this.isEnded = true;
    clearTimeout(this.#timer);
    this.onCancel = undefined;
    this.onEscape = undefined;
    this.onCredit = undefined;
  }
}
