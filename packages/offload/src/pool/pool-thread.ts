/**
 * A thread as its pool sees it: what was sent to it and did not end, and how it is doing.
 */
import { MessageChannel } from "node:worker_threads";
import type { MessagePort, Worker } from "node:worker_threads";
import { hostCallbacks } from "../boundary/callbacks.ts";
import { deliverNow } from "../boundary/deliver-now.ts";
import type { ThreadTask } from "./thread-task.ts";
import { decodeError } from "../boundary/error-transport.ts";
import { unpack } from "../boundary/value-transport.ts";
import type { Patch } from "../boundary/value-transport.ts";
import { threadDepth } from "../boundary/recursion.ts";
import { CLAIMED, DONE, REVOKED, SLOTS, Slots, WAITING, sharedClockOffset } from "../boundary/slots.ts";
import type { Supervisor } from "./supervisor.ts";
import {
  CANCEL,
  CONSOLE,
  CREDIT,
  FAILURE,
  FORGET,
  HEAP,
  ITEM,
  PROGRESS,
  RETIRE,
  RUN,
  STRAY,
  TELL,
  UNSOUND,
  VALUE,
} from "../boundary/wire.ts";
import type { CallExtras, Definition, FromThread, ToThread } from "../boundary/wire.ts";

/** Functions that a thread keeps; a program that makes functions without end must not fill it. */
const MAX_KNOWN = 4096;

/** What a thread tells its pool. */
export interface ThreadOwner {
  settled(thread: PoolThread, call: ThreadTask, ok: boolean, value: unknown): void;
  /** Something ended; there may be room. */
  progressed(thread: PoolThread): void;
  exited(thread: PoolThread, exitCode: number, error: Error | undefined): void;
  stray(error: unknown, label: string): void;
}

/**
 * starting: Piscina was asked for it · ready: takes calls · retiring: takes no more and ends when it is free
 * · stopping: was told to end at once · gone: its exit was seen
 */
export type ThreadState = "starting" | "ready" | "retiring" | "stopping" | "gone";

export class PoolThread {
  state: ThreadState = "starting";
  /** Calls were sent to it and the pool has not seen that all have ended. */
  occupied = false;
  /** How long what is in flight should take, in milliseconds. */
  load = 0;
  /** Since when it has nothing to do, in milliseconds of `performance.now()`. */
  idleSince = 0;
  /** How many calls it has ended. */
  ended = 0;
  heapUsed = 0;
  unsound = false;
  readonly slots: Slots = new Slots();
  readonly #owner: ThreadOwner;
  readonly #port: MessagePort;
  readonly #far: MessagePort;
  #worker: Worker | undefined;
  #workerError: Error | undefined;
  /** By slot. */
  readonly #calls: (ThreadTask | undefined)[] = Array.from({ length: SLOTS });
  readonly #known = new Set<number>();
  #head = 0;
  #next = 0;
  #inFlight = 0;
  readonly #openPorts = new Set<MessagePort>();

  constructor(owner: ThreadOwner) {
    this.#owner = owner;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#far = port2;
  }

  /** Calls sent that have not ended. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get threadId(): number {
    return this.#worker?.threadId ?? -1;
  }

  get worker(): Worker | undefined {
    return this.#worker;
  }

  async start(supervisor: Supervisor, watchHeap: boolean): Promise<void> {
    const worker = await supervisor.start({
      port: this.#far,
      slots: this.slots.buffer,
      watchHeap,
      depth: threadDepth() + 1,
    });
    this.#worker = worker;
    worker.on("error", (error: Error) => {
      this.#workerError = error;
    });
    worker.on("exit", (exitCode: number) => this.#exited(exitCode));
    this.#port.on("message", (message: FromThread) => this.#receive(message));
    this.#port.unref();
    this.state = "ready";
    this.idleSince = performance.now();
  }

  /** It never came up. */
  abandon(): void {
    this.state = "gone";
    this.#port.close();
  }

