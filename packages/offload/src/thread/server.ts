/**
 * What runs on a thread: takes calls in the order they come, one at a time, and answers.
 */
import { ownFrames } from "./own-frames.ts";
import { AsyncLocalStorage } from "node:async_hooks";
import { receiveMessageOnPort } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { types } from "node:util";
import { getHeapStatistics } from "node:v8";
import { createTask } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { CallbackGuest } from "../boundary/callbacks.ts";
import { withLuggage } from "../boundary/carrier.ts";
import { runInContext } from "../boundary/context.ts";
import { encodeError } from "../boundary/error-transport.ts";
import type { EncodedError } from "../boundary/error-transport.ts";
import { ThreadDiedError } from "../errors.ts";
import { unpack } from "../boundary/value-transport.ts";
import { POSTED, Slots, sharedClockOffset } from "../boundary/slots.ts";
import { installThreadCalls } from "../boundary/thread-call.ts";
import {
  CANCEL,
  CONSOLE,
  CREDIT,
  FAILURE,
  FORGET,
  HEAP,
  RETIRE,
  RUN,
  STRAY,
  UNSOUND,
} from "../boundary/wire.ts";
import type { CallExtras, Definition, Enlistment, FromThread, ToThread } from "../boundary/wire.ts";
import { forwardConsole } from "./console.ts";
import { eachPlain, eachTask } from "./each.ts";
import { explainReference, hideLoaderWarning, know } from "./load.ts";
import type { Known, LoadedFunction } from "./load.ts";
import { isPending } from "./pending.ts";
import { produce } from "./produce.ts";
import { Running } from "./running.ts";

interface Incoming {
  seq: number;
  fn: number;
  args: unknown[];
  extras: CallExtras | undefined;
}

/** Results that lie in shared memory are announced at least this often while a batch runs. */
const ANNOUNCE_INTERVAL = 0.5;
/** Calls that come so soon after the last are a series. */
const SERIES = 0.3;
/** How long it listens. (A shorter limit makes each wait dearer: the kernel has to set a timer of its own.) */
const LISTEN = 10;
/** For how long it may run and listen before the event loop has its turn. */
const LISTEN_IN_ALL = 10;
/** The heap is looked at no more often than this. */
const HEAP_INTERVAL = 10;

export class ThreadServer {
  readonly #port: MessagePort;
  readonly #slots: Slots;
  readonly #watchHeap: boolean;
  readonly #functions = new Map<number, Known>();
  readonly #deliver = (message: ToThread): void => this.#receive(message);
  readonly #calls = new AsyncLocalStorage<Running>();
  #waiting: Incoming[] = [];
  #next = 0;
  #busy = false;
  #current: Running | undefined;
  /** Results in shared memory that the starter was not told of. */
  #stored = 0;
  /** Since when, where there are any. */
  #storedSince = 0;
  #retiring = false;
  /** Messages so far; the bell was rung once for each. */
  #received = 0;
  /** When the last call ended; long ago, unless calls come in a series. */
  #freeAt = -Infinity;

  constructor({ port, slots, watchHeap }: Enlistment) {
    this.#port = port;
    this.#slots = new Slots(slots);
    this.#watchHeap = watchHeap;
  }

