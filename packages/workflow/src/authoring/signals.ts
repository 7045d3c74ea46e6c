import { coroutine, getEventLoop, Queue } from "@taskloom/loop";
import type { Coroutine, EventLoop } from "@taskloom/loop";
import { decodeValue, encodeValue } from "@taskloom/queue/wire";
import { WorkflowOptionsError } from "../errors.ts";
import type { SignalRecord } from "../journal/entry.ts";
import { runHere } from "./here.ts";

/** A kind of message that a run receives; made by {@link defineSignal}. */
export interface SignalDefinition<T> {
  readonly name: string;
  /** Waits for the next signal of this kind, and returns its payload. Signals are kept in order until they are received. */
  receive(): Coroutine<T>;
  /** Returns the payload of the next signal that is there, or undefined. */
  tryReceive(): T | undefined;
}

/** The signals of code that runs plainly, per loop: nothing is recorded, and a test sends them by `sendHere`. */
const plain = new WeakMap<EventLoop, Map<string, Queue<SignalRecord>>>();

function queueHere(name: string): Queue<SignalRecord> {
  const run = runHere();
  if (run !== null) return run.inputs.signals(name);
  return plainQueue(getEventLoop(), name);
}

function plainQueue(loop: EventLoop, name: string): Queue<SignalRecord> {
  let queues = plain.get(loop);
  if (queues === undefined) plain.set(loop, (queues = new Map()));
  let queue = queues.get(name);
  if (queue === undefined) queues.set(name, (queue = new Queue()));
  return queue;
}

/** Sends a signal to the coroutines that run plainly on the current loop, for tests. */
export function sendHere<T>(signal: SignalDefinition<T>, payload: T): void {
  plainQueue(getEventLoop(), signal.name).putNowait(["s", signal.name, encodeValue(payload)]);
}

const receive = coroutine(function* receive(name: string) {
  const run = runHere();
  const queue = queueHere(name);
  if (run !== null) run.inputs.receivers++;
  try {
    const [, , payload] = yield* queue.get();
    return decodeValue(payload);
  } finally {
    if (run !== null) run.inputs.receivers--;
  }
});

/**
 * Defines a signal: a message that anybody may send to a run. Signals are buffered in order of their arrival, so none
 * is lost if it comes before the run waits for it.
 *
 * @throws {@link WorkflowOptionsError} if the name is empty.
 * @example
 * ```ts
 * import { run, timeout, TimeoutError } from "@taskloom/loop";
 * import { virtualClock } from "@taskloom/loop/testing";
 * import { defineSignal, defineWorkflow } from "@taskloom/workflow";
 *
 * const approved = defineSignal<{ by: string }>("approved");
 * const ask = defineWorkflow({ name: "ask" }, function* () {
 *   try {
 *     return (yield* timeout(86_400_000, approved.receive())).by;
 *   } catch (error) {
 *     if (error instanceof TimeoutError) return "nobody";
 *     throw error;
 *   }
 * });
 * console.log(await run(ask(), { clock: virtualClock() })); // nobody
 * ```
 */
export function defineSignal<T = undefined>(name: string): SignalDefinition<T> {
  checkName(name, "defineSignal");
  return {
    name,
    receive: () => receive(name) as Coroutine<T>,
    tryReceive: () => {
      const queue = queueHere(name);
      return queue.empty() ? undefined : (decodeValue(queue.getNowait()[2]) as T);
    },
  };
}

export function checkName(name: string, of: string): void {
  if (typeof name === "string" && name.length > 0) return;
  throw new WorkflowOptionsError(`Expected \`name\` of ${of}() to be a text such as "approved", got ${typeof name}`);
}
