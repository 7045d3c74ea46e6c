import type { JobsOptions } from "bullmq";
import type { NewJob } from "../../../contract/lane-queue.ts";

/** Stands for the job's id in the options. */
const ID = "\u0001";
const ID_IN_JSON = String.raw`\u0001`;
/** An id that JSON has as it is. */
const SIMPLE_ID = /^[\w-]+$/;
const MAX_PRIORITY = 2_097_152;

/** The short names under which BullMQ stores options. */
const SHORT_NAMES: Readonly<Record<string, string>> = { keepLogs: "kl" };

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
const isFlag = (value: unknown): boolean => typeof value === "boolean";
const isNumber = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value);
const isKeep = (value: unknown): boolean => isFlag(value) || isNumber(value) || isFlat(value);

/** Returns whether an id is valid for BullMQ as it is. BullMQ refuses numbers, and most ids with a colon. */
function isPlainId(id: unknown): boolean {
  return (
    typeof id === "string" && id.isWellFormed() && !id.includes(":") && String(Number.parseInt(id, 10)) !== id
  );
}

/** Returns whether a value is an object of strings, numbers and booleans. */
function isFlat(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every(
    (each) => (typeof each === "string" && each.isWellFormed()) || isFlag(each) || isNumber(each),
  );
}

/** The options of plain jobs, each with the test that its value has to pass. */
const PLAIN: Readonly<Record<string, (value: unknown) => boolean>> = {
  attempts: isCount,
  backoff: (value) => isNumber(value) || (isFlat(value) && !Object.hasOwn(Object(value), "jitter")),
  delay: isCount,
  jobId: isPlainId,
  keepLogs: isCount,
  lifo: isFlag,
  priority: (value) => isCount(value) && Number(value) <= MAX_PRIORITY,
  removeOnComplete: isKeep,
  removeOnFail: isKeep,
  stackTraceLimit: isCount,
  timestamp: (value) => isCount(value) && value !== 0,
};

/**
 * Returns the values of the add script for a plain job; undefined for a job that BullMQ's own code has to check and add,
 * such as a child, a deduplicated job, or one with an option that the driver does not know.
 *
 * @param now the time of a job without a time of its own, in milliseconds of the epoch.
 */
export function plainValues(
  { name, data, opts }: NewJob,
  defaults: JobsOptions,
  now: number,
): (string | number)[] | undefined {
  const stored: Record<string, unknown> = { attempts: 0 };
  for (const [key, value] of Object.entries({ ...defaults, ...opts, jobId: opts.jobId })) {
    if (value === undefined) {
      // An explicit undefined replaces a default, and BullMQ does not store it.
      if (key === "attempts") delete stored["attempts"];
      continue;
    }
    if (PLAIN[key]?.(value) !== true) return undefined;
    stored[SHORT_NAMES[key] ?? key] = value;
  }
  const { backoff } = stored;
  if (typeof backoff === "number") stored["backoff"] = { type: "fixed", delay: backoff };
  const { delay, priority, lifo, timestamp, jobId } = { ...defaults, ...opts, jobId: opts.jobId };
  const json: string | undefined = JSON.stringify(data);
  if (json === undefined || JSON.stringify(stored).includes(ID_IN_JSON)) return undefined;
  if (jobId !== undefined && SIMPLE_ID.test(jobId)) stored["jobId"] = ID;
  const common = [jobId ?? "", name, json, JSON.stringify(stored), timestamp ?? now];
  if (delay !== undefined && delay > 0) return ["d", ...common, delay, priority ?? 0];
  if (priority !== undefined && priority > 0) return ["p", ...common, 0, priority];
  return [lifo === true ? "l" : "f", ...common];
}
