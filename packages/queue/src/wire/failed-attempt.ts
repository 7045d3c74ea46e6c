import { decodeError } from "./decode.ts";
import { TAG } from "./format.ts";

/** The attempt of a job that has ended with an error. */
export interface FailedAttempt {
  /** The id of the job. */
  readonly id: string;
  /** The name of the task. */
  readonly task: string;
  /** The number of the attempt; the first is 1. */
  readonly attempt: number;
  /** The number of attempts that the job had in all. */
  readonly attempts: number;
}

/** A {@link FailedAttempt} as it is stored, with its times in milliseconds of the epoch, on the engine's clock. */
export interface StoredAttempt extends FailedAttempt {
  readonly startedAt?: number;
  readonly endedAt?: number;
}

/** The key of the attempt in an encoded error. Readers that do not know it skip it. */
const ATTEMPT = "attempt";

/** The attempts of the errors that this process has decoded. An error of a user gets no property that its class does not have. */
const attempts = new WeakMap<Error, FailedAttempt>();

/**
 * Returns the attempt of a job that has ended with an error, for an error that a RemoteTask has failed with; undefined for any
 * other value. If the error went through several jobs, the attempt is that of the job that was waited for. The error of one
 * item of {@link TaskQueue.map} has the attempt of this item, and the id of the job that carried it.
 *
 * @example
 * ```ts
 * import { TaskQueue, TaskWorker, defineTask, failedAttempt } from "@taskloom/queue";
 *
 * const charge = defineTask({ name: "card.charge", attempts: 3 }, async () => {
 *   throw new Error("the bank does not answer");
 * });
 * const worker = new TaskWorker({ engine: "memory:", tasks: [charge] }).run();
 * await using queue = new TaskQueue({ engine: "memory:" });
 * try {
 *   await queue.submit(charge);
 * } catch (error) {
 *   const { attempt, attempts } = failedAttempt(error)!;
 *   console.log(`attempt ${attempt} of ${attempts}`); // attempt 3 of 3
 * }
 * worker.cancel();
 * ```
 */
export function failedAttempt(error: unknown): FailedAttempt | undefined {
  return error instanceof Error ? attempts.get(error) : undefined;
}

/** Returns an encoded error with the attempt that it has ended, which its stack names in a last line, too. */
export function withAttempt(encoded: unknown, failed: StoredAttempt | undefined): unknown {
  if (failed === undefined || !isEncodedError(encoded)) return encoded;
  const { stack } = encoded;
  // A stack that is not plain text is encoded in another form, and stays as it is.
  const named = typeof stack === "string" ? { stack: stackWith(stack, failed) } : {};
  return { ...encoded, ...named, [ATTEMPT]: failed };
}

function stackWith(stack: string, { id, task, attempt, attempts: all }: FailedAttempt): string {
  return `${stack}\n    at attempt ${attempt} of ${all} of job ${id} (${task})`;
}

/**
 * Records the attempt of a decoded error that one call of a pack has ended with. Its stack names the attempt in a last line.
 * If several calls have thrown one object, they share one decoded error, too, which keeps the attempt of the first call.
 */
export function recordAttempt(error: unknown, failed: FailedAttempt): void {
  if (!(error instanceof Error) || attempts.has(error)) return;
  attempts.set(error, failed);
  if (error.stack !== undefined) error.stack = stackWith(error.stack, failed);
}

/** Decodes the error of a failed job. */
export function decodeFailure(encoded: unknown): unknown {
  const error = decodeError(encoded);
  const failed = storedAttempt(encoded);
  if (error instanceof Error && failed !== undefined) {
    const { id, task, attempt, attempts: all } = failed;
    attempts.set(error, { id, task, attempt, attempts: all });
  }
  return error;
}

/** Returns the attempt that an encoded error has ended. A time that is no number is left out. */
export function storedAttempt(encoded: unknown): StoredAttempt | undefined {
  const stored = isEncodedError(encoded) ? encoded[ATTEMPT] : undefined;
  if (!isFailedAttempt(stored)) return undefined;
  const { id, task, attempt, attempts: all, startedAt, endedAt }: StoredAttempt = stored;
  return {
    id,
    task,
    attempt,
    attempts: all,
    ...timeOf("startedAt", startedAt),
    ...timeOf("endedAt", endedAt),
  };
}

function timeOf<K extends string>(key: K, time: unknown): { readonly [Key in K]?: number } {
  const times: { [Key in K]?: number } = {};
  if (Number.isFinite(time)) times[key] = time as number;
  return times;
}

function isEncodedError(encoded: unknown): encoded is Readonly<Record<string, unknown>> {
  return typeof encoded === "object" && encoded !== null && Reflect.get(encoded, TAG) === "error";
}

/** Whether a stored value is an attempt: any client of the engine can have written it. */
function isFailedAttempt(value: unknown): value is FailedAttempt {
  if (typeof value !== "object" || value === null) return false;
  const read = (key: keyof FailedAttempt): unknown => Reflect.get(value, key);
  return (
    typeof read("id") === "string" &&
    typeof read("task") === "string" &&
    Number.isSafeInteger(read("attempt")) &&
    Number.isSafeInteger(read("attempts"))
  );
}
