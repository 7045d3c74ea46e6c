import { MessageChannel } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { releaseProxy, transfer, wrap } from "comlink";
import type { Remote } from "comlink";
import { CancelledError, ExternalTask } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { startTimer } from "@taskloom/loop/timer";
import type { LongTimer } from "@taskloom/loop/timer";
import { hostCallbacks } from "../boundary/callbacks.ts";
import type { Callback } from "../boundary/callbacks.ts";
import { callerModule } from "../calls/caller.ts";
import { checkOptionNames } from "../check-options.ts";
import type { OptionNames } from "../check-options.ts";
import { captureContext } from "../boundary/context.ts";
import { deliverNow } from "../boundary/deliver-now.ts";
import { decodeError } from "../boundary/error-transport.ts";
import { PoolClosedError, ThreadDiedError } from "../errors.ts";
import { defaultOptions, submit } from "./executor.ts";
import { addressed } from "../pool/function-ref.ts";
import { findUncloneable, pack, unpack } from "../boundary/value-transport.ts";
import { Pool } from "../pool/pool.ts";
import { checkModule } from "../boundary/recursion.ts";
import { FREE, SLOTS, Slots } from "../boundary/slots.ts";
import { THREAD_OPTIONS } from "../pool/supervisor.ts";
import type { ThreadOptions } from "../pool/supervisor.ts";
import { transfer as marked } from "../boundary/transfer.ts";
import { locate } from "./threaded.ts";
import type { ThreadedOverloads } from "./threaded.ts";
import { CANCEL, CONSOLE, PROGRESS } from "../boundary/wire.ts";
import type { FromThread, MethodAnswer, ObjectTable } from "../boundary/wire.ts";

/** Options of an object on a thread. Times are milliseconds. */
export interface ThreadObjectOptions extends ThreadOptions {
  /** Methods begin when they are called; by default each waits for those before it. */
  parallel?: boolean;
  /**
   * A method that was asked to stop and goes on for so long has its thread ended, and the object with it.
   * Default: never.
   */
  cancelGrace?: number;
}

type AnyFunction = (...args: never[]) => unknown;
type AnyClass = abstract new (...args: never[]) => object;

/** An object on a thread: its methods give Tasks; disposing it ends the thread. */
export type ThreadObject<T> = {
  readonly [
    K in keyof T as T[K] extends AnyFunction ? (K extends string ? K : never) : never
  ]: ThreadedOverloads<T[K]>;
} & AsyncDisposable;

const OBJECT_OPTIONS: OptionNames<ThreadObjectOptions> = {
  parallel: true,
  cancelGrace: true,
  ...THREAD_OPTIONS,
};

const hostModule = new URL(
  import.meta.url.endsWith(".ts") ? "../thread/object-host.ts" : "../thread/object-host.js",
  import.meta.url,
).href;

/**
 * An instance of a class on a thread of its own. Its state stays there; its methods, called here, are Tasks,
 * and run one at a time in the order they are called.
 *
 * Cancelling a method's Task takes it out when it has not begun, and else asks it to stop. Disposing the
 * object runs its own `Symbol.asyncDispose` or `Symbol.dispose` and ends the thread. When the thread dies,
 * every call in flight fails with a `ThreadDiedError`, and so does every later one.
 *
 * @param specifier the class's module, as for `threaded`
 * @param className the export
 * @param args the constructor's arguments
 * @throws NotThreadableError when there is no such module or class; what the constructor throws
 * @throws ThreadRecursionError when a module that a thread imports makes the call at its top level
 *
 * ```ts
 * import { threadObject } from "@taskloom/offload";
 *
 * await using hash = await threadObject<typeof import("node:events"), "EventEmitter">("node:events", "EventEmitter", []);
 * console.log(await hash.listenerCount("data")); // 0
 * ```
 */
