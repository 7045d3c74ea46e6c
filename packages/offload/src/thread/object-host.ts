/** An object that lives on this thread, exposed through Comlink. */
import type { MessagePort } from "node:worker_threads";
import { ownFrames } from "./own-frames.ts";
import { types } from "node:util";
import { expose, transfer } from "comlink";
import { createTask } from "@taskloom/loop";
import { CallbackGuest } from "../boundary/callbacks.ts";
import { runInContext } from "../boundary/context.ts";
import { encodeError } from "../boundary/error-transport.ts";
import { NotThreadableError } from "../errors.ts";
import { pack, unpack } from "../boundary/value-transport.ts";
import { Slots } from "../boundary/slots.ts";
import { runAsCall } from "../boundary/thread-call.ts";
import { CANCEL } from "../boundary/wire.ts";
import type { MethodAnswer, MethodCall, ObjectTable, ToThread } from "../boundary/wire.ts";
import { importModule } from "./load.ts";
import { Running } from "./running.ts";

type Method = (...args: unknown[]) => unknown;
type AnyObject = Record<string | symbol, unknown>;

const AsyncFunction = (async () => {}).constructor;

/**
 * Makes the instance, and answers for it.
 *
 * @param port Comlink's; it also carries progress and output
 * @param control what asks a running method to stop
 * @param slots which methods have begun, and which were asked to stop
 * @param parallel methods begin when they are called and not when those before have ended
 */
export async function host(
  module: string,
  parent: string | null,
  className: string,
  args: unknown[],
  port: MessagePort,
  control: MessagePort,
  slots: SharedArrayBuffer,
  parallel: boolean,
): Promise<void> {
  const namespace = await importModule(module, parent);
  const made = namespace[className];
  if (typeof made !== "function") {
    const names = Object.keys(namespace).filter((key) => typeof namespace[key] === "function");
    throw new NotThreadableError(`${module} exports no class ${className}; it exports ${names.join(", ")}`);
  }
  const instance = new (made as new (...args: unknown[]) => AnyObject)(...args);
  const table = new ObjectHost(instance, className, port, control, new Slots(slots), parallel);
  expose({ call: (call: MethodCall) => table.call(call), dispose: () => table.dispose() }, port);
}

class ObjectHost implements ObjectTable {
  readonly #instance: AnyObject;
  readonly #className: string;
  readonly #port: MessagePort;
  readonly #control: MessagePort;
  readonly #slots: Slots;
  readonly #parallel: boolean;
  readonly #running = new Map<number, Running>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    instance: AnyObject,
    className: string,
    port: MessagePort,
    control: MessagePort,
    slots: Slots,
    parallel: boolean,
  ) {
    this.#instance = instance;
    this.#className = className;
    this.#port = port;
    this.#control = control;
    this.#slots = slots;
    this.#parallel = parallel;
    control.on("message", (message: ToThread) => this.#hear(message));
  }

  #hear(message: ToThread): void {
    if (message[0] === CANCEL) this.#running.get(message[1])?.cancel(message[2]);
  }

  call(call: MethodCall): Promise<MethodAnswer> {
    if (this.#parallel) return this.#begin(call);
    const answer = this.#last.then(() => this.#begin(call));
    this.#last = answer;
    return answer;
  }

  async #begin(call: MethodCall): Promise<MethodAnswer> {
    if (!this.#slots.claim(this.#slots.index(call.seq))) return { revoked: true };
    const label = `${this.#className}.${call.method}`;
    const running = new Running(call.seq, label, this.#slots, this.#control, this.#port, (message) =>
      this.#hear(message),
    );
    this.#running.set(call.seq, running);
    const guest = call.callbacks
      ? new CallbackGuest(call.callbacks, () => running.flushProgress())
      : undefined;
    try {
      const args = unpack(call.args, call.patches, (index) => guest?.standIn(index)) as unknown[];
      const escaped = new Promise<never>((_resolve, reject) => {
        running.onEscape = reject;
      });
      const result = runAsCall(running, () =>
        runInContext(call.context ?? undefined, () => this.#invoke(call.method, args, label, running)),
      );
      const value = await Promise.race([result, escaped]);
      running.checkProgress();
      const packed = pack(value, "result", null);
      const answer = { value: packed.value, patches: packed.patches };
      return packed.transfer === null ? answer : transfer(answer, packed.transfer as never);
    } catch (error) {
      running.flushProgress();
      return { error: encodeError(error, ownFrames) };
    } finally {
      running.end();
      guest?.release();
      this.#running.delete(call.seq);
    }
  }

  #invoke(name: string, args: unknown[], label: string, running: Running): unknown {
    const method = this.#instance[name];
    if (typeof method !== "function") throw new NotThreadableError(`${label} is not a method`);
    const call = (): unknown => Reflect.apply(method as Method, this.#instance, args);
    if (!(method instanceof AsyncFunction)) {
      const result = call();
      if (!types.isGeneratorObject(result)) return result;
      return this.#asTask(() => result, label, running);
    }
    return this.#asTask(call, label, running);
  }

  #asTask(body: () => unknown, name: string, running: Running): PromiseLike<unknown> {
    const task = createTask(body as () => Promise<unknown>, { name });
    running.onCancel = (message) => task.cancel(message);
    task.onProgress((value) => running.reportProgress(value));
    return task;
  }

  async dispose(): Promise<MethodAnswer> {
    try {
      await this.#last;
      const { [Symbol.asyncDispose]: later, [Symbol.dispose]: now } = this.#instance;
      const dispose = later ?? now;
      if (typeof dispose === "function") await Reflect.apply(dispose as Method, this.#instance, []);
      return { value: undefined, patches: null };
    } catch (error) {
      return { error: encodeError(error, ownFrames) };
    }
  }
}
