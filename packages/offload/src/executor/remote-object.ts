/** The caller's side of an object on a thread. The thread's side is thread/object-host.ts. */
import type { MessagePort } from "node:worker_threads";
import { releaseProxy, transfer, wrap } from "comlink";
import type { Remote } from "comlink";
import { CancelledError, ExternalTask } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import { startTimer } from "@taskloom/loop/timer";
import type { LongTimer } from "@taskloom/loop/timer";
import { openCallbackPort } from "../boundary/callbacks.ts";
import type { Callable } from "../boundary/callable.ts";
import { capturePropagated } from "../boundary/context.ts";
import { deliverNow } from "../boundary/deliver-now.ts";
import { decodeError } from "../boundary/error-transport.ts";
import { FREE, SLOTS, Slots, WAITING } from "../boundary/slots.ts";
import type { Movable } from "../boundary/transfer.ts";
import { decodeValue, encodeValue, findUncloneable } from "../boundary/value-transport.ts";
import { CANCEL, CONSOLE, PROGRESS } from "../boundary/wire.ts";
import type { MethodAnswer, MethodCall, ObjectTable, PoolMessage, ThreadMessage } from "../boundary/wire.ts";
import { PoolClosedError, ThreadDiedError } from "../errors.ts";
import type { Pool } from "../pool/pool.ts";

/** The most methods under way. Half of the slots stay free, because methods can end out of order. */
const MAX_PENDING = SLOTS / 2;

/** One call of a method. */
interface PendingMethod {
  readonly task: ExternalTask<unknown>;
  readonly method: string;
  readonly args: unknown[];
  /** The buffers and ports that are moved with the arguments. */
  transfer: readonly Movable[];
  seq: number;
  timer?: LongTimer;
}

export class RemoteObject {
  /** The pool of the object's thread. Set once, before the first call. */
  pool: Pool | undefined;
  readonly slots: Slots = new Slots();
  readonly #className: string;
  readonly #port: MessagePort;
  readonly #control: MessagePort;
  readonly #cancelGrace: number;
  readonly #table: Remote<ObjectTable>;
  readonly #pending = new Map<number, PendingMethod>();
  /** The ports of the callbacks of methods. */
  readonly #openPorts = new Set<MessagePort>();
  /** The calls for which there is no slot. */
  #waiting: PendingMethod[] = [];
  #next = 0;
  /** The error of every later call, once the object is gone. */
  #goneError: Error | undefined;
  readonly #life = new Lifecycle(() => new PoolClosedError(`This ${this.#className} was disposed`));
  readonly #death = Promise.withResolvers<MethodAnswer>();

  constructor(className: string, port: MessagePort, control: MessagePort, cancelGrace: number) {
    this.#className = className;
    this.#port = port;
    this.#control = control;
    this.#cancelGrace = cancelGrace;
    this.#table = wrap<ObjectTable>(port);
    port.on("message", (message: ThreadMessage) => this.#receive(message));
    port.unref();
    control.unref();
  }

  #receive(message: ThreadMessage): void {
    // Messages that are not arrays are Comlink's.
    if (!Array.isArray(message)) return;
    if (message[0] === PROGRESS)
      this.#pending.get(message[1])?.task.reportProgress(decodeValue(message[2], message[3]));
    else if (message[0] === CONSOLE) (message[1] === 1 ? process.stdout : process.stderr).write(message[2]);
  }

