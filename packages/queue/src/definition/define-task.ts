import { coroutine } from "@taskloom/loop";
import type { Coroutine } from "@taskloom/loop";
import { unknownOption } from "@taskloom/loop/did-you-mean";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { TaskOptionsError } from "../errors.ts";
import type { Lane } from "../contract/lane.ts";
import { wholeMilliseconds } from "../milliseconds.ts";

/** How long to wait before the next attempt: always `delay` ms, or `delay` doubled at each attempt. */
export interface Backoff {
  readonly type: "fixed" | "exponential";
  /** Milliseconds before the second attempt. */
  readonly delay: number;
  /** 0 to 1: how much of the delay is left to chance, so that many failed jobs do not return at once. */
  readonly jitter?: number;
}

/** What a task is called, where it lives and how it runs. */
export interface TaskOptions<A extends readonly unknown[] = readonly unknown[]> {
  /** The name under which workers know it; with its arguments a contract between processes. */
  readonly name: string;
  /** The module that exports it, as `import.meta.url`; needed to run it on a thread. */
  readonly module?: string;
  /** Raise it when the arguments or the meaning change; a worker never runs a version that it does not have. Default 1. */
  readonly version?: number;
  /** `"loop"` for cooperative work, `"thread"` for what blocks. Default `"loop"`. */
  readonly runsOn?: Lane;
  /** Milliseconds that one attempt may run. Default: no limit. */
  readonly timeout?: number;
  /** How often it is tried in all. Default 1. */
  readonly attempts?: number;
  /** The wait between attempts. Default: none. */
  readonly backoff?: Backoff;
  /**
   * Whether a cancel that the engine accepted is never followed by a result: such a job asks once more before it ends.
   * It costs a round trip a job. Default false: a job that has done its work keeps its result.
   */
  readonly strict?: boolean;
  /** A Standard Schema (zod, valibot, arktype …) for the array of arguments, checked at submission and before running. */
  readonly args?: StandardSchemaV1<unknown, A>;
}

/** {@link TaskOptions} with every default filled in. */
export interface ResolvedTaskOptions {
  readonly name: string;
  readonly module: string | undefined;
  readonly version: number;
  readonly runsOn: Lane;
  readonly timeout: number | undefined;
  readonly attempts: number;
  readonly backoff: Backoff | undefined;
  readonly strict: boolean;
  readonly args: StandardSchemaV1<unknown, readonly unknown[]> | undefined;
}

/** The well-known symbol under which a function carries its address: the module to import and the name in it. */
const functionAddress = Symbol.for("taskloom.function");

/** A function that also knows its name, its module and how workers are to run it; made by {@link defineTask}. */
export interface TaskDefinition<A extends unknown[] = never[], R = unknown> {
  (...args: A): R;
  readonly task: ResolvedTaskOptions;
}

const namePattern = /^[\w@][\w@./-]{0,127}$/;

/**
 * Defines a task: one function that can run here, on a thread, or on any worker.
 *
 * The result is still the function: calling it runs it here. `toThread(task, …)` runs it on a thread and
 * `queue.submit(task, …)` on a worker.
 *
 * @throws {@link TaskOptionsError} when an option cannot be right.
 * @example
 * ```ts
 * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
 *
 * const add = defineTask({ name: "add" }, async (a: number, b: number) => a + b);
 * console.log(await add(1, 2)); // 3
 * ```
 */
export function defineTask<A extends unknown[], R>(
  options: TaskOptions<NoInfer<A>>,
  fn: (...args: A) => Generator<unknown, R, unknown>,
): TaskDefinition<A, Coroutine<R>>;
export function defineTask<A extends unknown[], R>(
  options: TaskOptions<NoInfer<A>>,
  fn: (...args: A) => R,
): TaskDefinition<A, R>;
export function defineTask<A extends unknown[]>(
  options: TaskOptions<A>,
  fn: (...args: A) => unknown,
): TaskDefinition<A, never> {
  const task = resolveTaskOptions(options);
  if (typeof fn !== "function") {
    throw new TaskOptionsError(
      `Expected the second argument of defineTask to be a function, got ${typeof fn}.`,
    );
  }
  // A generator function is wrapped, so that a direct call gives a Coroutine: awaitable from both spellings.
  const run = isGeneratorFunction(fn) ? coroutine(fn) : fn;
  const definition = (...args: A): unknown => run(...args);
  Object.defineProperty(definition, "name", { value: fn.name === "" ? task.name : fn.name });
  if (task.module !== undefined) {
    Object.defineProperty(definition, functionAddress, { value: { module: task.module, name: task.name } });
  }
  return Object.assign(definition, { task }) as TaskDefinition<A, never>;
}