  start(): void {
    hideLoaderWarning();
    installThreadCalls(this.#calls);
    forwardConsole((fd, data) => {
      const call = this.#calls.getStore();
      const port = call !== undefined && !call.ended ? call.port : this.#port;
      call?.flushProgress();
      if (call !== undefined && !call.ended) call.spoke = true;
      port.postMessage([CONSOLE, fd, data]);
    });
    process.on("uncaughtException", (error) => this.#escaped(error));
    process.on("unhandledRejection", (reason) => this.#escaped(reason));
    this.#port.on("message", (message: ToThread) => this.#receive(message));
  }

  #send(message: FromThread): void {
    this.#port.postMessage(message);
  }

  #receive(message: ToThread): void {
    this.#received = (this.#received + 1) | 0;
    switch (message[0]) {
      case RUN:
        this.#take(message);
        if (!this.#busy) this.#drain();
        break;
      case CANCEL:
        if (this.#current?.seq === message[1]) this.#current.cancel(message[2]);
        break;
      case CREDIT:
        if (this.#current?.seq === message[1]) this.#current.onCredit?.();
        break;
      case FORGET:
        for (const id of message.slice(1)) {
          this.#functions.delete(id);
        }
        break;
      case RETIRE:
        this.#retiring = true;
        if (!this.#busy) this.#port.close();
        break;
    }
  }

  #take(message: unknown[]): void {
    let seq = message[1] as number;
    for (const [id, address, label] of (message[2] as Definition[] | null) ?? []) {
      this.#functions.set(id, know(address, label));
    }
    const extras = message[3] as [number, CallExtras][] | null;
    for (let at = 4; at < message.length; seq++) {
      const fn = message[at] as number;
      const count = message[at + 1] as number;
      const args = message.slice(at + 2, at + 2 + count);
      at += 2 + count;
      this.#waiting.push({ seq, fn, args, extras: extras?.find((entry) => entry[0] === seq)?.[1] });
    }
  }

  /**
   * Runs what waits; returns when all is done, or when a call has to be waited for.
   *
   * To a caller who makes one call after the other, it then listens at the bell for the next before it gives
   * the thread back to the event loop: waking it that way takes half the time. (Piscina's `atomics: "sync"`
   * does the same, without an end, and so freezes whatever outlives a call.) It does so only in such a
   * series, only while nothing else is open on the thread, and gives the event loop a turn every 10 ms.
   */
  #drain(): void {
    const enteredAt = performance.now();
    const listens = enteredAt - this.#freeAt < SERIES && !this.#hasOthers();
    do {
      if (!this.#runAll()) return;
      // oxlint-disable-next-line no-unmodified-loop-condition -- decided once, when the event loop had its turn
    } while (listens && this.#freeAt - enteredAt < LISTEN_IN_ALL && this.#listen());
    this.#busy = false;
    if (this.#retiring) this.#port.close();
  }

  /** Whether anything on this thread would be held up: timers, sockets, what functions left behind. */
  #hasOthers(): boolean {
    return process.getActiveResourcesInfo().some((kind) => kind !== "MessagePort");
  }

  /** Waits for the next message; true when it brought calls. */
  #listen(): boolean {
    if (this.#retiring) return false;
    const { bell } = this.#slots;
    if (Atomics.wait(bell, 0, this.#received, LISTEN) === "timed-out") {
      this.#freeAt = -Infinity;
      return false;
    }
    const next = receiveMessageOnPort(this.#port);
    if (next !== undefined) this.#receive(next.message);
    return this.#waiting.length > 0;
  }

  /** False when a call has to be waited for. */
  #runAll(): boolean {
    this.#busy = true;
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
    if (this.#stored === 0) return;
    this.#send(this.#stored);
    this.#stored = 0;
    this.#storedSince = 0;
  }

  /** An error around a call ends that call alone: the next one runs all the same. */
  #rescue(incoming: Incoming, error: unknown): void {
    const call = this.#current;
    if (call === undefined || call.seq !== incoming.seq || call.ended) return;
    this.#fail(call, error, this.#slots.startedAt[call.slot]! - sharedClockOffset);
  }

  #run(incoming: Incoming): Promise<void> | undefined {
    const slot = this.#slots.index(incoming.seq);
    if (!this.#slots.claim(slot)) return undefined;
    const { label, loaded } = this.#functions.get(incoming.fn)!;
    const startedAt = performance.now();
    this.#slots.startedAt[slot] = startedAt + sharedClockOffset;
    const call = new Running(
      incoming.seq,
      label,
      this.#slots,
      this.#port,
      incoming.extras?.port,
      this.#deliver,
    );
    this.#current = call;
    if (loaded instanceof Promise) {
      return loaded.then(
        // Loading the module is no part of what the function takes.
        (fn) => this.#start(incoming, fn, call, performance.now()),
        (error: unknown) => this.#fail(call, error, startedAt),
      );
    }
    return this.#start(incoming, loaded, call, startedAt);
  }

  /** Starts a call; a promise when it has to be waited for. */
  #start(
    incoming: Incoming,
    loaded: LoadedFunction,
    call: Running,
    startedAt: number,
  ): Promise<void> | undefined {
    const { extras } = incoming;
    let guest: CallbackGuest | undefined;
    let result: unknown;
    let waits: boolean;
    try {
      let args: unknown[] = incoming.args;
      if (extras !== undefined) {
        if (extras.port !== undefined) guest = new CallbackGuest(extras.port, () => call.flushProgress());
        args = unpack(args, extras.patches, (index) => guest?.standIn(index)) as unknown[];
      }
      const invoke = (): unknown => this.#invoke(loaded, args, extras, call);
      result = this.#calls.run(call, extras === undefined ? invoke : () => surrounded(extras, call, invoke));
      // Reads the result's `then`, which may be a getter.
      waits = isPending(result);
    } catch (error) {
      this.#fail(call, loaded.fromSource ? explainReference(error, loaded.label) : error, startedAt);
      guest?.release();
      return undefined;
    }
    if (!waits) {
      this.#succeed(call, result, startedAt);
      guest?.release();
      return undefined;
    }
    return this.#wait(result as PromiseLike<unknown>, call, loaded, startedAt).finally(() =>
      guest?.release(),
    );
  }

  #invoke(loaded: LoadedFunction, args: unknown[], extras: CallExtras | undefined, call: Running): unknown {
    const { fn, kind } = loaded;
    if (extras?.stream === true) {
      const source = kind === "async" ? undefined : fn(...args);
      // Generators block the thread while they wait for room; everything else waits as a task of the loop.
      if (kind === "generator") return produce(this.#slots, call, source);
      return this.#asTask(call, extras, async () =>
        produce(this.#slots, call, await (source ?? fn(...args))),
      );
    }
    if (extras?.each === true) {
      const items = args[0] as ArrayLike<unknown>;
      if (kind === "plain") return eachPlain(fn, items, call);
      return this.#asTask(call, extras, () => eachTask(fn, items, 0, [], call));
    }
    if (kind !== "plain") return this.#asTask(call, extras, () => fn(...args));
    const result = fn(...args);
    // A promise runs already; what starts only when it is awaited becomes a task.
    return isPending(result) && !types.isPromise(result) ? this.#asTask(call, extras, () => result) : result;
  }

  #asTask(call: Running, extras: CallExtras | undefined, body: () => unknown): Task<unknown> {
    const task = createTask(body as () => Promise<unknown>, { name: extras?.name ?? call.label });
    if (extras?.deadline !== undefined) bindDeadline(task, extras.deadline);
    // Cancelled before it was made, while its module was loading.
    if (call.isCancelled()) task.cancel(call.cancelMessage());
    call.onCancel = (message) => task.cancel(message);
    task.onProgress((value) => call.reportProgress(value));
    return task;
  }

  #wait(
    result: PromiseLike<unknown>,
    call: Running,
    loaded: LoadedFunction,
    startedAt: number,
  ): Promise<void> {
    return new Promise((resolve) => {
      const finish = (ended: () => void): void => {
        if (call.ended) return;
        ended();
        resolve();
      };
      const failed = (error: unknown): void =>
        finish(() =>
          this.#fail(call, loaded.fromSource ? explainReference(error, loaded.label) : error, startedAt),
        );
      call.onEscape = failed;
      // An error that escaped from the call is reported when microtasks have run; give it that chance.
      result.then((value) => setImmediate(() => finish(() => this.#succeed(call, value, startedAt))), failed);
    });
  }

  #ended(call: Running, now: number): void {
    call.end();
    this.#current = undefined;
    this.#freeAt = now;
    if (this.#stored === 0) return;
    if (this.#storedSince === 0) this.#storedSince = now;
    else if (now - this.#storedSince > ANNOUNCE_INTERVAL) this.#announce();
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
    if (!call.spoke && this.#slots.store(call.slot, value)) {
      this.#stored++;
    } else {
      try {
        Atomics.store(this.#slots.states, call.slot, POSTED);
        call.sendValue(value);
      } catch (error) {
        this.#postFailure(call, encodeError(error));
      }
    }
    this.#ended(call, now);
  }

  #fail(call: Running, error: unknown, startedAt: number): void {
    call.flushProgress();
    this.#reportHeap();
    Atomics.store(this.#slots.states, call.slot, POSTED);
    const now = performance.now();
    this.#slots.durations[call.slot] = now - startedAt;
    this.#postFailure(call, encodeError(error, ownFrames));
    this.#ended(call, now);
  }

  #postFailure(call: Running, error: EncodedError): void {
    try {
      call.port.postMessage([FAILURE, call.seq, error]);
    } catch (refused) {
      // Too large for a message, say: at least the end of the call has to arrive.
      const { nodes } = error;
      const sent = nodes.length > 0 ? { nodes: [{ ...nodes[0]!, props: [] }] } : encodeError(refused);
      call.port.postMessage([FAILURE, call.seq, sent]);
    }
  }

  #heapAt = 0;
  #reportHeap(): void {
    if (!this.#watchHeap) return;
    const now = performance.now();
    if (now - this.#heapAt < HEAP_INTERVAL) return;
    this.#heapAt = now;
    this.#send([HEAP, getHeapStatistics().used_heap_size]);
  }

  /** A floating rejection, a throw in a timer: it fails the call it comes from, if that still runs. */
  #escaped(error: unknown): void {
    const call = this.#calls.getStore();
    this.#send([UNSOUND]);
    if (call !== undefined && !call.ended && call.onEscape !== undefined) {
      call.onEscape(
        new ThreadDiedError(
          `An error escaped from ${call.label} where nothing could catch it (a promise that nobody awaits, ` +
            "a callback of a timer); see its cause. The call failed, and its thread is replaced",
          "escaped",
          { cause: error },
        ),
      );
    } else {
      this.#send([STRAY, encodeError(error, ownFrames), call?.label ?? ""]);
    }
  }
}

/** Runs `invoke` with what surrounded the call where it was made. */
function surrounded(extras: CallExtras, call: Running, invoke: () => unknown): unknown {
  const { context, luggage } = extras;
  if (luggage === undefined) return runInContext(context, invoke);
  const tell = (name: string, message: unknown): void => call.tell(name, message);
  return withLuggage(luggage, tell, () => runInContext(context, invoke));
}

/**
 * Makes the caller's deadline the task's own, as if it stood in that `timeout` here: what it calls on from
 * here inherits it. It is the caller's timeout that ends the call.
 */
function bindDeadline(task: Task<unknown>, deadline: number): void {
  const when = deadline - performance.now() - sharedClockOffset + task.getLoop().time();
  const scope = { _outer: null, _deadline: () => when };
  Object.assign(task, { _scope: scope });
}
