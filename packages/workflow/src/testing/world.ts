import { coroutine, Future, isAwaitable, sleep, timeout } from "@taskloom/loop";
import type { Awaitable, Coroutine, Task } from "@taskloom/loop";
import { DrivenLoop } from "@taskloom/loop/durable";
import type { TaskDefinition } from "@taskloom/queue";
import { decodeValue, encodeError } from "@taskloom/queue/wire";
import type { EndRecord } from "../journal/entry.ts";
import { endOfTask } from "../run/end-of-task.ts";
import { afterwards } from "../run/afterwards.ts";
import type { EncodedOutcome, JobStart, RunHost, StepStart } from "../run/host.ts";
import { Seeded } from "../run/seeded.ts";

/** A step, a job or a child that is under way. */
export interface Working {
  readonly command: number;
  /** The end, once it has come. */
  readonly end: EndRecord | null;
  /** The time at which it goes on; undefined if it waits for nothing that has a time. */
  readonly due: number | undefined;
  /** Runs up to a time. Returns a promise only if `async` functions or work outside take part. */
  catchUp(time: number): void | Promise<void>;
  cancel(time: number, message: string | undefined): void;
  /** Ends at once, as everything in a process that dies. */
  crash(): void;
}

/** Makes the run of a child workflow that starts at a time. */
type ChildMaker = (job: JobStart, start: number) => Working;

/**
 * The host of a run in virtual time. Steps and jobs run here, each on a loop with a time of its own. A step takes as
 * long in one life as in another, counted from the tick that asked for it, so that a crash does not change who wins a
 * race.
 */
export class World implements RunHost {
  readonly #seed: number | string;
  readonly #makeChild: ChildMaker;
  readonly #working = new Map<number, Working>();
  /** Child workflows by their ids: their logs outlive a worker, theirs and their parent's. */
  #children: Map<string, Working> | null = null;
  #cancelled: { readonly command: number; readonly message: string | undefined }[] = [];
  readonly #loops = new LoopPool();
  /** The attempts of steps, and the jobs, that have begun in all lives. */
  started = 0;
  readonly logs: string[] = [];
  readonly warnings: string[] = [];
  readonly answers: Map<string, EncodedOutcome> = new Map<string, EncodedOutcome>();

  /** @param seed decides how long steps and jobs take, and so in which order they end. */
  constructor(seed: number | string, makeChild: ChildMaker) {
    this.#seed = seed;
    this.#makeChild = makeChild;
  }

  /** Whether a child workflow was started. Its log is a part of what a crash leaves. */
  get hasChildren(): boolean {
    return this.#children !== null;
  }

  /** Ends everything that runs in a worker, as its death does. */
  crash(): void {
    for (const working of this.#working.values()) working.crash();
    this.#working.clear();
    this.#cancelled = [];
  }

  startStep({ command, task, args, attempt, from, timeout: limit }: StepStart): void {
    this.#begin(command, `${command}/${attempt}`, task, args, from, limit);
  }

  submit(job: JobStart): void {
    const { command, task, args, from } = job;
    if (this.#working.has(command)) return;
    if (!job.isWorkflow) {
      this.#begin(command, `${command}`, task, decodeValue(args) as unknown[], from, undefined);
      return;
    }
    this.#children ??= new Map();
    let child = this.#children.get(job.id);
    if (child === undefined) {
      this.started++;
      child = this.#makeChild(job, from + delayOf(this.#random(`${command}`)));
      this.#children.set(job.id, child);
    }
    this.#working.set(command, child);
  }

  #random(name: string): Seeded {
    return new Seeded(`${this.#seed}/${name}`);
  }

  #begin(
    command: number,
    name: string,
    task: TaskDefinition,
    args: unknown[],
    from: number,
    limit: number | undefined,
  ): void {
    this.started++;
    const random = this.#random(name);
    const before = delayOf(random);
    const after = delayOf(random) - 1;
    const loop = this.#loops.take(from);
    const work = coroutine(function* (): Generator<never, unknown, never> {
      yield* sleep(before);
      const result = yield* callOf(loop, task, args);
      if (after > 0) yield* sleep(after);
      return result;
    })();
    const main = loop.createTask(limit === undefined ? work : () => timeout(limit, work));
    this.#working.set(command, new LocalWork(command, loop, main, this.#loops));
  }

  cancel(command: number, message: string | undefined): void {
    this.#cancelled.push({ command, message });
  }

  answer(update: string, outcome: EncodedOutcome): void {
    this.answers.set(update, outcome);
  }

  log(line: string): void {
    this.logs.push(line);
  }

  warn({ code, message }: { readonly code: string; readonly message: string }): void {
    this.warnings.push(`${code}: ${message}`);
  }

