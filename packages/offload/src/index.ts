import { deprecate } from "node:util";
import { capturePropagated } from "./boundary/context.ts";
import type { Propagated } from "./boundary/context.ts";

export { capturePropagated, propagate, runInContext } from "./boundary/context.ts";
export { functionAddress } from "./boundary/function-address.ts";
export { checkCancelled, reportProgress, threadSignal } from "./boundary/thread-call.ts";
export { transfer } from "./boundary/transfer.ts";
export { ThreadMap } from "./calls/thread-map.ts";
export { ThreadStream } from "./calls/thread-stream.ts";
export {
  NotSelfContainedError,
  NotThreadableError,
  PoolClosedError,
  ThreadDiedError,
  ThreadRecursionError,
  TransferError,
  UncloneableError,
} from "./errors.ts";
export { ThreadPoolExecutor } from "./executor/executor.ts";
export { threadObject } from "./executor/thread-object.ts";
export { threaded } from "./executor/threaded.ts";
export { toThread } from "./executor/to-thread.ts";

export type { Propagated } from "./boundary/context.ts";
export type { Address } from "./boundary/function-address.ts";
export type { CallOptions } from "./calls/call-options.ts";
export type {
  Resolved,
  Streamed,
  StreamFrom,
  Submit,
  Submitter,
  ThreadedFunction,
} from "./calls/signatures.ts";
export type { ThreadDeath } from "./errors.ts";
export type { ThreadPoolOptions } from "./executor/pool-options.ts";
export type { ThreadObject, ThreadObjectOptions } from "./executor/thread-object.ts";
export type { Threaded } from "./executor/threaded.ts";
export type { ToThread } from "./executor/to-thread.ts";
export type { PoolStats } from "./pool/pool-stats.ts";
export type { TimeSummary } from "./pool/time-histogram.ts";
export type { ThreadOptions } from "./pool/supervisor.ts";

/** @deprecated The name of {@link capturePropagated} until version 0.1. */
export const captureContext: () => Propagated | undefined = deprecate(
  capturePropagated,
  "captureContext of @taskloom/offload is now called capturePropagated",
  "TASKLOOM_CAPTURE_CONTEXT",
);

/** The version of this package. */
export const version: string = "0.1.0";
