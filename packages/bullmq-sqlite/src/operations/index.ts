import type { Store } from "../thread/store.ts";
import { type NewJob, addFlow, addJob, addJobs } from "./add.ts";
import { type Claim, moveToActive } from "./claim.ts";
import * as details from "./details.ts";
import * as events from "./events.ts";
import { type End, moveToCompleted, moveToFailed } from "./finish.ts";
import { getMetrics } from "./metrics.ts";
import * as move from "./move.ts";
import * as queries from "./queries.ts";
import * as remove from "./remove.ts";
import * as schedulers from "./schedulers.ts";
import { runStatements } from "./statements.ts";

/**
 * Every operation of the database thread by its name. The first parameter is the store; the others are what the main
 * thread sends, so they are values that structured clone carries.
 */
export const operations = {
  addJob: (store: Store, job: NewJob) => addJob(store, job),
  addJobs: (store: Store, jobs: readonly NewJob[]) => addJobs(store, jobs),
  addFlow: (store: Store, jobs: readonly NewJob[]) => addFlow(store, jobs),
  moveToActive: (store: Store, queue: string, claim: Claim) => moveToActive(store, queue, claim),
  moveToCompleted: (store: Store, queue: string, end: End, value: string) =>
    moveToCompleted(store, queue, end, value),
  moveToFailed: (store: Store, queue: string, end: End, reason: string, stacktrace: string | null) =>
    moveToFailed(store, queue, end, reason, stacktrace),
  ...move,
  ...remove,
  ...queries,
  ...details,
  ...events,
  ...schedulers,
  getMetrics,
  runStatements,
} as const;

/** The names of the operations. */
export type OperationName = keyof typeof operations;

type Rest<F> = F extends (store: Store, ...rest: infer R) => unknown ? R : never;
/** What an operation takes beside the store. */
export type OperationArgs<N extends OperationName> = Rest<(typeof operations)[N]>;
/** What an operation returns. */
export type OperationResult<N extends OperationName> = ReturnType<(typeof operations)[N]>;
