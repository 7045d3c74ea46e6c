import { coroutine, Queue } from "@taskloom/loop";
import type { Awaitable, EventLoop, Task } from "@taskloom/loop";
import { decodeValue, encodeError, encodeValue } from "@taskloom/queue/wire";
import { RunEndedError, WorkflowUsageError } from "../errors.ts";
import { CANCELLED, COMPLETED, FAILED, recordable } from "../journal/entry.ts";
import type { CommandRecord, Delivery, EndState, SignalRecord, UpdateRecord } from "../journal/entry.ts";
import type { Json } from "@taskloom/queue/wire";
import type { Effects } from "./effects.ts";
import type { EncodedOutcome } from "./host.ts";

export type UpdateHandler = (...args: never[]) => Awaitable<unknown>;

/** The signals and updates that a run was given: buffered in order until the coroutine takes them. */
export class Inputs {
  readonly #loop: EventLoop;
  readonly #effects: Effects;
  readonly #note: (command: CommandRecord) => void;
  #signals: Map<string, Queue<SignalRecord>> | null = null;
  #handlers: Map<string, UpdateHandler> | null = null;
  /** Updates without an answer: those without a handler yet, and those whose handler runs. */
  #open: Map<string, UpdateRecord> | null = null;
  #waiting: UpdateRecord[] = [];
  /** The number of tasks that wait for a signal. */
  receivers = 0;
  #isEnding = false;

  constructor(loop: EventLoop, effects: Effects, note: (command: CommandRecord) => void) {
    this.#loop = loop;
    this.#effects = effects;
    this.#note = note;
  }

  /** Whether a delivery from outside can continue the run. */
  get isListening(): boolean {
    return this.receivers > 0 || (this.#handlers !== null && this.#handlers.size > 0);
  }

  signals(name: string): Queue<SignalRecord> {
    this.#signals ??= new Map();
    let queue = this.#signals.get(name);
    if (queue === undefined) this.#signals.set(name, (queue = new Queue()));
    return queue;
  }

  signal(record: SignalRecord): void {
    this.signals(record[1]).putNowait(record);
  }

  /** Handles updates of a name from now on, those that have come before included. */
  handle(name: string, handler: UpdateHandler): void {
    this.#handlers ??= new Map();
    if (this.#handlers.has(name)) {
      throw new WorkflowUsageError(
        `The update ${JSON.stringify(name)} has a handler already: call onUpdate() once for each update`,
      );
    }
    this.#handlers.set(name, handler);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const record of waiting) {
      if (record[2] === name) this.#begin(record, handler);
      else this.#waiting.push(record);
    }
  }

  update(record: UpdateRecord): void {
    this.#open ??= new Map();
    // A client that has lost its connection sends an update again, by the same id.
    if (this.#open.has(record[1])) return;
    this.#open.set(record[1], record);
    const handler = this.#handlers?.get(record[2]);
    if (handler === undefined) this.#waiting.push(record);
    else this.#begin(record, handler);
  }

  #begin([, id, name, args]: UpdateRecord, handler: UpdateHandler): void {
    const values = decodeValue(args) as never[];
    const task = this.#loop.createTask(coroutine(handler)(...values), { name: `update ${name}` });
    task.addDoneCallback((done) => this.#answer(id, done));
  }

  #answer(id: string, task: Task<unknown>): void {
    if (task.cancelled()) {
      // The end of the run has cancelled the handler: `refuseOpen` answers with the reason.
      if (!this.#isEnding) this.#conclude(id, CANCELLED, null);
      return;
    }
    const error = task.exception();
    if (error !== undefined) {
      this.#conclude(id, FAILED, withoutStack(encodeError(error)));
      return;
    }
    try {
      this.#conclude(id, COMPLETED, encodeValue(task.result(), { name: "answer of the update" }));
    } catch (unsendable) {
      this.#conclude(id, FAILED, encodeError(unsendable));
    }
  }

  #conclude(id: string, state: EndState, value: Json): void {
    this.#open?.delete(id);
    this.#note(["u", id, state, recordable(value)]);
    this.#effects.add(() => this.#effects.host.answer(id, outcomeOf(state, value)));
  }

  /** The run ends: handlers that are cancelled from now on leave their updates open. */
  end(): void {
    this.#isEnding = true;
  }

  /** Answers the updates that are left when the run ends. */
  refuseOpen(): void {
    for (const [id, record] of this.#open ?? []) {
      const error = new RunEndedError(
        `The run ended before it answered the update ${JSON.stringify(record[2])}: read its result, or send the update earlier`,
      );
      error.stack = `${error.name}: ${error.message}`;
      this.#conclude(id, FAILED, encodeError(error));
    }
  }

  /** Returns everything that was consumed and not taken, for the history that follows. */
  carried(): Delivery[] {
    const left: Delivery[] = [];
    for (const queue of this.#signals?.values() ?? []) {
      while (!queue.empty()) left.push(queue.getNowait());
    }
    left.push(...(this.#open?.values() ?? []));
    return left;
  }
}

/**
 * Returns an encoded error without its stacks. The answer is a command that a replay compares, and lines of code and paths
 * of files move without a change of its meaning.
 */
function withoutStack(error: Json): Json {
  if (Array.isArray(error)) return error.map(withoutStack);
  if (typeof error !== "object" || error === null) return error;
  const { name, message } = error;
  const isError = error["$taskloom"] === "error" && typeof name === "string" && typeof message === "string";
  return Object.fromEntries(
    Object.entries(error).map(([key, value]) => [
      key,
      isError && key === "stack" ? `${name}: ${message}` : withoutStack(value),
    ]),
  );
}

export function outcomeOf(state: EndState, value: Json): EncodedOutcome {
  if (state === COMPLETED) return { state: "completed", value };
  if (state === FAILED) return { state: "failed", error: value };
  return typeof value === "string" ? { state: "cancelled", message: value } : { state: "cancelled" };
}
