import type { DeduplicationOptions } from "bullmq";
import { resolveBackoff } from "../definition/backoff.ts";
import type { Backoff } from "../definition/backoff.ts";
import { checkLimitKey } from "../definition/limits.ts";
import { TaskOptionsError } from "../errors.ts";
import { isPlainText } from "../wire/plain-text.ts";
import { wholeMilliseconds } from "../milliseconds.ts";

/**
 * The deduplication of a submission: its key, and the effect of a duplicate. With the key alone, a duplicate is folded
 * into the job of that key until that job has ended. A folded submission has the id and the result of that job.
 */
export interface Deduplicate {
  /** The key of the work. Within a queue, two submissions with the same key are the same work. */
  readonly key: string;
  /** Milliseconds for which the key is held from the first submission on, even if its job ends sooner (throttle). */
  readonly ttl?: number;
  /** Whether each duplicate restarts the `ttl`. */
  readonly extend?: boolean;
  /** Whether a duplicate replaces a job that is still delayed (debounce, with `delay` and `ttl`). */
  readonly replace?: boolean;
  /** Whether a duplicate changes the delay of a job that is still delayed. The job keeps its arguments. */
  readonly reschedule?: boolean;
  /** Whether the last duplicate of a running job is kept, and runs when that job has ended. Excludes `ttl`. */
  readonly keepLastIfActive?: boolean;
}

/**
 * The options of one submission. The task's definition has the defaults. Times are milliseconds, at most 10 years, and
 * are rounded up to whole milliseconds.
 */
export interface SubmitOptions {
  /** Milliseconds before the job may start. */
  readonly delay?: number;
  /** 1 to 2,097,151. A smaller number runs first, and a job without a priority runs before all others. */
  readonly priority?: number;
  /** The number of attempts in all. */
  readonly attempts?: number;
  /** The wait between attempts. */
  readonly backoff?: Backoff;
  /** Milliseconds that one attempt may run. */
  readonly timeout?: number;
  /** Milliseconds from now after which the result is of no use. The job is then stopped, or is not started any more. */
  readonly deadline?: number;
  /** An id of your own. Another submission with the id waits for the same job for as long as the job is kept. */
  readonly id?: string;
  /** Folds the submission into a job that is the same work. A string is the key alone. */
  readonly deduplicate?: string | Deduplicate;
  /**
   * The retention of the job in milliseconds. Default: an hour after it has completed or was cancelled, a week after it
   * has failed. The job is removed within some seconds of that time.
   */
  readonly keep?: { readonly completed?: number; readonly failed?: number };
  /** At most 16 texts of 1 to 64 characters, by which operators find the job. */
  readonly tags?: readonly string[];
  /** The key under which the limits of the task count the job, for limits that have a `key`. */
  readonly limitKey?: string;
  /** Cancels the job when it is aborted, such as the signal of a request whose client has left. */
  readonly signal?: AbortSignal;
}

const MAX_TAGS = 16;
const MAX_TAG_LENGTH = 64;

const OPTIONS: ReadonlySet<string> = new Set<keyof SubmitOptions>([
  "delay",
  "priority",
  "attempts",
  "backoff",
  "timeout",
  "deadline",
  "id",
  "deduplicate",
  "keep",
  "tags",
  "limitKey",
  "signal",
]);

/**
 * Returns the options with whole milliseconds.
 *
 * @throws {@link TaskOptionsError} that names the first invalid option.
 */
