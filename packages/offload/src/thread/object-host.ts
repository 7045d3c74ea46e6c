/** An object that lives on this thread. Comlink exposes it to the thread that made it. */
import type { MessagePort } from "node:worker_threads";
import { types } from "node:util";
import { expose, transfer } from "comlink";
import { CallbackGuest } from "../boundary/callbacks.ts";
import { isCallable } from "../boundary/callable.ts";
import { runInContext } from "../boundary/context.ts";
import { encodeError } from "../boundary/error-transport.ts";
import { Slots } from "../boundary/slots.ts";
import { startTask } from "../boundary/start-task.ts";
import { runAsCall } from "../boundary/thread-call.ts";
import { decodeArguments, encodeValue } from "../boundary/value-transport.ts";
import { CANCEL } from "../boundary/wire.ts";
import type { MethodAnswer, MethodCall, ObjectInit, ObjectTable, PoolMessage } from "../boundary/wire.ts";
import { NotThreadableError } from "../errors.ts";
import { connectTask } from "./invoke.ts";
import { functionsIn, importModule, isAsyncFunction } from "./load.ts";
import { ownFrames } from "./own-frames.ts";
import { Running } from "./running.ts";
import type { CallSite } from "./running.ts";

type Instance = Record<string | symbol, unknown>;
type Class = new (...args: unknown[]) => Instance;

/** Makes the instance, and answers the calls of its methods. */
export async function host(
  ...[module, parent, className, args, port, control, slots, isParallel]: ObjectInit
): Promise<void> {
  const namespace = await importModule(module, parent);
  const exported = namespace[className];
  if (!isClass(exported))
    throw new NotThreadableError(
      `${module} exports no class ${className}; it exports ${functionsIn(namespace).join(", ")}`,
    );
  const instance = new exported(...args);
  const table = new ObjectHost(instance, className, { port, control, slots: new Slots(slots), isParallel });
  expose({ call: (call: MethodCall) => table.call(call), dispose: () => table.dispose() }, port);
}

function isClass(value: unknown): value is Class {
  return typeof value === "function";
}

interface HostOptions {
  readonly port: MessagePort;
  readonly control: MessagePort;
  readonly slots: Slots;
  readonly isParallel: boolean;
}

class ObjectHost implements ObjectTable {
  readonly #instance: Instance;
  readonly #className: string;
  readonly #port: MessagePort;
  readonly #isParallel: boolean;
  readonly #site: CallSite;
  readonly #running = new Map<number, Running>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(instance: Instance, className: string, options: HostOptions) {
    const { port, control, slots, isParallel } = options;
    this.#instance = instance;
    this.#className = className;
    this.#port = port;
    this.#isParallel = isParallel;
    const deliver = (message: PoolMessage): void => this.#receive(message);
    this.#site = { slots, inbox: control, deliver };
    control.on("message", deliver);
  }

  #receive(message: PoolMessage): void {
    if (message[0] === CANCEL) this.#running.get(message[1])?.cancel(message[2]);
  }

  call(call: MethodCall): Promise<MethodAnswer> {
    if (this.#isParallel) return this.#run(call);
    const answer = this.#last.then(() => this.#run(call));
    this.#last = answer;
    return answer;
  }

  async #run(call: MethodCall): Promise<MethodAnswer> {
    const { slots } = this.#site;
    if (!slots.claim(slots.index(call.seq))) return { isRevoked: true };
    const running = new Running(this.#site, call.seq, `${this.#className}.${call.method}`, this.#port);
    this.#running.set(call.seq, running);
    const guest = call.callbacks
      ? new CallbackGuest(call.callbacks, () => running.flushProgress())
      : undefined;
    try {
      const args = decodeArguments(call.args, call.patches, (index) => guest?.standIn(index));
      const escaped = new Promise<never>((_resolve, reject) => {
        running.onEscape = reject;
      });
      const result = runAsCall(running, () =>
        runInContext(call.propagated ?? undefined, () => this.#invoke(call.method, args, running)),
      );
      const value = await Promise.race([result, escaped]);
      running.checkProgress();
      const encoded = encodeValue(value, "result", null);
      const answer = { value: encoded.value, patches: encoded.patches };
      return encoded.transfer === null ? answer : transfer(answer, encoded.transfer);
    } catch (error) {
      running.flushProgress();
      return { error: encodeError(error, ownFrames) };
    } finally {
      running.end();
      guest?.release();
      this.#running.delete(call.seq);
    }
  }

  #invoke(name: string, args: unknown[], running: Running): unknown {
    const method = this.#instance[name];
    if (!isCallable(method)) throw new NotThreadableError(`${running.label} is not a method`);
    const call = (): unknown => Reflect.apply(method, this.#instance, args);
    if (isAsyncFunction(method)) return this.#runAsTask(call, running);
    const result = call();
    return types.isGeneratorObject(result) ? this.#runAsTask(() => result, running) : result;
  }

  #runAsTask(body: () => unknown, running: Running): PromiseLike<unknown> {
    const task = startTask(body, { name: running.label });
    connectTask(task, running);
    return task;
  }

  async dispose(): Promise<MethodAnswer> {
    try {
      await this.#last;
      const { [Symbol.asyncDispose]: disposeAsync, [Symbol.dispose]: disposeSync } = this.#instance;
      const dispose = disposeAsync ?? disposeSync;
      if (isCallable(dispose)) await Reflect.apply(dispose, this.#instance, []);
      return { value: undefined, patches: null };
    } catch (error) {
      return { error: encodeError(error, ownFrames) };
    }
  }
}
