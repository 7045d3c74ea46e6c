export { reportProgress, checkCancelled, threadSignal } from "./thread-call.ts";
export { captureContext, propagate, runInContext } from "./context.ts";
export {
  NotSelfContainedError,
  NotThreadableError,
  PoolClosedError,
  ThreadDiedError,
  ThreadRecursionError,
  TransferError,
  UncloneableError,
} from "./errors.ts";
export { ThreadPoolExecutor } from "./executor.ts";
export { functionAddress } from "./function-ref.ts";
export { ThreadMap } from "./thread-map.ts";
export { ThreadStream } from "./thread-stream.ts";
export { threaded } from "./threaded.ts";
export { threadObject } from "./thread-object.ts";
export { toThread } from "./to-thread.ts";
export { transfer } from "./transfer.ts";

export type { Propagated } from "./context.ts";
export type { ThreadDeath } from "./errors.ts";
export type {
  CallOptions,
  Resolved,
  Streamed,
  StreamFrom,
  Submit,
  Submitter,
  ThreadedFunction,
  ThreadPoolOptions,
} from "./executor.ts";
export type { Address } from "./function-ref.ts";
export type { PoolStats } from "./pool.ts";
export type { ThreadOptions } from "./supervisor.ts";
export type { Threaded } from "./threaded.ts";
export type { ThreadObject, ThreadObjectOptions } from "./thread-object.ts";
export type { ToThread } from "./to-thread.ts";

/** The version of this package. */
export const version = "0.1.0";
