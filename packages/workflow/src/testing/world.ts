import { coroutine, Future, isAwaitable, sleep, timeout } from "@taskloom/loop";
import type { Awaitable, Coroutine, Task } from "@taskloom/loop";
import { DrivenLoop } from "@taskloom/loop/durable";
import type { TaskDefinition } from "@taskloom/queue";
import { decodeValue, encodeError, encodeValue } from "@taskloom/queue/wire";
import { CANCELLED, COMPLETED, FAILED } from "../journal/entry.ts";
import type { EndRecord } from "../journal/entry.ts";
import { afterwards } from "../run/afterwards.ts";
import type { EncodedOutcome, JobStart, RunHost, StepStart } from "../run/host.ts";
import { Seeded } from "../run/seeded.ts";

/** A step or a job that runs. Its own loop begins at the time from which it was to run, and so catches up after a crash. */
interface Working {
  readonly command: number;
  readonly loop: DrivenLoop;
  readonly task: Task<unknown>;
}

/**
 * The host of a run in virtual time. Steps run here, each on a loop of its own. A step takes as long in one life
 * as in another, counted from the tick that asked for it, so that a crash does not change who wins a race.
 */
export class World implements RunHost {
  readonly #seed: number;
  #working = new Map<number, Working>();
  /** The attempts of steps, and the jobs, that have begun in all lives. */
  started = 0;
  readonly logs: string[] = [];
  readonly warnings: string[] = [];
  readonly answers: Map<string, EncodedOutcome> = new Map<string, EncodedOutcome>();

  /** @param seed decides how long steps and jobs take, and so in which order they end. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Ends everything that runs in a worker, as its death does. */
  crash(): void {
    for (const { loop } of this.#working.values()) close(loop);
    this.#working = new Map();
  }

  startStep({ command, task, args, attempt, from, timeout: limit }: StepStart): void {
    this.#begin(command, `${command}/${attempt}`, task, args, from, limit);
  }

  submit({ command, task, args, from }: JobStart): void {
    if (this.#working.has(command)) return;
    this.#begin(command, `${command}`, task, decodeValue(args) as unknown[], from, undefined);
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
    const random = new Seeded(`${this.#seed}/${name}`);
    const before = 1 + Math.floor(random.random() * 50);
    const after = Math.floor(random.random() * 50);
    const loop = new DrivenLoop(from);
    loop.setExceptionHandler(() => {});
    const work = function* (): Generator<never, unknown, never> {
      yield* sleep(before);
      const result = yield* callOf(loop, task, args);
      if (after > 0) yield* sleep(after);
      return result;
    };
    const body = coroutine(work);
    const main = loop.createTask(() => (limit === undefined ? body() : timeout(limit, body())));
    this.#working.set(command, { command, loop, task: main });
  }

  cancel(command: number, message: string | undefined): void {
    this.#working.get(command)?.task.cancel(message);
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
   * only if `async` functions or work outside take part.
   */
  run(time: number): EndRecord[] | Promise<EndRecord[]> {
    return this.#working.size === 0 ? [] : this.#runFrom(0, [...this.#working.values()], time);
  }

  #runFrom(from: number, working: readonly Working[], time: number): EndRecord[] | Promise<EndRecord[]> {
    for (let i = from; i < working.length; i++) {
      const ran = catchUp(working[i]!, time);
      if (ran instanceof Promise) return afterwards(ran, () => this.#runFrom(i + 1, working, time));
    }
    return this.#takeEnds();
  }

  #takeEnds(): EndRecord[] {
    const ends: EndRecord[] = [];
    for (const { command, loop, task } of this.#working.values()) {
      if (!task.done()) continue;
      ends.push(endOf(command, task));
      this.#working.delete(command);
      close(loop);
    }
    return ends.toSorted((a, b) => a[0] - b[0]);
  }

  /** The earliest time at which something that works goes on; undefined if nothing does. */
  get nextDeadline(): number | undefined {
    let earliest: number | undefined;
    for (const { loop } of this.#working.values()) {
      const due = loop.nextDeadline;
      if (due !== undefined && (earliest === undefined || due < earliest)) earliest = due;
    }
    return earliest;
  }
}

/** Drives one step up to a time. Work outside the loop, such as a real request, is waited for: no time passes in it. */
function catchUp({ loop, task }: Working, time: number): void | Promise<void> {
  let due: number | undefined = loop.time();
  while (due !== undefined && due <= time && !task.done()) {
    const driven = loop.drive(due);
    if (driven instanceof Promise || loop.outsideWork > 0) return catchUpOutside(driven, loop, task, time);
    due = loop.nextDeadline;
  }
  return undefined;
}

async function catchUpOutside(
  driven: void | Promise<void>,
  loop: DrivenLoop,
  task: Task<unknown>,
  time: number,
): Promise<void> {
  await driven;
  while (!task.done() && loop.outsideWork > 0) {
    // oxlint-disable-next-line no-await-in-loop -- until the work has ended
    await new Promise((resolve) => setImmediate(resolve));
    // oxlint-disable-next-line no-await-in-loop
    await loop.drive(loop.time());
  }
  const due = loop.nextDeadline;
  if (task.done() || due === undefined || due > time) return;
  await catchUpOutside(loop.drive(due), loop, task, time);
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

function endOf(command: number, task: Task<unknown>): EndRecord {
  if (task.cancelled()) {
    let message: string | null = null;
    try {
      task.result();
    } catch (error) {
      if (error instanceof Error && error.message !== "") message = error.message;
    }
    return [command, CANCELLED, message];
  }
  const error = task.exception();
  if (error !== undefined) return [command, FAILED, withoutStack(error)];
  try {
    return [command, COMPLETED, encodeValue(task.result(), { name: "result of the step" })];
  } catch (unsendable) {
    return [command, FAILED, withoutStack(unsendable)];
  }
}

/** Lives are compared as texts, and a stack differs from one to the next. */
function withoutStack(error: unknown): EndRecord[2] {
  if (error instanceof Error) error.stack = `${error.name}: ${error.message}`;
  return encodeError(error);
}