  /** Sends calls, to be run in this order. Throws, and has sent none, when one of them cannot be cloned. */
  send(calls: readonly ThreadTask[]): void {
    if (this.#known.size > MAX_KNOWN && this.#inFlight === 0) {
      this.#post([FORGET, ...this.#known]);
      this.#known.clear();
    }
    const first = this.#next;
    let definitions: Definition[] | null = null;
    let extras: [number, CallExtras][] | null = null;
    let transfer: object[] | undefined;
    const message: unknown[] = [RUN, first, null, null];
    let seq = first;
    for (const call of calls) {
      const { ref, args, special } = call;
      if (!this.#known.has(ref.id)) {
        this.#known.add(ref.id);
        (definitions ??= []).push([ref.id, ref.address, ref.label]);
      }
      if (special !== null) {
        const more = this.#extras(call);
        (extras ??= []).push([seq, more]);
        if (special.transfer) (transfer ??= []).push(...special.transfer);
        if (more.port) (transfer ??= []).push(more.port);
      }
      const slot = this.slots.index(seq);
      this.slots.open(slot, special?.stream?.window ?? 0);
      this.#calls[slot] = call;
      call.seq = seq++;
      call.thread = this;
      this.load += call.estimate;
      message.push(ref.id, args.length);
      for (const arg of args) message.push(arg);
    }
    message[2] = definitions;
    message[3] = extras;
    try {
      this.#post(message as never, transfer);
    } catch (error) {
      for (const call of calls) {
        this.#calls[this.slots.index(call.seq)] = undefined;
        call.thread = null;
        this.load -= call.estimate;
      }
      for (const [, { port }] of extras ?? []) port?.close();
      for (const definition of definitions ?? []) this.#known.delete(definition[0]);
      throw error;
    }
    this.#next = seq;
    if (this.#inFlight === 0) this.#port.ref();
    this.#inFlight += calls.length;
  }

  #post(message: ToThread, transfer?: object[]): void {
    this.#port.postMessage(message, transfer as never);
    this.slots.ring();
  }

  #extras(call: ThreadTask): CallExtras {
    const { patches, callbacks, each, stream, context, luggage, deadline, name } = call.special!;
    const extras: CallExtras = {};
    if (patches) extras.patches = patches;
    if (each) extras.each = true;
    if (stream) extras.stream = true;
    if (context) extras.context = context;
    if (luggage) extras.luggage = luggage.sent;
    if (deadline !== undefined) extras.deadline = deadline;
    if (name !== undefined) extras.name = name;
    if (callbacks) {
      const { port1, port2 } = new MessageChannel();
      hostCallbacks(port1, callbacks);
      port1.on("message", (message: FromThread) => {
        // What is not an array is Comlink's.
        if (Array.isArray(message)) this.#receive(message);
      });
      port1.on("close", () => this.#openPorts.delete(port1));
      port1.unref();
      this.#openPorts.add(port1);
      extras.port = port2;
    }
    return extras;
  }

