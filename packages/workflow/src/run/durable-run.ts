import { allTasks, CancelledError, currentTask } from "@taskloom/loop";
import type { Awaitable, ExceptionContext, Task } from "@taskloom/loop";
import { describeDeadlock } from "@taskloom/loop/durable";
import { storedId } from "@taskloom/queue/lane";
import { decodeValue, encodeError, encodeValue } from "@taskloom/queue/wire";
import type { Json } from "@taskloom/queue/wire";
import type { TaskDefinition } from "@taskloom/queue";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import { HistoryFullError, WorkflowUsageError } from "../errors.ts";
import { DEFAULT_BOUNDS, RESERVE } from "../journal/bounds.ts";
import type { HistoryBounds } from "../journal/bounds.ts";
import {
  CANCELLED,
  COMPLETED,
  decodeEntry,
  encodeEntry,
  FAILED,
  hasCommands,
  ORDER,
  recordable,
  shortened,
  stackless,
} from "../journal/entry.ts";
import type { CommandRecord, Delivery, DeliveryRecord } from "../journal/entry.ts";
import { afterwards } from "./afterwards.ts";
import { CallTable } from "./call-table.ts";
import type { CallFuture, CallKind } from "./calls.ts";
import { Continuation } from "./continuation.ts";
import { divergence, unknownOrder } from "./divergence.ts";
import type { Issued } from "./divergence.ts";
import { Effects } from "./effects.ts";
import type { RunEnd, RunHost, StepOptions, ChildOptions, TickResult } from "./host.ts";
import { Inputs } from "./inputs.ts";
import { withinLimits } from "./run-limits.ts";
import type { RunLimits } from "./run-limits.ts";
import { RunLoop } from "./run-loop.ts";
import { Seeded } from "./seeded.ts";

/** The parts of a durable run. */
export interface DurableRunOptions {
  readonly workflow: WorkflowDefinition;
  /** The encoded list of arguments. */
  readonly args: Json;
  /** The id by which users know the run. */
  readonly id: string;
  readonly host: RunHost;
  /** The number of histories before this one, by `continueAs`. Default 0. */
  readonly generation?: number;
  /** The number of this start of the run, from 1, for `currentRun().attempt`. Default 1. */
  readonly attempt?: number;
  readonly bounds?: Partial<HistoryBounds>;
  readonly limits?: RunLimits;
}

const NO_VIEWS: ReadonlyMap<string, Json> = new Map();

/**
 * One life of a durable coroutine: a private loop, whose clock stands at the time of the current tick, and which gets
 * nothing but recorded deliveries.
 *
 * ```
 * new DurableRun ──> replay(entries)* ──> live(now) ──> tick(now, deliveries)* ──> dispose()
 *                └────────────────────────────────────────^        release(count): effects start
 * ```
 *
 * A first life begins with `tick(time of submission, [])`. A later one replays the whole log, calls `live`, and goes on.
 */
export class DurableRun {
  readonly id: string;
  readonly workflow: WorkflowDefinition;
  readonly attempt: number;
  readonly inputs: Inputs;
  readonly seeded: Seeded;
  readonly #args: Json;
  readonly #host: RunHost;
  readonly #loop: RunLoop<DurableRun>;
  readonly #effects: Effects;
  readonly #calls: CallTable;
  readonly #bounds: HistoryBounds;
  readonly #limits: RunLimits;
  #main: Task<unknown> | null = null;
  #time = 0;
  #length = 0;
  #size = 0;
  /** The commands of the tick under way, and the tasks that issued them. */
  #issued: Issued[] = [];
  #tickViews: Map<string, Json> | null = null;
  #views: Map<string, Json> | null = null;
  #patches: Map<string, boolean> | null = null;
  /** The recorded commands of the tick that is replayed; null in a live tick. */
  #recorded: string | null = null;
  #end: RunEnd | null = null;
  #failure: unknown = undefined;
  #hasFailed = false;
  #leftCancelled: WeakSet<Task<unknown>> | null = null;
  #fullThrown = false;
  #hasWarned = false;