  /**
   * Lets everything that works run up to a time, and returns the ends in the order of their commands. Returns a promise
   * only if `async` functions, children or work outside take part.
   */
  run(time: number): EndRecord[] | Promise<EndRecord[]> {
    if (this.#working.size === 0) return [];
    for (const { command, message } of this.#cancelled) this.#working.get(command)?.cancel(time, message);
    this.#cancelled = [];
    return this.#runFrom(0, [...this.#working.values()], time);
  }

  #runFrom(from: number, working: readonly Working[], time: number): EndRecord[] | Promise<EndRecord[]> {
    for (let i = from; i < working.length; i++) {
      const ran = working[i]!.catchUp(time);
      if (ran instanceof Promise) return afterwards(ran, () => this.#runFrom(i + 1, working, time));
    }
    const ends: EndRecord[] = [];
    for (const { command, end } of working) {
      if (end === null) continue;
      ends.push(end);
      this.#working.delete(command);
    }
    return ends.length < 2 ? ends : ends.toSorted((a, b) => a[0] - b[0]);
  }

  /** The earliest time at which something that works goes on; undefined if nothing does. */
  get nextDeadline(): number | undefined {
    let earliest: number | undefined;
    for (const { due } of this.#working.values()) {
      if (due !== undefined && (earliest === undefined || due < earliest)) earliest = due;
    }
    return earliest;
  }
}

/** Returns milliseconds from 1 to 50. */
function delayOf(random: Seeded): number {
  return 1 + Math.floor(random.random() * 50);
}

/** Loops that were used, for the next steps: a loop costs more than a step. */
class LoopPool {
  readonly #free: DrivenLoop[] = [];

  take(time: number): DrivenLoop {
    const free = this.#free.pop();
    if (free !== undefined) {
      free.reset(time);
      return free;
    }
    const loop = new DrivenLoop(time);
    loop.setExceptionHandler(() => {});
    return loop;
  }

  /** Takes a loop back, unless something is left on it. */
  giveBack(loop: DrivenLoop): void {
    if (loop.isUnused) this.#free.push(loop);
    else close(loop);
  }
}

/** A step or a job. Its loop begins at the time from which it was to run, and so catches up after a crash. */
class LocalWork implements Working {
  readonly command: number;
  readonly #loop: DrivenLoop;
  readonly #task: Task<unknown>;
  readonly #pool: LoopPool;
  #end: EndRecord | null = null;

  constructor(command: number, loop: DrivenLoop, task: Task<unknown>, pool: LoopPool) {
    this.command = command;
    this.#loop = loop;
    this.#task = task;
    this.#pool = pool;
  }

  get end(): EndRecord | null {
    return this.#end;
  }

  get due(): number | undefined {
    return this.#loop.nextDeadline;
  }

  catchUp(time: number): void | Promise<void> {
    return this.#goOn(this.#loop.time(), time);
  }

  /** Drives the loop up to a time. Work outside it, such as a real request, is waited for: no time passes in it. */
  #goOn(from: number, time: number): void | Promise<void> {
    const loop = this.#loop;
    for (let due: number | undefined = from; due !== undefined && due <= time; due = loop.nextDeadline) {
      const driven = loop.drive(due);
      if (driven instanceof Promise || loop.outsideWork > 0) {
        return afterwards(this.#outside(driven), () => this.#goOn(loop.nextDeadline ?? Infinity, time));
      }
      if (this.#task.done()) {
        this.#finish();
        return undefined;
      }
    }
    if (this.#end === null && this.#task.done()) this.#finish();
    return undefined;
  }

  async #outside(driven: void | Promise<void>): Promise<void> {
    await driven;
    while (!this.#task.done() && this.#loop.outsideWork > 0) {
      // oxlint-disable-next-line no-await-in-loop -- until the work has ended
      await new Promise((resolve) => setImmediate(resolve));
      // oxlint-disable-next-line no-await-in-loop
      await this.#loop.drive(this.#loop.time());
    }
  }

  #finish(): void {
    this.#end = endOfTask(this.command, this.#task, "result of the step", withoutStack);
    this.#pool.giveBack(this.#loop);
  }

  cancel(_time: number, message: string | undefined): void {
    this.#task.cancel(message);
  }

  crash(): void {
    close(this.#loop);
  }
}

function close(loop: DrivenLoop): void {
  if (!loop.isClosed()) loop.close();
}

/** Returns the call of a task as a coroutine of the step's loop, whatever its function returns. */
function callOf(loop: DrivenLoop, task: TaskDefinition, args: readonly unknown[]): Coroutine<unknown> {
  const run = task as unknown as (...given: readonly unknown[]) => unknown;
  return coroutine((): Awaitable<unknown> => {
    const made = run(...args);
    if (isAwaitable(made)) return made;
    const settled = new Future<unknown>({ loop });
    settled.setResult(made);
    return settled;
  })();
}

/** Lives are compared as texts, and a stack differs from one to the next. */
function withoutStack(error: unknown): EndRecord[2] {
  if (error instanceof Error) error.stack = `${error.name}: ${error.message}`;
  return encodeError(error);
}
