import { limitName } from "../contract/task-limits.ts";
import type { AskedLimit } from "../contract/task-limits.ts";
import { TaskOptionsError } from "../errors.ts";
import { wholeMilliseconds } from "../milliseconds.ts";
import { isPlainText } from "../wire/plain-text.ts";
import { checkOptionNames } from "../check-option-names.ts";

/**
 * The key under which a limit counts a job: a function of its arguments, or `"limitKey"` for the `limitKey` of its submission.
 * Jobs without a `limitKey` share the key "". A submission's `limitKey` replaces the result of a function.
 */
export type LimitKey<A extends readonly unknown[] = readonly unknown[]> = "limitKey" | ((args: A) => string);

/** A limit on the jobs of a task that run at once, on all workers of a queue together. */
export interface ConcurrencyLimit<A extends readonly unknown[] = readonly unknown[]> {
  /** The greatest number of jobs that run at once. */
  readonly limit: number;
  /** Without a key the limit counts all jobs of the task together, with one the jobs of each key by themselves. */
  readonly key?: LimitKey<A>;
}

/** A limit on the starts of a task's jobs, on all workers of a queue together: at most `max` in any `duration`. */
export interface StartLimit<A extends readonly unknown[] = readonly unknown[]> {
  /** The greatest number of jobs that start within `duration`. Each attempt is a start. */
  readonly max: number;
  /** Milliseconds. */
  readonly duration: number;
  /** Without a key the limit counts all jobs of the task together, with one the jobs of each key by themselves. */
  readonly key?: LimitKey<A>;
}

/** The limit options of a task. */
export interface LimitOptions<A extends readonly unknown[] = readonly unknown[]> {
  readonly concurrency?: number | ConcurrencyLimit<A>;
  readonly rateLimit?: StartLimit<A>;
}

/** One limit of a task after the check of its options. */
export interface ResolvedLimit {
  readonly kind: "concurrency" | "rate";
  readonly max: number;
  /** Milliseconds; 0 for a limit of the concurrency. */
  readonly window: number;
  readonly key: LimitKey<never> | undefined;
}

/** The options of an object of each kind. */
const CONCURRENCY_OPTIONS: Readonly<Record<keyof ConcurrencyLimit, true>> = { limit: true, key: true };
const START_OPTIONS: Readonly<Record<keyof StartLimit, true>> = { max: true, duration: true, key: true };

/** The greatest number of slots: PostgreSQL stores it as a 32-bit number. */
const MOST_SLOTS = 1_000_000;
const LONGEST_KEY = 256;

/**
 * Returns the limits of a task; undefined if it has none.
 *
 * @throws {@link TaskOptionsError} for an invalid limit.
 */
export function resolveLimits(
  task: string,
  { concurrency, rateLimit }: LimitOptions<never>,
): readonly ResolvedLimit[] | undefined {
  const limits: ResolvedLimit[] = [];
  if (concurrency !== undefined) {
    const given = typeof concurrency === "number" ? { limit: concurrency } : concurrency;
    checkObject(task, "concurrency", given, CONCURRENCY_OPTIONS);
    const max = slots(task, "concurrency", given.limit);
    limits.push({ kind: "concurrency", max, window: 0, key: keyOf(task, "concurrency", given.key) });
  }
  if (rateLimit !== undefined) {
    checkObject(task, "rateLimit", rateLimit, START_OPTIONS);
    const max = slots(task, "rateLimit.max", rateLimit.max);
    const window = wholeMilliseconds(`\`rateLimit.duration\` of task ${task}`, rateLimit.duration, {
      from: 1,
    });
    limits.push({ kind: "rate", max, window, key: keyOf(task, "rateLimit", rateLimit.key) });
  }
  return limits.length === 0 ? undefined : limits;
}

function checkObject(task: string, option: string, given: unknown, known: object): asserts given is object {
  if (typeof given !== "object" || given === null)
    throw new TaskOptionsError(
      `Expected \`${option}\` of task ${task} to be ${option === "concurrency" ? "a whole number, or { limit, key }" : "{ max, duration, key }"}, got ${String(given)}`,
    );
  checkOptionNames(given, known, `\`${option}\` of task ${task}`);
}

function slots(task: string, option: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1 && value <= MOST_SLOTS) return value;
  throw new TaskOptionsError(
    `Expected \`${option}\` of task ${task} to be a whole number from 1 to ${MOST_SLOTS}, got ${String(value)}`,
  );
}

function keyOf(task: string, option: string, key: LimitKey<never> | undefined): LimitKey<never> | undefined {
  if (key === undefined || key === "limitKey" || typeof key === "function") return key;
  throw new TaskOptionsError(
    `Expected \`${option}.key\` of task ${task} to be a function of the arguments or "limitKey", got ${String(key)}`,
  );
}

/**
 * Returns a key of a limit.
 *
 * @throws {@link TaskOptionsError} for a key that is not a text of at most 256 characters that each engine stores.
 */
export function checkLimitKey(option: string, key: unknown): string {
  if (typeof key === "string" && key.length <= LONGEST_KEY && isPlainText(key)) return key;
  throw new TaskOptionsError(
    `Expected ${option} to be a text of at most ${LONGEST_KEY} characters without U+0000 and halves of a surrogate pair, got ${typeof key === "string" ? JSON.stringify(key).slice(0, 100) : String(key)}`,
  );
}

/** The part of a task that {@link limitTerms} needs. */
interface LimitedTask {
  readonly name: string;
  readonly limits: readonly ResolvedLimit[] | undefined;
}

/**
 * Returns the limits of one job of a task.
 *
 * @param limitKey the key of the submission, if it has one.
 * @throws {@link TaskOptionsError} for a `limitKey` of a task without a limit that has a key, and for an invalid key; any error
 *   that a key function throws.
 */
export function limitTerms(
  { name, limits = [] }: LimitedTask,
  args: readonly unknown[],
  limitKey: string | undefined,
): AskedLimit[] {
  if (limitKey !== undefined && limits.every(({ key }) => key === undefined))
    throw new TaskOptionsError(
      `Expected task ${name} to have a limit with a \`key\`, since the submission has a \`limitKey\`; define it with concurrency: { limit, key: "limitKey" }`,
    );
  return limits.map(({ kind, max, window, key }) => {
    const named = key === undefined ? undefined : (limitKey ?? keyFrom(name, key, args));
    const hasSameKey = (other: ResolvedLimit): boolean =>
      limitKey === undefined ? other.key === key : other.key !== undefined;
    const includesOthers = key === undefined || limits.every(hasSameKey);
    return { name: limitName(kind, name, named), max, window, includesOthers };
  });
}

function keyFrom(task: string, key: LimitKey<never>, args: readonly unknown[]): string {
  if (key === "limitKey") return "";
  // The arguments are those that the task itself receives.
  return checkLimitKey(`the key of a limit of task ${task}`, key(args as never));
}

/** Returns the arguments of the only call of a pack. The pack of a limited task has one call. */
export function firstCall(calls: readonly unknown[]): readonly unknown[] {
  const [first] = calls;
  return Array.isArray(first) ? first : [];
}