export function resolveSubmitOptions(options: SubmitOptions): SubmitOptions {
  const { id, delay, deadline, priority, attempts, timeout, backoff, deduplicate, keep, tags } = options;
  const unknown = Object.keys(options).find((option) => !OPTIONS.has(option));
  if (unknown !== undefined) {
    throw new TaskOptionsError(
      `There is no option \`${unknown}\` of a submission. Known are: ${[...OPTIONS].join(", ")}`,
    );
  }
  if (id !== undefined && !(/^[^:\s\p{Cc}]{1,200}$/u.test(id) && id.isWellFormed())) {
    throw new TaskOptionsError(
      `Expected \`id\` to be 1 to 200 characters without ':', white space and control characters, got ${JSON.stringify(id)}`,
    );
  }
  const times = {
    ...wholeTime("delay", "delay", delay),
    ...wholeTime("deadline", "deadline", deadline),
    ...wholeTime("timeout", "timeout", timeout),
  };
  const kept = keep === undefined ? {} : { keep: wholeKeep(keep) };
  for (const [option, value] of Object.entries({ priority, attempts })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1 && value < 2 ** 21)) {
      throw new TaskOptionsError(`Expected \`${option}\` to be a whole number from 1, got ${String(value)}`);
    }
  }
  const tagged = tags === undefined ? {} : { tags: resolveTags(tags) };
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
    throw new TaskOptionsError(`Expected \`signal\` to be an AbortSignal, got ${typeof options.signal}`);
  }
  if (options.limitKey !== undefined) checkLimitKey("`limitKey`", options.limitKey);
  const waits = backoff === undefined ? {} : { backoff: resolveBackoff("of a submission", backoff) };
  const folds = deduplicate === undefined ? {} : { deduplicate: resolveDeduplicate(deduplicate) };
  if (id !== undefined && deduplicate !== undefined) {
    throw new TaskOptionsError(
      "Expected `id` or `deduplicate`, got both: an id names one job for as long as it is kept, a key one job at a time",
    );
  }
  return { ...options, ...times, ...kept, ...tagged, ...waits, ...folds };
}

/** Returns an object with a time in whole milliseconds under `key`, or without the key if there is no such time. */
function wholeTime<K extends string>(
  key: K,
  option: string,
  value: number | undefined,
): { readonly [Key in K]?: number } {
  const time: { [Key in K]?: number } = {};
  if (value !== undefined) time[key] = wholeMilliseconds(`\`${option}\``, value);
  return time;
}

function wholeKeep({ completed, failed }: NonNullable<SubmitOptions["keep"]>): SubmitOptions["keep"] & {} {
  return {
    ...wholeTime("completed", "keep.completed", completed),
    ...wholeTime("failed", "keep.failed", failed),
  };
}

function resolveTags(tags: readonly string[]): readonly string[] {
  const isTag = (tag: unknown): boolean =>
    typeof tag === "string" && tag !== "" && tag.length <= MAX_TAG_LENGTH && isPlainText(tag);
  if (Array.isArray(tags) && tags.length <= MAX_TAGS && tags.every(isTag)) return [...new Set(tags)];
  throw new TaskOptionsError(
    `Expected \`tags\` to be at most ${MAX_TAGS} texts of 1 to ${MAX_TAG_LENGTH} characters, got ${JSON.stringify(tags).slice(0, 200)}`,
  );
}

function resolveDeduplicate(deduplicate: string | Deduplicate): Deduplicate {
  const given: Deduplicate = typeof deduplicate === "string" ? { key: deduplicate } : deduplicate;
  const { key, ttl, extend, keepLastIfActive } = given;
  if (typeof key !== "string" || key === "" || key.length > 200 || !isPlainText(key)) {
    throw new TaskOptionsError(
      `Expected \`deduplicate.key\` to be 1 to 200 characters without U+0000 and halves of a surrogate pair, got ${JSON.stringify(key)}`,
    );
  }
  if (extend === true && ttl === undefined)
    throw new TaskOptionsError(
      "Expected `deduplicate.ttl` with `extend`, since there is nothing to extend without it",
    );
  if (keepLastIfActive === true && ttl !== undefined)
    throw new TaskOptionsError(
      "Expected no `deduplicate.ttl` with `keepLastIfActive`, since the key is held for as long as the job",
    );
  return ttl === undefined
    ? given
    : { ...given, ttl: wholeMilliseconds("`deduplicate.ttl`", ttl, { from: 1 }) };
}

/** Returns BullMQ's options for a deduplication. */
export function deduplicationOf(deduplicate: string | Deduplicate): DeduplicationOptions {
  if (typeof deduplicate === "string") return { id: deduplicate };
  const { key, ...modes } = deduplicate;
  return { id: key, ...modes };
}
