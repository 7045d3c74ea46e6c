export { defineTask, isTaskDefinition } from "./definition/define-task.ts";
export { defineProgress } from "./definition/progress.ts";
export { call } from "./client/flow.ts";
export { RemoteMap } from "./client/remote-map.ts";
export { RemoteTask } from "./client/remote-task.ts";
export { EventStream } from "./client/event-stream.ts";
export { TaskQueue } from "./client/task-queue.ts";
export { failedAttempt } from "./wire/failed-attempt.ts";
export { currentJob } from "./worker/current-job.ts";
export { TaskWorker } from "./worker/task-worker.ts";
export { WireError } from "./wire/wire-error.ts";
export { EmbeddedDatabaseError } from "./engines/sqlite/embedded-error.ts";
export { propagate } from "@taskloom/offload/context";
export { reportProgress } from "@taskloom/loop";
export { openEngine } from "./engines/open-engine.ts";
export {
  EngineFullError,
  EngineUnavailableError,
  EngineUnsupportedError,
  EngineUrlError,
  FlowChildFailedError,
  JobLostError,
  QueueClosedError,
  ShardDownError,
  ShardsDifferError,
  TaskArgumentsError,
  TaskOptionsError,
  TaskloomQueueError,
  UnrecoverableError,
  WorkerDiedError,
} from "./errors.ts";

export type { Backoff, BackoffFunction } from "./definition/backoff.ts";
export type { ConcurrencyLimit, LimitKey, ResolvedLimit, StartLimit } from "./definition/limits.ts";
export type { Progress } from "./definition/progress.ts";
export type { ResolvedTaskOptions, TaskDefinition, TaskOptions } from "./definition/define-task.ts";
export type { CleanQuery, CleanedState } from "./operate/clean.ts";
export type { JobSummary } from "./operate/job-states.ts";
export type { EventOptions, QueueEvent } from "./client/event-stream.ts";
export type { RemoteTaskState } from "./client/remote-task.ts";
export type { FailedJob, FailureGroup } from "./operate/failures.ts";
export type { FlowOptions, FlowTask, TaskCall } from "./client/flow.ts";
export type { RemoteMapOptions, Settled } from "./client/remote-map.ts";
export type { QueueCounts } from "./operate/counts.ts";
export type { RateLimit } from "./operate/limits.ts";
export type { PlacedTaskLimit, TaskLimit } from "./operate/task-limits.ts";
export type { When } from "./operate/schedule-times.ts";
export type { Schedule } from "./client/schedules.ts";
export type { Deduplicate, SubmitOptions } from "./client/submit-options.ts";
export type { MapItem, Submitter, TaskQueueOptions } from "./client/task-queue.ts";
export type { FailedAttempt } from "./wire/failed-attempt.ts";
export type { CurrentJob } from "./worker/current-job.ts";
export type { JobEvent, JobStart, StepEvent, WorkerListeners } from "./worker/job-events.ts";
export type { TaskWorkerOptions, WorkerStats } from "./worker/task-worker.ts";
export type { LoopStall, Stall } from "./locks/lock-renewal.ts";
export type { EmbeddedErrorCode } from "./engines/sqlite/embedded-error.ts";
export type { Engine } from "./contract/engine.ts";
export type { Lane } from "./contract/lane.ts";