export async function threadObject<M extends object, K extends keyof M & string>(
  specifier: string | URL,
  className: K,
  args: M[K] extends abstract new (...args: infer A) => object ? A : never,
  options: ThreadObjectOptions = {},
): Promise<ThreadObject<M[K] extends AnyClass ? InstanceType<M[K]> : never>> {
  const { module, parent } = locate(String(specifier), callerModule(threadObject));
  checkModule(module, className);
  checkOptionNames(options, OBJECT_OPTIONS, "threadObject");
  const { parallel = false, cancelGrace = Infinity, ...threadOptions } = options;
  const calls = new MessageChannel();
  const control = new MessageChannel();
  const remote = new RemoteObject(className, calls.port1, control.port1, cancelGrace);
  const pool = new Pool({
    ...defaultOptions(threadOptions),
    maxThreads: 1,
    spareThreads: 0,
    idleTimeout: Infinity,
    onDeath: (error) => remote.died(error),
  });
  remote.pool = pool;
  try {
    const ports = [calls.port2, control.port2];
    const sent = marked([module, parent, className, args, ...ports, remote.slots.buffer, parallel], ports);
    await submit(pool, addressed({ module: hostModule, name: "host" }), sent, undefined, threadObject);
  } catch (error) {
    remote.close();
    await pool.shutdown(true, true);
    throw error;
  }
  return remote.facade() as never;
}

interface Pending {
  readonly task: ExternalTask<unknown>;
  readonly method: string;
  readonly args: unknown[];
  /** The buffers and ports that are moved with the arguments. */
  transfer: readonly object[];
  seq: number;
  timer?: LongTimer;
}

class RemoteObject {
  pool: Pool | undefined;
  readonly slots: Slots = new Slots();
  readonly #className: string;
  readonly #port: MessagePort;
  readonly #control: MessagePort;
  readonly #grace: number;
  readonly #table: Remote<ObjectTable>;
  readonly #pending = new Map<number, Pending>();
  /** Of the callbacks of methods. */
  readonly #openPorts = new Set<MessagePort>();
  /** Those for which there is no slot. */
  #waiting: Pending[] = [];
  #next = 0;
  #gone: Error | undefined;
  #disposed: Promise<void> | undefined;
  readonly #death = Promise.withResolvers<MethodAnswer>();

  constructor(className: string, port: MessagePort, control: MessagePort, grace: number) {
    this.#className = className;
    this.#port = port;
    this.#control = control;
    this.#grace = grace;
    this.#table = wrap<ObjectTable>(port);
    port.on("message", (message: FromThread) => this.#receive(message));
    port.unref();
    control.unref();
  }

  facade(): object {
    const methods = new Map<string, (...args: unknown[]) => Task<unknown>>();
    const method = (name: string): ((...args: unknown[]) => Task<unknown>) => {
      let fn = methods.get(name);
      if (fn === undefined) {
        fn = (...args) => this.#call(name, args);
        methods.set(name, fn);
      }
      return fn;
    };
    const dispose = (): Promise<void> => this.dispose();
    return new Proxy(Object.create(null) as object, {
      get: (_target, name) => {
        if (name === Symbol.asyncDispose) return dispose;
        // Not a promise: `await` must be able to hand it over.
        return typeof name === "symbol" || name === "then" ? undefined : method(name);
      },
      has: (_target, name) => name === Symbol.asyncDispose || (typeof name === "string" && name !== "then"),
    });
  }

  #receive(message: FromThread): void {
    if (!Array.isArray(message)) return;
    if (message[0] === PROGRESS)
      this.#pending.get(message[1])?.task.reportProgress(unpack(message[2], message[3]));
    else if (message[0] === CONSOLE) (message[1] === 1 ? process.stdout : process.stderr).write(message[2]);
  }

