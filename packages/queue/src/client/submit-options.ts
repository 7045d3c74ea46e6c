import type { DeduplicationOptions } from "bullmq";
import { resolveBackoff } from "../definition/define-task.ts";
import type { Backoff } from "../definition/define-task.ts";
import { TaskOptionsError } from "../errors.ts";
import { isPlainText } from "../wire/plain-text.ts";
import { wholeMilliseconds } from "../milliseconds.ts";

/**
 * When a submission is the same work as one that is there already, and what to do then. The key alone: nothing, until
 * that job has ended. A submission that is folded into another job becomes that job: it has its id and its result.
 */
export interface Deduplicate {
  /** What is the same has the same key, within a queue. */
  readonly key: string;
  /** Milliseconds for which the key holds, from the first submission, however soon its job ends (throttle). */
  readonly ttl?: number;
  /** Each duplicate starts the `ttl` again. */
  readonly extend?: boolean;
  /** A job that is still delayed gives way to the newer one (debounce, with `delay` and `ttl`). */
  readonly replace?: boolean;
  /** A job that is still delayed keeps its arguments and takes the newer one's delay. */
  readonly reschedule?: boolean;
  /** While the job runs, the last duplicate is kept, and runs when the job has ended. Rules out `ttl`. */
  readonly keepLastIfActive?: boolean;
}

/**
 * Options of one submission; the task's definition has the defaults. Times are milliseconds of at
 * most 10 years, and are rounded up to whole ones.
 */
export interface SubmitOptions {
  /** Milliseconds before the job may start. */
  readonly delay?: number;
  /** 1 to 2,097,151, smaller first. Jobs without a priority go before all that have one. */
  readonly priority?: number;
  /** How often it is tried in all. */
  readonly attempts?: number;
  /** The wait between attempts. */
  readonly backoff?: Backoff;
  /** Milliseconds that one attempt may run. */
  readonly timeout?: number;
  /** Milliseconds from now after which the result is of no use: the job is not started any more, or stopped. */
  readonly deadline?: number;
  /** A name of your own for the job: submitting it again while it is kept gives the same job, not a second one. */
  readonly id?: string;
  /** Folds it into a job that is the same work; a string is the key alone. */
  readonly deduplicate?: string | Deduplicate;
  /**
   * How long what is known of the job stays after its end, in milliseconds: an hour after it completed or was
   * cancelled, a week after it failed, unless said here. It is removed within some seconds of that.
   */
  readonly keep?: { readonly completed?: number; readonly failed?: number };
}

const known = new Set([
  "delay",
  "priority",
  "attempts",
  "backoff",
  "timeout",
  "deadline",
  "id",
  "deduplicate",
  "keep",
]);

/**
 * The same options with whole milliseconds.
 *
 * @throws {@link TaskOptionsError} naming the first option that cannot be right.
 */
export function resolveSubmitOptions(options: SubmitOptions): SubmitOptions {
  const { id, delay, deadline, priority, attempts, timeout, backoff, deduplicate, keep } = options;
  const unknown = Object.keys(options).find((option) => !known.has(option));
  if (unknown !== undefined) {
    throw new TaskOptionsError(
      `There is no option \`${unknown}\` for a submission; there are ${[...known].join(", ")}.`,
    );
  }
  if (id !== undefined && !(/^[^:\s\p{Cc}]{1,200}$/u.test(id) && id.isWellFormed())) {
    throw new TaskOptionsError(
      `Expected \`id\` to be 1 to 200 characters without ':', white space and control characters, got ${JSON.stringify(id)}.`,
    );
  }
  const times = wholeTimes("", { delay, deadline, timeout });
  const kept = keep === undefined ? {} : { keep: wholeTimes("keep.", { ...keep }) };
  for (const [option, value] of Object.entries({ priority, attempts })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1 && value < 2 ** 21)) {
      throw new TaskOptionsError(`Expected \`${option}\` to be a whole number from 1, got ${String(value)}.`);
    }
  }
  const waits = backoff === undefined ? {} : { backoff: resolveBackoff("of a submission", backoff) };
  const folds = deduplicate === undefined ? {} : { deduplicate: resolveDeduplicate(deduplicate) };
  if (id !== undefined && deduplicate !== undefined) {
    throw new TaskOptionsError(
      "Expected `id` or `deduplicate`, got both: an id is one job for as long as that is kept, a key is one at a time.",
    );
  }
  return { ...options, ...times, ...kept, ...waits, ...folds };
}

/** The times among options that are given, in whole milliseconds. */
function wholeTimes<K extends string>(
  prefix: string,
  times: Readonly<Partial<Record<K, number | undefined>>>,
): Partial<Record<K, number>> {
  const given = Object.entries<number | undefined>(times as Record<string, number | undefined>).flatMap(
    ([option, value]) =>
      value === undefined ? [] : [[option, wholeMilliseconds(`\`${prefix}${option}\``, value)]],
  );
  return Object.fromEntries(given) as Partial<Record<K, number>>;
}

function resolveDeduplicate(deduplicate: string | Deduplicate): Deduplicate {
  const given: Deduplicate = typeof deduplicate === "string" ? { key: deduplicate } : deduplicate;
  const { key, ttl, extend, keepLastIfActive } = given;
  if (typeof key !== "string" || key === "" || key.length > 200 || !isPlainText(key)) {
    throw new TaskOptionsError(
      `Expected \`deduplicate.key\` to be 1 to 200 characters without U+0000 and halves of a surrogate pair, got ${JSON.stringify(key)}.`,
    );
  }
  if (extend === true && ttl === undefined)
    throw new TaskOptionsError(
      "Expected `deduplicate.ttl` with `extend`: there is nothing to extend without it.",
    );
  if (keepLastIfActive === true && ttl !== undefined)
    throw new TaskOptionsError(
      "Expected no `deduplicate.ttl` with `keepLastIfActive`: the key holds as long as the job does.",
    );
  return ttl === undefined
    ? given
    : { ...given, ttl: wholeMilliseconds("`deduplicate.ttl`", ttl, { from: 1 }) };
}

/** The same in BullMQ's words. */
export function deduplicationOf(deduplicate: string | Deduplicate): DeduplicationOptions {
  if (typeof deduplicate === "string") return { id: deduplicate };
  const { key, ...modes } = deduplicate;
  return { id: key, ...modes };
}
