import { coroutine } from "@taskloom/loop";
import type { Coroutine } from "@taskloom/loop";
import { functionAddress } from "@taskloom/offload/function-address";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { TaskOptionsError } from "../errors.ts";
import { checkOptionNames } from "../check-option-names.ts";
import { resolveBackoff } from "./backoff.ts";
import type { Backoff, BackoffFunction } from "./backoff.ts";
import type { Lane, TaskLane } from "../contract/lane.ts";
import { wholeMilliseconds } from "../milliseconds.ts";
import { resolveLimits } from "./limits.ts";
import { checkProgress } from "./progress.ts";
import type { Progress } from "./progress.ts";
import type { ConcurrencyLimit, ResolvedLimit, StartLimit } from "./limits.ts";

/** The options of {@link defineTask}. */
export interface TaskOptions<A extends readonly unknown[] = readonly unknown[], P = unknown> {
  /** The name by which workers find the task. The name and the arguments are a contract between processes. */
  readonly name: string;
  /** The module that exports the task, as `import.meta.url`. A task that runs on a thread needs it. */
  readonly module?: string;
  /**
   * Raise the version if the arguments or their meaning change: a worker never runs a job of a version that it does not
   * have. Default 1.
   */
  readonly version?: number;
  /** `"loop"` for cooperative work, `"thread"` for blocking work. Default `"loop"`. */
  readonly runsOn?: TaskLane;
  /** Milliseconds that one attempt may run. Default: no limit. */
  readonly timeout?: number;
  /** The number of attempts in all. Default 1. */
  readonly attempts?: number;
  /**
   * The wait between attempts, or a function that returns it in milliseconds for the number of the failed attempt and its
   * error. The worker calls the function. Default: none.
   */
  readonly backoff?: Backoff | BackoffFunction;
  /**
   * If true, a job never ends with a result after the engine has accepted its cancellation. Each job then costs one more
   * round trip, which seals it before its end. Default false: a job that has done its work keeps its result.
   */
  readonly strict?: boolean;
  /**
   * The number of jobs that run at once, on all workers of a queue together, or `{ limit, key }` for a number for each key. A
   * job without a slot is parked, and other jobs go on. Default: no limit.
   */
  readonly concurrency?: number | ConcurrencyLimit<A>;
  /** The number of jobs that start within a time, on all workers of a queue together. Default: no limit. */
  readonly rateLimit?: StartLimit<A>;
  /** The progress of the task, made by {@link defineProgress}. Its type is that of the values that listeners receive. */
  readonly progress?: Progress<P>;
  /** A Standard Schema (zod, valibot, arktype …) of the array of arguments, which is checked at submission and at each run. */
  readonly args?: StandardSchemaV1<unknown, A>;
}

/** {@link TaskOptions} with all defaults. */
export interface ResolvedTaskOptions {
  readonly name: string;
  readonly module: string | undefined;
  readonly version: number;
  /** `"workflow"` only for a definition that brings the lane of durable runs. */
  readonly runsOn: Lane;
  readonly timeout: number | undefined;
  readonly attempts: number;
  readonly backoff: Backoff | BackoffFunction | undefined;
  readonly strict: boolean;
  /** The limits of the task; undefined without any. */
  readonly limits: readonly ResolvedLimit[] | undefined;
  readonly args: StandardSchemaV1<unknown, readonly unknown[]> | undefined;
}

/** A function with the options by which workers find and run it; made by {@link defineTask}. */
export interface TaskDefinition<A extends unknown[] = never[], R = unknown, P = unknown> {
  (...args: A): R;
  readonly task: ResolvedTaskOptions;
  /** The progress of the task, if its definition names one. It carries the type `P` of the values. */
  readonly progress?: Progress<P> | undefined;
}

const NAME_PATTERN = /^[\w@][\w@./-]{0,127}$/;

/**
 * Defines a task: a function that can run here, on a thread, or on any worker.
 *
 * The result is a function. A call of it runs the task here, `toThread(task, …)` runs it on a thread, and
 * `queue.submit(task, …)` on a worker.
 *
 * @throws {@link TaskOptionsError} if an option is invalid or unknown, or `fn` is not a function.
 * @example
 * ```ts
 * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
 *
 * const add = defineTask({ name: "add" }, async (a: number, b: number) => a + b);
 * console.log(await add(1, 2)); // 3
 * ```
 */
export function defineTask<A extends unknown[], R, P = unknown>(
  options: TaskOptions<NoInfer<A>, P>,
  fn: (...args: A) => Generator<unknown, R, unknown>,
): TaskDefinition<A, Coroutine<R>, P>;
export function defineTask<A extends unknown[], R, P = unknown>(
  options: TaskOptions<NoInfer<A>, P>,
  fn: (...args: A) => R,
): TaskDefinition<A, R, P>;
export function defineTask<A extends unknown[], P>(
  options: TaskOptions<A, P>,
  fn: (...args: A) => unknown,
): TaskDefinition<A, unknown, P> {
  const definition = definitionOf(resolveTaskOptions(options, "defineTask"), fn, "defineTask");
  return options.progress === undefined
    ? definition
    : Object.assign(definition, { progress: options.progress });
}