  /** Calls a method, and returns a Task of its result. */
  call(method: string, args: unknown[]): Task<unknown> {
    const task = new ExternalTask<unknown>({
      description: `${this.#className}.${method}`,
      requestCancel: (error) => this.#cancel(call, error),
    });
    const call: PendingMethod = { task, method, args, transfer: [], seq: -1 };
    if (this.#goneError !== undefined) task.fail(this.#goneError);
    else if (this.#pending.size < MAX_PENDING && this.#waiting.length === 0) this.#send(call);
    else this.#waiting.push(call);
    return task;
  }

  #send(call: PendingMethod): void {
    // A slot is skipped while its call is under way, since methods can end out of order.
    while (
      this.#pending.has(this.#next - SLOTS) ||
      this.slots.state(this.slots.index(this.#next)) === WAITING
    )
      this.#next++;
    call.seq = this.#next++;
    this.slots.open(this.slots.index(call.seq), 0);
    let answer: Promise<MethodAnswer>;
    try {
      answer = this.#post(call);
    } catch (error) {
      this.slots.states[this.slots.index(call.seq)] = FREE;
      call.task.fail(error);
      return;
    }
    if (this.#pending.size === 0) this.#port.ref();
    this.#pending.set(call.seq, call);
    answer.then(
      (outcome) => this.#settle(call, outcome),
      (error: unknown) => this.#failUnsent(call, error),
    );
  }

  #post(call: PendingMethod): Promise<MethodAnswer> {
    const callbacks: Callable[] = [];
    const {
      value,
      patches,
      transfer: moved,
    } = encodeValue(call.args, "arguments", (fn) => callbacks.push(fn) - 1);
    call.transfer = moved ?? [];
    const port = callbacks.length > 0 ? openCallbackPort(callbacks, this.#openPorts).far : null;
    const message: MethodCall = {
      seq: call.seq,
      method: call.method,
      args: value,
      patches,
      callbacks: port,
      propagated: capturePropagated() ?? null,
    };
    return this.#table.call(transfer(message, port === null ? [...call.transfer] : [...call.transfer, port]));
  }

  #end(call: PendingMethod): void {
    call.timer?.cancel();
    if (!this.#pending.delete(call.seq)) return;
    // The answer to the disposal is awaited on the same port.
    if (this.#pending.size === 0 && this.#life.state === "open") this.#port.unref();
    while (this.#waiting.length > 0 && this.#pending.size < MAX_PENDING) this.#send(this.#waiting.shift()!);
  }

  #settle(call: PendingMethod, answer: MethodAnswer): void {
    if ("error" in answer) call.task.fail(decodeError(answer.error));
    else if ("value" in answer) call.task.succeed(decodeValue(answer.value, answer.patches));
    this.#end(call);
  }

  /** Fails a call that Comlink could not post. */
  #failUnsent(call: PendingMethod, error: unknown): void {
    const isRefused = error instanceof Error && error.name === "DataCloneError";
    call.task.fail(isRefused ? findUncloneable(call.args, "arguments", error.message, call.transfer) : error);
    this.#end(call);
  }

  #cancel(call: PendingMethod, error: CancelledError): void {
    if (this.#waiting.includes(call)) {
      this.#waiting = this.#waiting.filter((other) => other !== call);
      call.task.fail(error);
      return;
    }
    const slot = this.slots.index(call.seq);
    if (this.slots.revoke(slot)) {
      // The slot is free when the thread has passed it.
      call.task.fail(error);
      return;
    }
    this.slots.requestStop(slot);
    const message: PoolMessage = [CANCEL, call.seq, error.message || undefined];
    this.#control.postMessage(message);
    call.timer ??= startTimer(this.#cancelGrace, () => this.#kill());
  }

  #kill(): void {
    const reason = `A method of this ${this.#className} did not stop when asked, so its thread was ended`;
    this.fail(new ThreadDiedError(reason, "stopped"));
    void this.pool?.shutdown({ cancelPending: true, cancelRunning: true });
  }

  /** Fails all calls, present and later ones, because the thread has ended or is being ended. */
  fail(error: Error): void {
    this.#goneError ??= error;
    this.#death.resolve({ value: undefined, patches: null });
    for (const port of [this.#port, ...this.#openPorts]) deliverNow(port);
    // Comlink passes an answer on in microtasks.
    setImmediate(() => this.#failPending(error));
  }

  #failPending(error: Error): void {
    const lost = [...this.#pending.values(), ...this.#waiting];
    this.#pending.clear();
    this.#waiting = [];
    for (const call of lost) {
      call.timer?.cancel();
      // A method that was asked to stop has stopped with its thread.
      call.task.fail(call.timer === undefined ? error : new CancelledError());
    }
    this.close();
  }

  close(): void {
    this.#port.close();
    this.#control.close();
  }

  /** Runs the object's own disposal, and ends its thread. */
  dispose(): Promise<void> {
    return this.#life.stop(() => this.#dispose());
  }

  async #dispose(): Promise<void> {
    if (this.#goneError === undefined) {
      this.#goneError = new PoolClosedError(`This ${this.#className} was disposed`);
      this.#port.ref();
      const disposed: Promise<MethodAnswer> = this.#table.dispose();
      const answer = await Promise.race([disposed, this.#death.promise]);
      this.#table[releaseProxy]();
      this.close();
      await this.pool?.shutdown({ cancelPending: true, cancelRunning: false });
      if ("error" in answer) throw decodeError(answer.error);
    }
    await this.pool?.shutdown({ cancelPending: true, cancelRunning: true });
  }
}
