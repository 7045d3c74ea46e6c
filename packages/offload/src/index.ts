export { reportProgress, checkCancelled, threadSignal } from "./boundary/thread-call.ts";
export { captureContext, propagate, runInContext } from "./boundary/context.ts";
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
export { functionAddress } from "./pool/function-ref.ts";
export { ThreadMap } from "./calls/thread-map.ts";
export { ThreadStream } from "./calls/thread-stream.ts";
export { threaded } from "./executor/threaded.ts";
export { threadObject } from "./executor/thread-object.ts";
export { toThread } from "./executor/to-thread.ts";
export { transfer } from "./boundary/transfer.ts";

export type { Propagated } from "./boundary/context.ts";
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
} from "./executor/executor.ts";
export type { Address } from "./pool/function-ref.ts";
export type { PoolStats } from "./pool/pool.ts";
export type { ThreadOptions } from "./pool/supervisor.ts";
export type { Threaded } from "./executor/threaded.ts";
export type { ThreadObject, ThreadObjectOptions } from "./executor/thread-object.ts";
export type { ToThread } from "./executor/to-thread.ts";

/** The version of this package. */
export const version = "0.1.0";
