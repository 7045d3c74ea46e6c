/**
 * Functions among a call's arguments: the thread gets stand-ins that call back, through Comlink, over the
 * call's own port. The call says everything else it has to say over the same port, so a callback that nobody
 * awaited still arrives before the result.
 */
import { AsyncResource } from "node:async_hooks";
import type { MessagePort } from "node:worker_threads";
import { expose, releaseProxy, wrap } from "comlink";
import type { Remote } from "comlink";
import { createTask } from "@taskloom/loop";
import { decodeError, encodeError } from "./error-transport.ts";
import type { EncodedError } from "./error-transport.ts";
import { pack, unpack } from "./value-transport.ts";
import type { Patch } from "./value-transport.ts";

export type Callback = (...args: unknown[]) => unknown;

/** How an answer travels: Comlink's own would strip an error of its class. */
type Answer = { value: unknown; patches: readonly Patch[] | null } | { error: EncodedError };

interface CallbackTable {
  call(index: number, args: unknown, patches: readonly Patch[] | null): Promise<Answer>;
}

/** By the side that made the call: answers for its functions until the port closes. */
export function hostCallbacks(port: MessagePort, callbacks: readonly Callback[]): void {
  // Each runs where the call was made: its AsyncLocalStorage stores are that place's.
  const bound = callbacks.map((callback) => AsyncResource.bind(callback));
  const table: CallbackTable = {
    async call(index, args, patches) {
      try {
        const result = bound[index]!(...(unpack(args, patches) as unknown[]));
        const value = await (isGenerator(result) ? createTask(result as never) : result);
        const packed = pack(value, "the callback's result", null);
        return { value: packed.value, patches: packed.patches };
      } catch (error) {
        return { error: encodeError(error) };
      }
    },
  };
  expose(table, port);
}

function isGenerator(value: unknown): boolean {
  return typeof value === "object" && value !== null && Symbol.iterator in value && "throw" in value;
}

/** On the thread: the stand-ins of one call. */
export class CallbackGuest {
  // Held here, because a proxy that is collected while it waits for an answer never gets one.
  readonly #remote: Remote<CallbackTable>;
  readonly #pending = new Set<Promise<unknown>>();
  readonly #before: () => void;
  #ended = false;

  /** @param before called before each call back, to send what has to go first */
  constructor(port: MessagePort, before: () => void) {
    this.#remote = wrap<CallbackTable>(port);
    this.#before = before;
  }

  standIn(index: number): Callback {
    return (...args) => {
      if (this.#ended)
        return Promise.reject(
          new Error("The call that this callback belongs to has ended; await the callback in it"),
        );
      this.#before();
      const answer = this.#call(index, args);
      this.#pending.add(answer);
      const settled = (): void => {
        this.#pending.delete(answer);
      };
      answer.then(settled, settled);
      return answer;
    };
  }

  // Not an async function: the message leaves before this returns, so that callbacks keep their order.
  #call(index: number, args: unknown[]): Promise<unknown> {
    const packed = pack(args, "the callback's arguments", null);
    return (this.#remote.call(index, packed.value, packed.patches) as Promise<Answer>).then((answer) => {
      if ("error" in answer) throw decodeError(answer.error);
      return unpack(answer.value, answer.patches);
    });
  }

  /** After the result was sent: lets what was called finish, then gives the port back. */
  release(): void {
    this.#ended = true;
    void Promise.allSettled(this.#pending).then(() => this.#remote[releaseProxy]());
  }
}