  constructor(options: DurableRunOptions) {
    const { workflow, id, host, generation = 0, bounds } = options;
    this.id = id;
    this.workflow = workflow;
    this.attempt = options.attempt ?? 1;
    this.#args = options.args;
    this.#host = host;
    this.#bounds = { ...DEFAULT_BOUNDS, maxTicks: workflow.workflow.maxHistory, ...bounds };
    this.#limits = options.limits ?? {};
    // Commands are numbered anew in each history, and neither keys nor ids may come again.
    const stored = storedId(id);
    const history = generation === 0 ? stored : `${stored}~${generation}`;
    this.seeded = new Seeded(history);
    this.#loop = new RunLoop<DurableRun>(0, this, workflow.workflow.isGenerator ? this.seeded : null);
    this.#loop.setExceptionHandler((_loop, context) => this.#unhandled(context));
    this.#effects = new Effects(host);
    const note = (command: CommandRecord): void => this.#note(command);
    this.#calls = new CallTable(history, this.#effects, note);
    this.inputs = new Inputs(this.#loop, this.#effects, note);
  }

  /** The number of entries of the history. */
  get length(): number {
    return this.#length;
  }

  /** The time of the last tick, in milliseconds since 1970. */
  get time(): number {
    return this.#time;
  }

  get isReplaying(): boolean {
    return this.#effects.isReplaying;
  }

  get loop(): RunLoop<DurableRun> {
    return this.#loop;
  }

  /** The main task, for call graphs; null before the first tick. */
  get main(): Task<unknown> | null {
    return this.#main;
  }

  /** The end of the run, or null. */
  get end(): RunEnd | null {
    return this.#end;
  }

  /** The latest value of each view. */
  get views(): ReadonlyMap<string, Json> {
    return this.#views ?? NO_VIEWS;
  }

  /**
   * Runs one tick: moves the time, delivers, and runs the coroutine until it rests. Returns a promise if `async`
   * functions take part. The time of a tick is never before that of the tick before it.
   */
  tick(now: number, deliveries: readonly Delivery[]): TickResult | Promise<TickResult> {
    if (this.#end !== null) {
      throw new WorkflowUsageError(`Run ${this.id} has ended: drop the delivery, or tell its sender`);
    }
    const time = Math.max(now, this.#time);
    const records = this.#admit(deliveries, time);
    const due = this.#loop.nextDeadline;
    if (this.#main !== null && records.length === 0 && (due === undefined || due > time)) {
      this.#calls.startDue(time);
      this.#effects.flush();
      return this.#result(null, true);
    }
    this.#effects.position = this.#length + 1;
    return afterwards(this.#advance(time, records), () => this.#conclude(records));
  }

  /**
   * Returns the records of the deliveries that change something. Ends that the run has found by itself are sorted in by
   * their numbers: whether the run or its host noticed a cancelled call first must not show.
   */
  #admit(given: readonly Delivery[], time: number): DeliveryRecord[] {
    if (given.length === 0 && this.#calls.found === 0) return [];
    const deliveries = [...given];
    for (const end of this.#calls.takeFound()) {
      const later = deliveries.findIndex(([mark]) => typeof mark === "number" && mark > end[0]);
      deliveries.splice(later === -1 ? deliveries.length : later, 0, end);
    }
    const records: DeliveryRecord[] = [];
    const seen = new Set<number>();
    for (const delivery of deliveries) {
      if (delivery.length !== 3 || typeof delivery[0] !== "number") {
        records.push(delivery);
      } else if (!seen.has(delivery[0])) {
        const record = this.#calls.admit(delivery, time);
        if (record === null) continue;
        seen.add(delivery[0]);
        records.push(record);
      }
    }
    return records;
  }

  /**
   * Runs the ticks of a log, or of a page of it, without effects, and compares their commands.
   *
   * @throws {@link ReplayDivergedError} if the code does not follow the history. The run is of no use afterwards.
   */
  replay(entries: Iterable<string>): void | Promise<void> {
    this.#effects.isReplaying = true;
    return this.#replayRest(entries[Symbol.iterator]());
  }

  #replayRest(entries: Iterator<string>): void | Promise<void> {
    for (let item = entries.next(); item.done !== true; item = entries.next()) {
      const replayed = this.#replayEntry(item.value);
      if (replayed instanceof Promise) return afterwards(replayed, () => this.#replayRest(entries));
    }
    return undefined;
  }

  #replayEntry(text: string): void | Promise<void> {
    const { order, time, deliveries } = decodeEntry(text);
    if (order !== undefined && order !== ORDER) throw unknownOrder(this, order, time);
    this.#recorded = text;
    return afterwards(this.#advance(time, deliveries), () => {
      this.#settleEnd();
      const issued = this.#takeIssued();
      if (!hasCommands(text, commandsText(issued))) {
        throw divergence(this, this.#length, decodeEntry(text), issued);
      }
      this.#length++;
      this.#size += text.length;
      this.#recorded = null;
    });
  }

  /** Ends the replay: takes up the calls that have no end, and starts the attempts that are due. */
  live(now: number): TickResult {
    this.#effects.isReplaying = false;
    this.#effects.position = this.#length;
    this.#effects.release(this.#length);
    const time = Math.max(now, this.#time);
    if (this.#end === null) this.#calls.takeUp(time);
    this.#effects.flush();
    return this.#result(null, true, this.#views ?? NO_VIEWS);
  }

  /** Starts the effects of the first `count` entries: the host calls it when these are stored. */
  release(count: number): void {
    this.#effects.release(count);
  }

  /** Drops the run from memory, and cancels its steps that are under way. The history is not touched. */
  dispose(message = "the run has left this worker"): void {
    this.#effects.drop();
    this.#calls.abandon(message);
    this.#loop.setExceptionHandler(() => {});
    if (!this.#loop.isClosed()) this.#loop.close();
  }

  #advance(time: number, records: readonly DeliveryRecord[]): void | Promise<void> {
    this.#time = time;
    const isFirst = this.#main === null;
    try {
      const driven = this.#loop.drive(time, () => {
        if (isFirst) this.#main = this.#begin();
        for (const record of records) this.#deliver(record);
      });
      const rest = afterwards(driven, () => this.#cancelLeft());
      return rest instanceof Promise ? rest.catch((error: unknown) => this.#failWith(error)) : rest;
    } catch (error) {
      this.#failWith(error);
      return undefined;
    }
  }

  #begin(): Task<unknown> {
    const run = this.workflow as unknown as (...args: unknown[]) => Awaitable<unknown>;
    const args = decodeValue(this.#args) as unknown[];
    const { name } = this.workflow.task;
    const call = (): Awaitable<unknown> =>
      withinLimits(this.#limits, this.#time, `Run ${this.id} (${name})`, () => run(...args));
    const main = this.#loop.createTask(call, { name });
    main.addDoneCallback(() => {});
    return main;
  }

  #deliver(record: DeliveryRecord): void {
    if (record[0] === "s") this.inputs.signal(record);
    else if (record[0] === "u") this.inputs.update(record);
    else if (record[0] === "c") this.#main?.cancel(record[1] ?? undefined);
    else if (record[1] === "a") this.#calls.attemptFailed(record);
    else this.#calls.settle(record);
  }

  /** When the coroutine has ended, cancels its tasks that are left and lets them end, as `run` of the loop does. */
  #cancelLeft(): void | Promise<void> {
    if (this.#main?.done() !== true) return undefined;
    this.#leftCancelled ??= new WeakSet();
    const known = this.#leftCancelled;
    const left = [...allTasks(this.#loop)].filter((task) => !known.has(task));
    if (left.length === 0) return undefined;
    for (const task of left) known.add(task);
    if (!continues(this.#main)) this.inputs.end();
    const cancel = (): void => {
      for (const task of left) task.cancel();
    };
    return afterwards(this.#loop.drive(this.#time, cancel), () => this.#cancelLeft());
  }

  #conclude(records: readonly DeliveryRecord[]): TickResult {
    this.#settleEnd();
    this.#calls.startDue(this.#time);
    const isDeferrable =
      this.#end === null &&
      records.length === 0 &&
      (this.#length === 0 ? !this.#calls.hasNewOnce : this.#effects.isEmpty);
    const issued = this.#takeIssued();
    const entry = encodeEntry(this.#length === 0, this.#time, JSON.stringify(records), commandsText(issued));
    this.#length++;
    this.#size += entry.length;
    this.#warnAtBounds();
    return this.#result(entry, isDeferrable);
  }

  #result(entry: string | null, isDeferrable: boolean, views?: ReadonlyMap<string, Json>): TickResult {
    const set = views ?? this.#tickViews ?? NO_VIEWS;
    this.#tickViews = null;
    return {
      entry,
      isDeferrable,
      wakeAt: this.#wakeAt(),
      views: set,
      end: this.#end ?? undefined,
      pending: this.#calls.size,
    };
  }

  #wakeAt(): number | undefined {
    if (this.#end !== null) return undefined;
    if (this.#calls.found > 0) return this.#time;
    const timer = this.#loop.nextDeadline;
    const attempt = this.#calls.nextAttempt;
    if (timer === undefined || attempt === undefined) return timer ?? attempt;
    return Math.min(timer, attempt);
  }

  /** Decides whether the run at rest has ended, can go on, or never will. */
  #settleEnd(): void {
    if (this.#end !== null) return;
    const outside = this.#loop.outsideError();
    if (outside !== null) this.#failWith(outside);
    const main = this.#main!;
    if (!this.#hasFailed && !(main.done() && allTasks(this.#loop).size === 0)) {
      const canGoOn =
        this.#calls.size > 0 || this.#loop.nextDeadline !== undefined || this.inputs.isListening;
      if (canGoOn) return;
      this.#failWith(describeDeadlock(this.#loop));
    }
    const end = this.#hasFailed ? failed(this.#failure) : this.#outcomeOf(main);
    if (end.state !== "continued") this.inputs.refuseOpen();
    this.#end = end;
    this.#note(endRecord(end));
    // Calls that no task awaits have nobody left to wait for them, and those of a run that fails from without.
    if (this.#calls.size > 0) this.#effects.add(() => this.#calls.abandon("the run has ended"));
  }

  #failWith(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#failure = error;
  }

  #outcomeOf(main: Task<unknown>): RunEnd {
    try {
      const value = main.result();
      if (value instanceof Continuation) {
        const { name, version } = value.task.task;
        return { state: "continued", name, version, args: value.args, carried: this.inputs.carried() };
      }
      return {
        state: "completed",
        value: encodeValue(value, { name: `result of ${this.workflow.task.name}` }),
      };
    } catch (error) {
      if (!(error instanceof CancelledError)) return failed(error);
      return error.message === "" ? { state: "cancelled" } : { state: "cancelled", message: error.message };
    }
  }

  #takeIssued(): Issued[] {
    for (const [name, value] of this.#tickViews ?? [])
      this.#issued.push({ record: ["v", name, recordable(value)], by: null });
    if (this.isReplaying) this.#tickViews = null;
    const issued = this.#issued;
    this.#issued = [];
    return issued;
  }

  #note(record: CommandRecord): void {
    this.#issued.push({ record, by: currentTask(this.#loop) });
  }

  /** Issues a step, a job or a child for the coroutine. */
  call(
    kind: CallKind,
    task: TaskDefinition,
    args: readonly unknown[],
    options: StepOptions & ChildOptions,
  ): CallFuture {
    this.#checkRoom();
    return this.#calls.issue(this.#loop, kind, task, args, options);
  }

  #checkRoom(): void {
    const { maxTicks, maxSize } = this.#bounds;
    if (this.#length < maxTicks && this.#size < maxSize) return;
    const isOverReserve = this.#length >= maxTicks * (1 + RESERVE) || this.#size >= maxSize * (1 + RESERVE);
    if (this.#fullThrown && !isOverReserve) return;
    this.#fullThrown = true;
    throw new HistoryFullError(
      `The history of run ${this.id} has ${this.#length} ticks and ${this.#size} characters, and no more are allowed: ` +
        "return continueAs(workflow, …) before that, with what the next history needs",
    );
  }

  #warnAtBounds(): void {
    const { warnTicks, warnSize } = this.#bounds;
    if (this.#hasWarned || (this.#length < warnTicks && this.#size < warnSize)) return;
    this.#hasWarned = true;
    this.#host.warn({
      code: "HISTORY_LONG",
      message:
        `The history of run ${this.id} of ${this.workflow.task.name} has ${this.#length} ticks and ` +
        `${this.#size} characters: return continueAs(workflow, …) to begin a new one`,
    });
  }

  /** Returns whether the run takes the new way at a change of its code. */
  patched(name: string): boolean {
    this.#patches ??= new Map();
    const known = this.#patches.get(name);
    if (known !== undefined) return known;
    const isNew =
      this.#recorded === null ||
      decodeEntry(this.#recorded).commands.some(([mark, patch]) => mark === "p" && patch === name);
    this.#patches.set(name, isNew);
    if (isNew) this.#note(["p", name]);
    return isNew;
  }

  setView(name: string, value: unknown): void {
    const encoded = encodeValue(value, { name: `view ${name}` });
    this.#tickViews ??= new Map();
    this.#tickViews.set(name, encoded);
    this.#views ??= new Map();
    this.#views.set(name, encoded);
  }

  log(line: string): void {
    if (!this.isReplaying) this.#host.log(line);
  }

  #unhandled({ message, exception }: ExceptionContext): void {
    if (this.isReplaying) return;
    const text = exception instanceof Error ? `${message}: ${exception.message}` : message;
    this.#host.warn({ code: "RUN_UNHANDLED", message: `Run ${this.id}: ${text}` });
  }
}

/** Returns whether the coroutine has ended to begin another history. */
function continues(main: Task<unknown>): boolean {
  return !main.cancelled() && main.exception() === undefined && main.result() instanceof Continuation;
}

function failed(error: unknown): RunEnd {
  return { state: "failed", error: encodeError(error) };
}

function endRecord(end: RunEnd): CommandRecord {
  if (end.state === "continued") return ["x", end.name, end.version, recordable(end.args)];
  if (end.state === "completed") return ["e", COMPLETED, shortened(stackless(end.value))];
  // The stack of an error has lines of the code, which may move without a change of its meaning.
  if (end.state === "failed") return ["e", FAILED, shortened(errorText(end.error))];
  return ["e", CANCELLED, end.message ?? ""];
}

function errorText(error: Json): string {
  if (typeof error !== "object" || error === null || Array.isArray(error)) return JSON.stringify(error);
  return `${JSON.stringify(error["name"])}: ${JSON.stringify(error["message"])}`;
}

function commandsText(issued: readonly Issued[]): string {
  return issued.length === 0 ? "[]" : JSON.stringify(issued.map(({ record }) => record));
}