function isGeneratorFunction<A extends unknown[]>(
  fn: (...args: A) => unknown,
): fn is (...args: A) => Generator<unknown, unknown, unknown> {
  return Object.prototype.toString.call(fn) === "[object GeneratorFunction]";
}

/** Whether a value was made by {@link defineTask}. */
export function isTaskDefinition(value: unknown): value is TaskDefinition {
  return (
    typeof value === "function" && typeof (value as { task?: { name?: unknown } }).task?.name === "string"
  );
}

/** @throws {@link TaskOptionsError} when a value that is to be submitted is not a task. */
export function checkIsTask(value: unknown): asserts value is TaskDefinition {
  if (isTaskDefinition(value)) return;
  throw new TaskOptionsError(
    "Expected a task made by defineTask: a worker has no way to find a plain function.",
  );
}

/** The names of all options; the compiler keeps the list complete. */
const OPTIONS: Readonly<Record<keyof TaskOptions, true>> = {
  name: true,
  module: true,
  version: true,
  runsOn: true,
  timeout: true,
  attempts: true,
  backoff: true,
  strict: true,
  args: true,
};
const BACKOFF_OPTIONS: Readonly<Record<keyof Backoff, true>> = { type: true, delay: true, jitter: true };

function checkOptionNames(options: object, known: object, of: string): void {
  const message = unknownOption(options, Object.keys(known), of);
  if (message !== undefined) throw new TaskOptionsError(message);
}

function resolveTaskOptions(options: TaskOptions): ResolvedTaskOptions {
  checkOptionNames(options, OPTIONS, "defineTask");
  const {
    name,
    module,
    version = 1,
    runsOn = "loop",
    timeout,
    attempts = 1,
    backoff,
    args,
    strict = false,
  } = options;
  if (typeof name !== "string" || !namePattern.test(name)) {
    throw new TaskOptionsError(
      `Expected \`name\` to be 1 to 128 letters, digits, '.', '_', '-', '/' or '@', such as "image.thumbnail", got ${JSON.stringify(name)}.`,
    );
  }
  if (runsOn !== "loop" && runsOn !== "thread") {
    throw new TaskOptionsError(
      `Expected \`runsOn\` of task ${name} to be "loop" or "thread", got ${JSON.stringify(runsOn)}.`,
    );
  }
  if (runsOn === "thread" && module === undefined) {
    throw new TaskOptionsError(
      `Task ${name} runs on a thread, so it needs \`module: import.meta.url\`: a thread imports the function from there.`,
    );
  }
  if (module !== undefined && !URL.canParse(module)) {
    throw new TaskOptionsError(
      `Expected \`module\` of task ${name} to be a URL such as import.meta.url, got ${JSON.stringify(module)}.`,
    );
  }
  positiveInteger(name, "version", version);
  positiveInteger(name, "attempts", attempts);
  return {
    name,
    module,
    version,
    runsOn,
    // An endless one is none.
    timeout:
      timeout === undefined || timeout === Infinity
        ? undefined
        : wholeMilliseconds(`\`timeout\` of task ${name}`, timeout, { from: 1 }),
    attempts,
    backoff: backoff === undefined ? undefined : resolveBackoff(`of task ${name}`, backoff),
    strict,
    args,
  };
}

/**
 * The same back-off with whole milliseconds.
 *
 * @throws {@link TaskOptionsError} for a back-off that no engine could keep to.
 */
export function resolveBackoff(whose: string, backoff: Backoff): Backoff {
  checkOptionNames(backoff, BACKOFF_OPTIONS, `\`backoff\` ${whose}`);
  const { type, delay, jitter = 0 } = backoff;
  if (!((type === "fixed" || type === "exponential") && delay >= 0 && jitter >= 0 && jitter <= 1)) {
    throw new TaskOptionsError(
      `Expected \`backoff\` ${whose} to be { type: "fixed" | "exponential", delay: ms, jitter?: 0 to 1 }, got ${JSON.stringify({ type, delay, jitter })}.`,
    );
  }
  return { ...backoff, delay: wholeMilliseconds(`\`backoff.delay\` ${whose}`, delay) };
}

function positiveInteger(task: string, option: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new TaskOptionsError(
      `Expected \`${option}\` of task ${task} to be a whole number from 1, got ${String(value)}.`,
    );
  }
}
