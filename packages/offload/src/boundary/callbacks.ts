/**
 * Functions among the arguments of a call. The thread receives stand-ins that call back through Comlink, over the
 * call's own port. The call sends everything else over the same port, so a callback that nobody awaits still
 * arrives before the result.
 */
import { AsyncResource } from "node:async_hooks";
import { MessageChannel } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { expose, releaseProxy, wrap } from "comlink";
import type { Remote } from "comlink";
import type { Callable } from "./callable.ts";
import { decodeError, encodeError } from "./error-transport.ts";
import type { EncodedError } from "./error-transport.ts";
import { startTask } from "./start-task.ts";
import { decodeArguments, decodeValue, encodeValue } from "./value-transport.ts";
import type { Patch } from "./value-transport.ts";

/** The outcome of a callback as it travels. Comlink's own form would strip an error of its class. */
type Answer = { value: unknown; patches: readonly Patch[] | null } | { error: EncodedError };

interface CallbackTable {
  call(index: number, args: unknown, patches: readonly Patch[] | null): Promise<Answer>;
}

/**
 * Opens a port for the callbacks of a call, on the side that made the call. The near end answers until it closes, and
 * is in `openPorts` until then. The far end is sent to the thread.
 */
export function openCallbackPort(
  callbacks: readonly Callable[],
  openPorts: Set<MessagePort>,
): { readonly near: MessagePort; readonly far: MessagePort } {
  const { port1: near, port2: far } = new MessageChannel();
  // A callback runs with the AsyncLocalStorage stores of the place where the call was made.
  const bound = callbacks.map((callback) => AsyncResource.bind(callback));
  const table: CallbackTable = {
    async call(index, args, patches) {
      try {
        const result = bound[index]!(...decodeArguments(args, patches));
        const value = await (isGenerator(result) ? startTask(result) : result);
        const encoded = encodeValue(value, "the callback's result", null);
        return { value: encoded.value, patches: encoded.patches };
      } catch (error) {
        return { error: encodeError(error) };
      }
    },
  };
  expose(table, near);
  near.on("close", () => openPorts.delete(near));
  near.unref();
  openPorts.add(near);
  return { near, far };
}

function isGenerator(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value && "throw" in value;
}

/** The stand-ins for the callbacks of one call, on the thread. */
export class CallbackGuest {
  // A field, because Comlink never answers a proxy that is collected while it waits for an answer.
  readonly #remote: Remote<CallbackTable>;
  readonly #pending = new Set<Promise<unknown>>();
  readonly #beforeCall: () => void;
  #isReleased = false;

  /** @param beforeCall called before each call of a callback, to send everything that has to arrive before it */
  constructor(port: MessagePort, beforeCall: () => void) {
    this.#remote = wrap<CallbackTable>(port);
    this.#beforeCall = beforeCall;
  }

  /** Returns the stand-in for the callback with this index. */
  standIn(index: number): Callable {
    return (...args) => {
      if (this.#isReleased)
        return Promise.reject(
          new Error("The call that this callback belongs to has ended; await the callback in it"),
        );
      this.#beforeCall();
      const answer = this.#call(index, args);
      this.#pending.add(answer);
      const settled = (): void => {
        this.#pending.delete(answer);
      };
      answer.then(settled, settled);
      return answer;
    };
  }

  // Not an async function: the message has to leave before this returns, so that callbacks keep their order.
  #call(index: number, args: unknown[]): Promise<unknown> {
    const encoded = encodeValue(args, "the callback's arguments", null);
    const answer: Promise<Answer> = this.#remote.call(index, encoded.value, encoded.patches);
    return answer.then((outcome) => {
      if ("error" in outcome) throw decodeError(outcome.error);
      return decodeValue(outcome.value, outcome.patches);
    });
  }

  /** Closes the port when the callbacks that run now have ended. Called after the call's result was sent. */
  release(): void {
    this.#isReleased = true;
    void Promise.allSettled(this.#pending).then(() => this.#remote[releaseProxy]());
  }
}