/**
 * Returns the definition of a function with its options.
 *
 * @param by the name of the function that defines it, for messages.
 */
export function definitionOf<A extends unknown[]>(
  task: ResolvedTaskOptions,
  fn: (...args: A) => unknown,
  by: string,
): TaskDefinition<A> {
  if (typeof fn !== "function") {
    throw new TaskOptionsError(`Expected the second argument of ${by} to be a function, got ${typeof fn}`);
  }
  // A generator function is wrapped, so that a direct call returns a Coroutine, which `await` and `yield*` accept.
  const run = isGeneratorFunction(fn) ? coroutine(fn) : fn;
  const definition = (...args: A): unknown => run(...args);
  Object.defineProperty(definition, "name", { value: fn.name === "" ? task.name : fn.name });
  if (task.module !== undefined) {
    Object.defineProperty(definition, functionAddress, { value: { module: task.module, name: task.name } });
  }
  return Object.assign(definition, { task });
}

function isGeneratorFunction<A extends unknown[]>(
  fn: (...args: A) => unknown,
): fn is (...args: A) => Generator<unknown, unknown, unknown> {
  return Object.prototype.toString.call(fn) === "[object GeneratorFunction]";
}

/**
 * Whether a value was made by {@link defineTask}.
 *
 * @example
 * ```ts
 * import { defineTask, isTaskDefinition } from "@taskloom/queue";
 *
 * console.log(isTaskDefinition(defineTask({ name: "noop" }, () => {}))); // true
 * console.log(isTaskDefinition(() => {})); // false
 * ```
 */
export function isTaskDefinition(value: unknown): value is TaskDefinition {
  if (typeof value !== "function" || !("task" in value)) return false;
  const { task } = value;
  return typeof task === "object" && task !== null && "name" in task && typeof task.name === "string";
}

/** A task with the argument types of any call: a worker runs it with arguments that were decoded and checked. */
export type RunnableTask = TaskDefinition<unknown[]>;

/** Whether a value was made by {@link defineTask}, for a worker that runs it with decoded arguments. */
export function isRunnableTask(value: unknown): value is RunnableTask {
  return isTaskDefinition(value);
}

/** @throws {@link TaskOptionsError} if the value was not made by {@link defineTask}. */
export function checkIsTask(value: unknown): asserts value is TaskDefinition {
  if (isTaskDefinition(value)) return;
  throw new TaskOptionsError(
    "Expected a task made by defineTask, since a worker cannot find a plain function",
  );
}

/** The names of all options. The compiler keeps the list complete. */
const OPTIONS: Readonly<Record<keyof TaskOptions, true>> = {
  name: true,
  module: true,
  version: true,
  runsOn: true,
  timeout: true,
  attempts: true,
  backoff: true,
  strict: true,
  concurrency: true,
  rateLimit: true,
  progress: true,
  args: true,
};

/**
 * Returns the options of a task with all defaults.
 *
 * @param by the name of the function that defines it, for messages.
 * @throws {@link TaskOptionsError} for an invalid or unknown option.
 */
export function resolveTaskOptions<A extends readonly unknown[]>(
  options: TaskOptions<A, never>,
  by: string,
): ResolvedTaskOptions {
  checkOptionNames(options, OPTIONS, by);
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
  if (typeof name !== "string" || !NAME_PATTERN.test(name)) {
    throw new TaskOptionsError(
      `Expected \`name\` to be 1 to 128 letters, digits, '.', '_', '-', '/' or '@', such as "image.thumbnail", got ${JSON.stringify(name)}`,
    );
  }
  if (runsOn !== "loop" && runsOn !== "thread") {
    throw new TaskOptionsError(
      `Expected \`runsOn\` of task ${name} to be "loop" or "thread", got ${JSON.stringify(runsOn)}`,
    );
  }
  if (runsOn === "thread" && module === undefined) {
    throw new TaskOptionsError(
      `Expected \`module\` of task ${name} to be import.meta.url, since a thread imports the function from there`,
    );
  }
  if (module !== undefined && !URL.canParse(module)) {
    throw new TaskOptionsError(
      `Expected \`module\` of task ${name} to be a URL such as import.meta.url, got ${JSON.stringify(module)}`,
    );
  }
  positiveInteger(name, "version", version);
  positiveInteger(name, "attempts", attempts);
  checkProgress(name, options.progress);
  return {
    name,
    module,
    version,
    runsOn,
    // An infinite timeout is no timeout.
    timeout:
      timeout === undefined || timeout === Infinity
        ? undefined
        : wholeMilliseconds(`\`timeout\` of task ${name}`, timeout, { from: 1 }),
    attempts,
    backoff:
      backoff === undefined || typeof backoff === "function"
        ? backoff
        : resolveBackoff(`of task ${name}`, backoff),
    strict,
    limits: resolveLimits(name, options),
    args,
  };
}

function positiveInteger(task: string, option: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new TaskOptionsError(
      `Expected \`${option}\` of task ${task} to be a whole number from 1, got ${String(value)}`,
    );
  }
}
