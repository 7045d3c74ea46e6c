/** The server of a thread. It takes calls in the order in which they come, runs them one at a time, and answers. */
import { AsyncLocalStorage } from "node:async_hooks";
import { receiveMessageOnPort } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { getHeapStatistics } from "node:v8";
import { CallbackGuest } from "../boundary/callbacks.ts";
import { encodeError } from "../boundary/error-transport.ts";
import type { EncodedError } from "../boundary/error-transport.ts";
import { POSTED, Slots, sharedClockOffset } from "../boundary/slots.ts";
import { isPending } from "../boundary/start-task.ts";
import { installThreadCalls } from "../boundary/thread-call.ts";
import { decodeArguments } from "../boundary/value-transport.ts";
import {
  CANCEL,
  CONSOLE,
  CREDIT,
  FAILURE,
  FORGET,
  HEAP,
  RETIRE,
  RUN,
  TAINTED,
  UNATTRIBUTED,
} from "../boundary/wire.ts";
import type { CallMetadata, PoolMessage, RunMessage, ThreadInit, ThreadMessage } from "../boundary/wire.ts";
import { ThreadDiedError } from "../errors.ts";
import { forwardConsole } from "./console.ts";
import { invoke, runInCallContext } from "./invoke.ts";
import { FunctionCache, explainReference, hideLoaderWarning } from "./load.ts";
import type { LoadedFunction } from "./load.ts";
import { ownFrames } from "./own-frames.ts";
import { Running } from "./running.ts";
import type { CallSite } from "./running.ts";

/** A call that has arrived and waits for its turn. */
interface Incoming {
  readonly seq: number;
  /** The number of the function. */
  readonly fn: number;
  readonly args: unknown[];
  readonly metadata: CallMetadata | undefined;
}

/** While a batch runs, results in shared memory are announced at least this often. */
const ANNOUNCE_INTERVAL_MS = 0.5;
/** Calls are a series if each begins at most this long after the end of the last one. */
const SERIES_GAP_MS = 0.3;
/**
 * The time for which the thread listens at the bell. A shorter limit makes each wait dearer, because the kernel then
 * sets a timer of its own.
 */
const LISTEN_MS = 10;
/** The time for which the thread runs calls and listens before its event loop has a turn. */
const MAX_LISTEN_MS = 10;
/** The shortest time between two reports of the heap's size. */
const HEAP_INTERVAL_MS = 10;

export class ThreadServer {
  readonly #port: MessagePort;
  readonly #slots: Slots;
  readonly #watchHeap: boolean;
  readonly #functions = new FunctionCache();
  readonly #site: CallSite;
  readonly #calls = new AsyncLocalStorage<Running>();
  #waiting: Incoming[] = [];
  #next = 0;
  #isBusy = false;
  #current: Running | undefined;
  /** The number of results in shared memory that the starter does not know of. */
  #storedCount = 0;
  /** The time of the first of these results; 0 without a result. */
  #storedSince = 0;
  #isRetiring = false;
  /** The number of messages so far. The bell is rung once for each message. */
  #receivedCount = 0;
  /** The end of the last call; -Infinity if that call was not part of a series. */
  #freeAt = -Infinity;
  /** The time of the last report of the heap's size. */
  #heapAt = 0;

  constructor({ port, slots, watchHeap }: ThreadInit) {
    this.#port = port;
    this.#slots = new Slots(slots);
    this.#watchHeap = watchHeap;
    this.#site = { slots: this.#slots, inbox: port, deliver: (message) => this.#receive(message) };
  }