  #call(method: string, args: unknown[]): Task<unknown> {
    const task = new ExternalTask<unknown>({
      description: `${this.#className}.${method}`,
      requestCancel: (error) => this.#cancel(call, error),
    });
    const call: Pending = { task, method, args, transfer: [], seq: -1 };
    if (this.#gone !== undefined) task.fail(this.#gone);
    else if (this.#pending.size < SLOTS / 2 && this.#waiting.length === 0) this.#send(call);
    else this.#waiting.push(call);
    return task;
  }

  #send(call: Pending): void {
    // A slot whose call is still under way (methods may end out of order) is passed over.
    while (this.#pending.has(this.#next - SLOTS) || this.slots.state(this.slots.index(this.#next)) === 1)
      this.#next++;
    call.seq = this.#next++;
    this.slots.open(this.slots.index(call.seq), 0);
    const callbacks: Callback[] = [];
    let answer: Promise<MethodAnswer>;
    try {
      const packed = pack(call.args, "arguments", (fn) => callbacks.push(fn) - 1);
      const ports: MessagePort[] = [];
      if (callbacks.length > 0) {
        const { port1, port2 } = new MessageChannel();
        hostCallbacks(port1, callbacks);
        port1.on("close", () => this.#openPorts.delete(port1));
        port1.unref();
        this.#openPorts.add(port1);
        ports.push(port2);
      }
      const message = {
        seq: call.seq,
        method: call.method,
        args: packed.value,
        patches: packed.patches,
        callbacks: ports[0] ?? null,
        context: captureContext() ?? null,
      };
      call.transfer = packed.transfer ?? [];
      answer = this.#table.call(transfer(message, [...(packed.transfer ?? []), ...ports] as never));
    } catch (error) {
      this.slots.states[this.slots.index(call.seq)] = FREE;
      call.task.fail(error);
      return;
    }
    if (this.#pending.size === 0) this.#port.ref();
    this.#pending.set(call.seq, call);
    answer.then(
      (outcome) => this.#settle(call, outcome),
      (error: unknown) => this.#refused(call, error),
    );
  }

  #end(call: Pending): void {
    call.timer?.cancel();
    if (!this.#pending.delete(call.seq)) return;
    if (this.#pending.size === 0) this.#port.unref();
    while (this.#waiting.length > 0 && this.#pending.size < SLOTS / 2) this.#send(this.#waiting.shift()!);
  }

  #settle(call: Pending, answer: MethodAnswer): void {
    if ("error" in answer) call.task.fail(decodeError(answer.error));
    else if ("value" in answer) call.task.succeed(unpack(answer.value, answer.patches));
    this.#end(call);
  }

  #refused(call: Pending, error: unknown): void {
    const cloning = error instanceof Error && error.name === "DataCloneError";
    call.task.fail(cloning ? findUncloneable(call.args, "arguments", error.message, call.transfer) : error);
    this.#end(call);
  }

  #cancel(call: Pending, error: CancelledError): void {
    if (this.#waiting.includes(call)) {
      this.#waiting = this.#waiting.filter((other) => other !== call);
      call.task.fail(error);
      return;
    }
    const slot = this.slots.index(call.seq);
    if (this.slots.revoke(slot)) {
      // Its slot is free when the thread has passed it by.
      call.task.fail(error);
      return;
    }
    Atomics.or(this.slots.cancels, slot, 1);
    this.#control.postMessage([CANCEL, call.seq, error.message || undefined]);
    call.timer ??= startTimer(this.#grace, () => this.#kill());
  }

  #kill(): void {
    const reason = `A method of this ${this.#className} did not stop when asked, so its thread was ended`;
    this.died(new ThreadDiedError(reason, "stopped"));
    void this.pool?.shutdown(true, true);
  }

  /** The thread is gone: nothing in flight will be answered. */
  died(error: Error): void {
    this.#gone ??= error;
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
      // Asked to stop, and stopped it has.
      call.task.fail(call.timer === undefined ? error : new CancelledError());
    }
    this.close();
  }

  close(): void {
    this.#port.close();
    this.#control.close();
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    if (this.#gone === undefined) {
      this.#gone = new PoolClosedError(`This ${this.#className} was disposed`);
      this.#port.ref();
      const answer = await Promise.race([
        this.#table.dispose() as Promise<MethodAnswer>,
        this.#death.promise,
      ]);
      this.#table[releaseProxy]();
      this.close();
      await this.pool?.shutdown(true, false);
      if ("error" in answer) throw decodeError(answer.error);
    }
    await this.pool?.shutdown(true, true);
  }
}
