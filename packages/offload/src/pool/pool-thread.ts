/** A thread as its pool sees it: the port to the thread, the calls that were sent to it, and its state. */
import { MessageChannel } from "node:worker_threads";
import type { MessagePort, Worker } from "node:worker_threads";
import { openCallbackPort } from "../boundary/callbacks.ts";
import { deliverNow } from "../boundary/deliver-now.ts";
import { decodeError } from "../boundary/error-transport.ts";
import type { EncodedError } from "../boundary/error-transport.ts";
import { threadDepth } from "../boundary/recursion.ts";
import { STREAM_ABANDONED } from "../boundary/slots.ts";
import type { Movable } from "../boundary/transfer.ts";
import { decodeValue } from "../boundary/value-transport.ts";
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
  STORE_MESSAGE,
  TAINTED,
  UNATTRIBUTED,
  VALUE,
} from "../boundary/wire.ts";
import type { CallMetadata, Definition, PoolMessage, RunMessage, ThreadMessage } from "../boundary/wire.ts";
import { CallsInFlight } from "./calls-in-flight.ts";
import type { Supervisor } from "./supervisor.ts";
import type { ThreadTask } from "./thread-task.ts";

/** The most functions that a thread keeps, so that a program that makes functions without end does not fill it. */
const MAX_FUNCTIONS = 4096;

/** A call of a pool. */
export type PoolCall = ThreadTask<PoolThread>;

/** The receiver of the events of a thread. */
export interface ThreadOwner {
  succeeded(thread: PoolThread, call: PoolCall, value: unknown): void;
  failed(thread: PoolThread, call: PoolCall, error: EncodedError): void;
  /** Calls have ended, so the thread may have room. */
  progressed(thread: PoolThread): void;
  exited(thread: PoolThread, exitCode: number, error: Error | undefined): void;
  /** An error escaped on the thread that belongs to no running call. */
  unattributed(error: unknown, label: string): void;
}

/**
 * starting: Piscina was asked for the thread · ready: it takes calls · retiring: it takes no more calls, and ends when
 * it is free · stopping: it was asked to end at once · gone: its exit was seen
 */
export type ThreadState = "starting" | "ready" | "retiring" | "stopping" | "gone";

export class PoolThread {
  state: ThreadState = "starting";
  /** True from a send until the pool has seen that all calls have ended. */
  isOccupied = false;
  /** The time since which the thread has been idle, in milliseconds of `performance.now()`. */
  idleSince = 0;
  /** The size of the thread's heap in bytes, as the thread reported it last. */
  heapUsed = 0;
  /** True after an error has escaped on the thread. */
  isTainted = false;
  readonly calls: CallsInFlight<PoolThread>;
  readonly #owner: ThreadOwner;
  readonly #port: MessagePort;
  readonly #far: MessagePort;
  #worker: Worker | undefined;
  #workerError: Error | undefined;
  /** The functions whose definition was sent. */
  readonly #defined = new Set<number>();
  /** The ports of calls with callbacks. */
  readonly #openPorts = new Set<MessagePort>();
  readonly #succeeded: (call: PoolCall, value: unknown) => void;

  constructor(owner: ThreadOwner) {
    this.#owner = owner;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#far = port2;
    this.calls = new CallsInFlight<PoolThread>(this, () => {
      this.#port.unref();
      this.idleSince = performance.now();
    });
    this.#succeeded = (call, value) => owner.succeeded(this, call, value);
  }