  start(): void {
    hideLoaderWarning();
    installThreadCalls(this.#calls);
    forwardConsole((fd, data) => {
      const call = this.#calls.getStore();
      const port = call !== undefined && !call.isEnded ? call.port : this.#port;
      call?.flushProgress();
      if (call !== undefined && !call.isEnded) call.hasSent = true;
      const message: ThreadMessage = [CONSOLE, fd, data];
      port.postMessage(message);
    });
    process.on("uncaughtException", (error) => this.#escaped(error));
    process.on("unhandledRejection", (reason) => this.#escaped(reason));
    this.#port.on("message", this.#site.deliver);
  }

  #send(message: ThreadMessage): void {
    this.#port.postMessage(message);
  }

  #receive(message: PoolMessage): void {
    this.#receivedCount = (this.#receivedCount + 1) | 0;
    switch (message[0]) {
      case RUN:
        this.#take(message);
        if (!this.#isBusy) this.#drain();
        break;
      case CANCEL:
        if (this.#current?.seq === message[1]) this.#current.cancel(message[2]);
        break;
      case CREDIT:
        if (this.#current?.seq === message[1]) this.#current.onCredit?.();
        break;
      case FORGET:
        for (const id of message.slice(1)) this.#functions.delete(id);
        break;
      case RETIRE:
        this.#isRetiring = true;
        if (!this.#isBusy) this.#port.close();
        break;
    }
  }

  #take(message: RunMessage): void {
    const [, firstSeq, definitions, metadata] = message;
    let seq = firstSeq;
    if (definitions !== null)
      for (const [id, address, label] of definitions) this.#functions.add(id, address, label);
    for (let at = 4; at < message.length; seq++) {
      const fn = message[at] as number;
      const count = message[at + 1] as number;
      const args = message.slice(at + 2, at + 2 + count);
      at += 2 + count;
      this.#waiting.push({ seq, fn, args, metadata: metadata?.find((entry) => entry[0] === seq)?.[1] });
    }
  }

  /**
   * Runs the waiting calls. Returns when all have ended, or when a call has to be awaited.
   *
   * For a caller that makes one call after the other, the thread then listens at the bell for the next call before it
   * returns to the event loop, which halves the time until the next call begins. (Piscina's `atomics: "sync"` does
   * the same without an end, and so freezes everything that outlives a call.) The thread listens only in such a
   * series and only while nothing else is open on it, and the event loop has a turn every 10 ms.
   */
  #drain(): void {
    const enteredAt = performance.now();
    const listens = enteredAt - this.#freeAt < SERIES_GAP_MS && !this.#hasOtherResources();
    do {
      if (!this.#runAll()) return;
      // oxlint-disable-next-line no-unmodified-loop-condition -- decided once, after a turn of the event loop
    } while (listens && this.#freeAt - enteredAt < MAX_LISTEN_MS && this.#listen());
    this.#isBusy = false;
    if (this.#isRetiring) this.#port.close();
  }

  /** Returns true if timers, sockets or other resources are open on this thread, which a wait would delay. */
  #hasOtherResources(): boolean {
    return process.getActiveResourcesInfo().some((kind) => kind !== "MessagePort");
  }

  /** Waits for the next message. Returns true if calls have arrived. */
  #listen(): boolean {
    if (this.#isRetiring) return false;
    const { bell } = this.#slots;
    if (Atomics.wait(bell, 0, this.#receivedCount, LISTEN_MS) === "timed-out") {
      this.#freeAt = -Infinity;
      return false;
    }
    const next = receiveMessageOnPort(this.#port);
    if (next !== undefined) this.#receive(next.message);
    return this.#waiting.length > 0;
  }

  /** Runs the waiting calls. Returns false if a call has to be awaited. */
  #runAll(): boolean {
    this.#isBusy = true;
    while (this.#next < this.#waiting.length) {
      const incoming = this.#waiting[this.#next]!;
      this.#next++;
      let pending: Promise<void> | undefined;
      try {
        pending = this.#run(incoming);
      } catch (error) {
        this.#rescue(incoming, error);
      }
      if (pending !== undefined) {
        this.#announce();
        pending.then(
          () => this.#drain(),
          (error: unknown) => {
            this.#rescue(incoming, error);
            this.#drain();
          },
        );
        return false;
      }
    }
    this.#waiting = [];
    this.#next = 0;
    this.#announce();
    return true;
  }

  #announce(): void {
    if (this.#storedCount === 0) return;
    this.#send(this.#storedCount);
    this.#storedCount = 0;
    this.#storedSince = 0;
  }

  /** Fails the call around which an error was thrown. The next call runs nevertheless. */
  #rescue(incoming: Incoming, error: unknown): void {
    const call = this.#current;
    if (call === undefined || call.seq !== incoming.seq || call.isEnded) return;
    this.#fail(call, error, this.#slots.startedAt[call.slot]! - sharedClockOffset);
  }

  #run(incoming: Incoming): Promise<void> | undefined {
    const slot = this.#slots.index(incoming.seq);
    if (!this.#slots.claim(slot)) return undefined;
    const { label, loaded } = this.#functions.get(incoming.fn)!;
    const startedAt = performance.now();
    this.#slots.startedAt[slot] = startedAt + sharedClockOffset;
    const call = new Running(this.#site, incoming.seq, label, incoming.metadata?.port);
    this.#current = call;
    if (loaded instanceof Promise) {
      return loaded.then(
        // The duration of the function does not include the load of its module.
        (fn) => this.#start(incoming, fn, call, performance.now()),
        (error: unknown) => this.#fail(call, error, startedAt),
      );
    }
    return this.#start(incoming, loaded, call, startedAt);
  }

  /** Starts a call. Returns a promise if the call has to be awaited. */
  #start(
    incoming: Incoming,
    loaded: LoadedFunction,
    call: Running,
    startedAt: number,
  ): Promise<void> | undefined {
    const { metadata } = incoming;
    let guest: CallbackGuest | undefined;
    let result: unknown;
    let pending: PromiseLike<unknown> | undefined;
    try {
      let { args } = incoming;
      if (metadata !== undefined) {
        if (metadata.port !== undefined) guest = new CallbackGuest(metadata.port, () => call.flushProgress());
        args = decodeArguments(args, metadata.patches, (index) => guest?.standIn(index));
      }
      const run = (): unknown => invoke(loaded, args, metadata, call, this.#slots);
      result = this.#calls.run(
        call,
        metadata === undefined ? run : () => runInCallContext(metadata, call, run),
      );
      // This reads the result's `then`, which can be a getter that throws.
      if (isPending(result)) pending = result;
    } catch (error) {
      this.#fail(call, explain(loaded, error), startedAt);
      guest?.release();
      return undefined;
    }
    if (pending === undefined) {
      this.#succeed(call, result, startedAt);
      guest?.release();
      return undefined;
    }
    return this.#wait(pending, call, loaded, startedAt).finally(() => guest?.release());
  }

  #wait(
    result: PromiseLike<unknown>,
    call: Running,
    loaded: LoadedFunction,
    startedAt: number,
  ): Promise<void> {
    return new Promise((resolve) => {
      const finish = (end: () => void): void => {
        if (call.isEnded) return;
        end();
        resolve();
      };
      const failed = (error: unknown): void =>
        finish(() => this.#fail(call, explain(loaded, error), startedAt));
      call.onEscape = failed;
      // Node reports an error that escaped from the call after the microtasks, and such an error fails the call.
      result.then((value) => setImmediate(() => finish(() => this.#succeed(call, value, startedAt))), failed);
    });
  }

  #end(call: Running, now: number): void {
    call.end();
    this.#current = undefined;
    this.#freeAt = now;
    if (this.#storedCount === 0) return;
    if (this.#storedSince === 0) this.#storedSince = now;
    else if (now - this.#storedSince > ANNOUNCE_INTERVAL_MS) this.#announce();
  }

  #succeed(call: Running, value: unknown, startedAt: number): void {
    try {
      call.checkProgress();
    } catch (error) {
      this.#fail(call, error, startedAt);
      return;
    }
    this.#reportHeap();
    const now = performance.now();
    this.#slots.durations[call.slot] = now - startedAt;
    if (!call.hasSent && this.#slots.store(call.slot, value)) {
      this.#storedCount++;
    } else {
      try {
        Atomics.store(this.#slots.states, call.slot, POSTED);
        call.sendValue(value);
      } catch (error) {
        this.#postFailure(call, encodeError(error));
      }
    }
    this.#end(call, now);
  }

  #fail(call: Running, error: unknown, startedAt: number): void {
    call.flushProgress();
    this.#reportHeap();
    Atomics.store(this.#slots.states, call.slot, POSTED);
    const now = performance.now();
    this.#slots.durations[call.slot] = now - startedAt;
    this.#postFailure(call, encodeError(error, ownFrames));
    this.#end(call, now);
  }

  #postFailure(call: Running, error: EncodedError): void {
    const post = (sent: EncodedError): void => {
      const message: ThreadMessage = [FAILURE, call.seq, sent];
      call.port.postMessage(message);
    };
    try {
      post(error);
    } catch (refused) {
      // The error can be too large for a message. The end of the call has to arrive nevertheless.
      const [node] = error.nodes;
      post(node === undefined ? encodeError(refused) : { nodes: [{ ...node, props: [] }] });
    }
  }

  #reportHeap(): void {
    if (!this.#watchHeap) return;
    const now = performance.now();
    if (now - this.#heapAt < HEAP_INTERVAL_MS) return;
    this.#heapAt = now;
    this.#send([HEAP, getHeapStatistics().used_heap_size]);
  }

  /** Handles a floating rejection or an error in a timer. If the call that it comes from still runs, the call fails. */
  #escaped(error: unknown): void {
    const call = this.#calls.getStore();
    this.#send([TAINTED]);
    if (call !== undefined && !call.isEnded && call.onEscape !== undefined) {
      call.onEscape(
        new ThreadDiedError(
          `An error escaped from ${call.label} where nothing could catch it (a promise that nobody awaits, ` +
            "a callback of a timer); see its cause. The call failed, and its thread is replaced",
          "escaped",
          { cause: error },
        ),
      );
    } else {
      this.#send([UNATTRIBUTED, encodeError(error, ownFrames), call?.label ?? ""]);
    }
  }
}

function explain(loaded: LoadedFunction, error: unknown): unknown {
  return loaded.isFromSource ? explainReference(error, loaded.label) : error;
}