  #receive(message: FromThread): void {
    if (typeof message === "number") {
      this.collect();
      this.#owner.progressed(this);
      return;
    }
    switch (message[0]) {
      case VALUE:
        this.collect();
        this.#settle(message[1], true, message[2], message[3]);
        this.#owner.progressed(this);
        break;
      case FAILURE:
        // While a thread is terminated, code that it was loading can fail in odd ways: its exit ends the call.
        if (this.state === "stopping") break;
        this.collect();
        this.#settle(message[1], false, message[2], null);
        this.#owner.progressed(this);
        break;
      case PROGRESS:
        this.#calls[this.slots.index(message[1])]?.reportProgress(unpack(message[2], message[3]));
        break;
      case ITEM:
        this.#calls[this.slots.index(message[1])]?.special?.stream?.item(unpack(message[2], message[3]));
        break;
      case TELL: {
        const [name, told] = unpack(message[2], message[3]) as [string, unknown];
        this.#calls[this.slots.index(message[1])]?.special?.luggage?.hear(name, told);
        break;
      }
      case CONSOLE:
        (message[1] === 1 ? process.stdout : process.stderr).write(message[2]);
        break;
      case STRAY:
        this.#owner.stray(decodeError(message[1]), message[2]);
        break;
      case HEAP:
        this.heapUsed = message[1];
        break;
      case UNSOUND:
        this.unsound = true;
        break;
    }
  }

  #settle(seq: number, ok: boolean, value: unknown, patches: readonly Patch[] | null): void {
    const slot = this.slots.index(seq);
    const call = this.#calls[slot];
    if (call === undefined || call.seq !== seq) return;
    this.#release(slot, call);
    this.#owner.settled(this, call, ok, ok ? unpack(value, patches) : value);
  }

  #release(slot: number, call: ThreadTask): void {
    this.#calls[slot] = undefined;
    call.thread = null;
    this.ended++;
    this.load -= call.estimate;
    if (--this.#inFlight === 0) {
      this.load = 0;
      this.#port.unref();
      this.idleSince = performance.now();
    }
  }

  /** Ends every call whose result lies in shared memory. */
  collect(): void {
    while (this.#head < this.#next) {
      const slot = this.slots.index(this.#head);
      const call = this.#calls[slot];
      if (call !== undefined) {
        const state = this.slots.state(slot);
        if (state === WAITING || state === CLAIMED) return;
        // A posted result comes by itself, and until then holds its slot.
        if (state !== DONE) {
          this.#collectBehind();
          return;
        }
        this.#head++;
        this.#release(slot, call);
        this.#owner.settled(this, call, true, this.slots.take(slot));
      } else {
        // A revoked call's slot is free when the thread has passed it by; before, it would take the next
        // call there for this one.
        if (this.slots.state(slot) === REVOKED) return;
        this.#head++;
      }
    }
  }

  /** The same for those behind a call whose result is still on its way. */
  #collectBehind(): void {
    for (let seq = this.#head + 1; seq < this.#next; seq++) {
      const slot = this.slots.index(seq);
      const call = this.#calls[slot];
      if (call === undefined) continue;
      if (this.slots.state(slot) !== DONE) continue;
      this.#release(slot, call);
      this.#owner.settled(this, call, true, this.slots.take(slot));
    }
  }

  /** Room for more calls in its slots. */
  get room(): number {
    return SLOTS - (this.#next - this.#head);
  }

  /** The call it runs now, if it has claimed one. */
  running(): ThreadTask | undefined {
    for (let seq = this.#head; seq < this.#next; seq++) {
      const slot = this.slots.index(seq);
      const call = this.#calls[slot];
      if (call !== undefined && this.slots.state(slot) === CLAIMED) return call;
    }
    return undefined;
  }

  /** What was sent to it and has not ended. */
  calls(): ThreadTask[] {
    return this.#calls.filter((call) => call !== undefined);
  }

  /** For how many milliseconds it has been at the call it runs; 0 when it runs none. */
  runningFor(): number {
    const call = this.running();
    if (call === undefined) return 0;
    return performance.now() + sharedClockOffset - this.slots.startedAt[this.slots.index(call.seq)]!;
  }

  /** True when the call will not run here any more; it is then the caller's again. */
  revoke(call: ThreadTask): boolean {
    const slot = this.slots.index(call.seq);
    if (this.#calls[slot] !== call || !this.slots.revoke(slot)) return false;
    this.#calls[slot] = undefined;
    call.thread = null;
    this.load -= call.estimate;
    if (--this.#inFlight === 0) {
      this.load = 0;
      this.#port.unref();
      this.idleSince = performance.now();
    }
    return true;
  }

  /** Takes back, in order, every call that it has not begun. */
  revokeWaiting(): ThreadTask[] {
    const revoked: ThreadTask[] = [];
    for (let seq = this.#head; seq < this.#next; seq++) {
      const call = this.#calls[this.slots.index(seq)];
      if (call !== undefined && this.revoke(call)) revoked.push(call);
    }
    return revoked;
  }

  /** Asks a running call to stop. */
  askToStop(call: ThreadTask, message: string | undefined): void {
    const slot = this.slots.index(call.seq);
    Atomics.or(this.slots.cancels, slot, 1);
    this.#post([CANCEL, call.seq, message]);
    Atomics.notify(this.slots.credits, slot);
  }

  /** Opens a stream's window by so many items; none means that nobody reads any more. */
  grant(call: ThreadTask, items: number): void {
    const slot = this.slots.index(call.seq);
    if (this.#calls[slot] !== call) return;
    if (items === 0) Atomics.or(this.slots.cancels, slot, 2);
    const before = Atomics.add(this.slots.credits, slot, items);
    if (before > 0 && items > 0) return;
    Atomics.notify(this.slots.credits, slot);
    this.#post([CREDIT, call.seq]);
  }

  /** Ends the thread once it has nothing to do. */
  retire(): void {
    this.state = "retiring";
    this.#post([RETIRE]);
    if (this.#inFlight === 0) this.stop();
  }

  /** Ends the thread now. */
  stop(): void {
    if (this.state === "stopping" || this.state === "gone") return;
    this.state = "stopping";
    this.#port.ref();
    void this.#worker?.terminate();
  }

  /** Reads what has arrived and was not looked at yet. */
  drain(): void {
    for (const port of [this.#port, ...this.#openPorts]) deliverNow(port);
    this.collect();
  }

  #exited(exitCode: number): void {
    if (this.state === "gone") return;
    this.drain();
    this.state = "gone";
    this.#owner.exited(this, exitCode, this.#workerError);
    this.#port.close();
    for (const port of this.#openPorts) port.close();
  }

  /** What was under way when the thread ended: at most one call, begun and not ended. */
  takeLost(): ThreadTask[] {
    const lost: ThreadTask[] = [];
    for (let seq = this.#head; seq < this.#next; seq++) {
      const slot = this.slots.index(seq);
      const call = this.#calls[slot];
      if (call === undefined) continue;
      this.#release(slot, call);
      lost.push(call);
    }
    return lost;
  }
}