  async start(supervisor: Supervisor, watchHeap: boolean): Promise<void> {
    const worker = await supervisor.start({
      port: this.#far,
      slots: this.calls.slots.buffer,
      watchHeap,
      depth: threadDepth() + 1,
    });
    this.#worker = worker;
    worker.on("error", (error: Error) => {
      this.#workerError = error;
    });
    worker.on("exit", (exitCode: number) => this.#exited(exitCode));
    this.#port.on("message", (message: ThreadMessage) => this.#receive(message));
    this.#port.unref();
    this.state = "ready";
    this.idleSince = performance.now();
  }

  /** Closes the port of a thread that failed to start. */
  abandon(): void {
    this.state = "gone";
    this.#port.close();
  }

  /**
   * Sends calls, which run in this order.
   *
   * @throws the DataCloneError of a call that cannot be cloned; none of the calls was sent then
   */
  send(calls: readonly PoolCall[]): void {
    const wasEmpty = this.calls.count === 0;
    if (wasEmpty && this.#defined.size > MAX_FUNCTIONS) {
      this.#post([FORGET, ...this.#defined]);
      this.#defined.clear();
    }
    let definitions: Definition[] | null = null;
    let metadata: [seq: number, metadata: CallMetadata][] | null = null;
    let transfer: Movable[] | undefined;
    const message: RunMessage = [RUN, this.calls.nextSeq, null, null];
    for (const call of calls) {
      const { ref, args, local } = call;
      if (!this.#defined.has(ref.id)) {
        this.#defined.add(ref.id);
        (definitions ??= []).push([ref.id, ref.address, ref.label]);
      }
      this.calls.open(call);
      if (call.metadata !== null) (metadata ??= []).push([call.seq, call.metadata]);
      if (local !== null) {
        if (local.callbacks !== null) (transfer ??= []).push(this.#openPort(call));
        if (local.transfer !== null) (transfer ??= []).push(...local.transfer);
      }
      message.push(ref.id, args.length);
      for (const arg of args) message.push(arg);
    }
    message[2] = definitions;
    message[3] = metadata;
    try {
      this.#post(message, transfer);
    } catch (error) {
      this.calls.close(calls);
      for (const call of calls) call.metadata?.port?.close();
      for (const [id] of definitions ?? []) this.#defined.delete(id);
      throw error;
    }
    if (wasEmpty) this.#port.ref();
  }

  #post(message: PoolMessage, transfer?: readonly Movable[]): void {
    this.#port.postMessage(message, transfer);
    this.calls.slots.ring();
  }

  /** Opens a port for the callbacks of a call, and returns the thread's end of that port. */
  #openPort(call: PoolCall): MessagePort {
    const { near, far } = openCallbackPort(call.local!.callbacks!, this.#openPorts);
    near.on("message", (message: ThreadMessage) => {
      // Messages that are not arrays are Comlink's.
      if (Array.isArray(message)) this.#receive(message);
    });
    // A listener refs its port.
    near.unref();
    call.metadata!.port = far;
    return far;
  }

  #receive(message: ThreadMessage): void {
    if (typeof message === "number") {
      this.collect();
      this.#owner.progressed(this);
      return;
    }
    switch (message[0]) {
      case VALUE: {
        this.collect();
        const call = this.#end(message[1]);
        if (call !== undefined) this.#succeeded(call, decodeValue(message[2], message[3]));
        this.#owner.progressed(this);
        break;
      }
      case FAILURE: {
        // While a thread is terminated, code that it loads can fail in odd ways. The exit ends such a call.
        if (this.state === "stopping") break;
        this.collect();
        const call = this.#end(message[1]);
        if (call !== undefined) this.#owner.failed(this, call, message[2]);
        this.#owner.progressed(this);
        break;
      }
      case PROGRESS:
        this.calls.get(message[1])?.reportProgress(decodeValue(message[2], message[3]));
        break;
      case ITEM:
        this.calls.get(message[1])?.local?.stream?.onItem(decodeValue(message[2], message[3]));
        break;
      case STORE_MESSAGE:
        this.calls
          .get(message[1])
          ?.local?.carried?.onMessage(message[4], decodeValue(message[2], message[3]));
        break;
      case CONSOLE:
        (message[1] === 1 ? process.stdout : process.stderr).write(message[2]);
        break;
      case UNATTRIBUTED:
        this.#owner.unattributed(decodeError(message[1]), message[2]);
        break;
      case HEAP:
        this.heapUsed = message[1];
        break;
      case TAINTED:
        this.isTainted = true;
        break;
    }
  }

  /** Removes the call whose result has arrived, and returns it; undefined if the call has ended otherwise. */
  #end(seq: number): PoolCall | undefined {
    const call = this.calls.get(seq);
    if (call !== undefined) this.calls.end(call);
    return call;
  }

  /** Ends every call whose result lies in shared memory. */
  collect(): void {
    this.calls.collect(this.#succeeded);
  }

  /** Asks a running call to stop. */
  askToStop(call: PoolCall, message: string | undefined): void {
    const { slots } = this.calls;
    const slot = slots.index(call.seq);
    slots.requestStop(slot);
    this.#post([CANCEL, call.seq, message]);
    // A producer that waits for room waits on this word.
    Atomics.notify(slots.credits, slot);
  }

  /** Opens a stream's window by a number of items. */
  grant(call: PoolCall, items: number): void {
    if (!this.calls.has(call)) return;
    const { credits } = this.calls.slots;
    const slot = this.calls.slots.index(call.seq);
    if (Atomics.add(credits, slot, items) <= 0) this.#wakeProducer(call, slot);
  }

  /** Asks a stream's producer to stop, because nobody reads the stream any more. */
  abandonStream(call: PoolCall): void {
    if (!this.calls.has(call)) return;
    const slot = this.calls.slots.index(call.seq);
    Atomics.or(this.calls.slots.cancels, slot, STREAM_ABANDONED);
    this.#wakeProducer(call, slot);
  }

  #wakeProducer(call: PoolCall, slot: number): void {
    Atomics.notify(this.calls.slots.credits, slot);
    this.#post([CREDIT, call.seq]);
  }

  /** Ends the thread when its calls have ended. */
  retire(): void {
    this.state = "retiring";
    this.#post([RETIRE]);
    if (this.calls.count === 0) this.stop();
  }

  /** Ends the thread now. */
  stop(): void {
    if (this.state === "stopping" || this.state === "gone") return;
    this.state = "stopping";
    this.#port.ref();
    void this.#worker?.terminate();
  }

  /** Reads all messages and results that have arrived. */
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
}
