/** Calls a function with its arguments, in the way that its kind and the metadata of the call ask for. */
import { types } from "node:util";
import type { Task } from "@taskloom/loop";
import { runWithCarried } from "../boundary/carried-stores.ts";
import { runInContext } from "../boundary/context.ts";
import { sharedClockOffset } from "../boundary/slots.ts";
import type { Slots } from "../boundary/slots.ts";
import { isPending, startTask } from "../boundary/start-task.ts";
import type { CallMetadata } from "../boundary/wire.ts";
import { eachPlain, eachTask } from "./each.ts";
import type { LoadedFunction } from "./load.ts";
import { produce } from "./produce.ts";
import type { Running } from "./running.ts";

/** Returns the result of the function, or a task of it. */
export function invoke(
  { fn, kind }: LoadedFunction,
  args: unknown[],
  metadata: CallMetadata | undefined,
  call: Running,
  slots: Slots,
): unknown {
  if (metadata?.isStream === true) {
    const source = kind === "async" ? undefined : fn(...args);
    // A generator blocks the thread while it waits for room. Every other producer waits as a task of the loop.
    if (kind === "generator") return produce(slots, call, source);
    return runAsTask(call, metadata, async () => produce(slots, call, await (source ?? fn(...args))));
  }
  if (metadata?.isEach === true) {
    const items = args[0] as ArrayLike<unknown>;
    if (kind === "plain") return eachPlain(fn, items, call);
    return runAsTask(call, metadata, () => eachTask(fn, items, call));
  }
  if (kind !== "plain") return runAsTask(call, metadata, () => fn(...args));
  const result = fn(...args);
  // A promise runs already. An awaitable that starts when it is awaited becomes a task.
  return isPending(result) && !types.isPromise(result) ? runAsTask(call, metadata, () => result) : result;
}

function runAsTask(call: Running, metadata: CallMetadata | undefined, body: () => unknown): Task<unknown> {
  const task = startTask(body, { name: metadata?.name ?? call.label });
  if (metadata?.deadline !== undefined) bindDeadline(task, metadata.deadline);
  // The call can be cancelled before this, while its module is loading.
  if (call.isCancelled()) task.cancel(call.cancelMessage());
  connectTask(task, call);
  return task;
}

/** Passes requests to stop on to the task of a call, and the task's progress on to the caller. */
export function connectTask(task: Task<unknown>, call: Running): void {
  call.onCancel = (message) => task.cancel(message);
  task.onProgress((value) => call.reportProgress(value));
}

/** Runs `fn` in the context of the place where the call was made, and returns its result. */
export function runInCallContext<R>(metadata: CallMetadata, call: Running, fn: () => R): R {
  const { propagated, carried } = metadata;
  if (carried === undefined) return runInContext(propagated, fn);
  const send = (store: string, message: unknown): void => call.sendToStore(store, message);
  return runWithCarried(carried, send, () => runInContext(propagated, fn));
}

/**
 * Makes the caller's deadline the task's own, as if the task stood in that `timeout` here. Calls that the task makes
 * inherit the deadline. The call itself is ended by the caller's timeout.
 */
function bindDeadline(task: Task<unknown>, deadline: number): void {
  task.bindDeadline(deadline - performance.now() - sharedClockOffset + task.getLoop().time());
}
