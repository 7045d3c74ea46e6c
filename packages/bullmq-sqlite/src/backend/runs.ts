import type { KeepJobs } from "bullmq";
import type { Claim } from "../operations/claim.ts";
import type { End, Keep } from "../operations/finish.ts";
import type { AttemptFailure } from "../operations/move.ts";
import { DEFAULT_LOCK_MS } from "./options.ts";
import type { BackendOptions } from "./options.ts";

/** BullMQ's retention option: true removes the job, a number or an object keeps the last jobs. */
export type Retention = boolean | number | KeepJobs | undefined;

/** Returns the terms on which a worker takes its next job. */
export function claimOf(options: BackendOptions, token: string, workerName: string | undefined): Claim {
  const { lockDuration, limiter } = options;
  return {
    token,
    lockDuration: lockDuration ?? DEFAULT_LOCK_MS,
    now: Date.now(),
    workerName: workerName ?? null,
    limiterMax: limiter?.max ?? null,
    limiterDuration: limiter?.duration ?? null,
  };
}

/** Returns the end of a run that ends now. With `fetchNext` the worker takes its next job in the same turn. */
export function endOf(
  options: BackendOptions,
  id: string,
  token: string,
  retention: Retention,
  fetchNext: boolean,
): End {
  return {
    id,
    token,
    finishedOn: Date.now(),
    keep: keepOf(retention),
    metrics: options.metrics?.maxDataPoints,
    next: fetchNext ? claimOf(options, token, options.name) : undefined,
  };
}

/** Returns a retention as the database thread applies it. */
export function keepOf(retention: Retention): Keep {
  if (retention === true) return { removeAll: true, age: null, count: null };
  if (typeof retention === "number") return { removeAll: false, age: null, count: retention };
  const { age, count }: { age?: number; count?: number } = typeof retention === "object" ? retention : {};
  return { removeAll: false, age: age ?? null, count: count ?? null };
}

/** The fields of a job that BullMQ updates after a failed attempt. */
export interface FailureFields {
  readonly failedReason?: string;
  /** JSON. */
  readonly stacktrace?: string;
}

/** Returns the failure of an attempt, which is stored with the job until its next attempt. */
export function failureOf(fields: FailureFields = {}): AttemptFailure {
  return { reason: fields.failedReason ?? null, stacktrace: fields.stacktrace ?? null };
}
