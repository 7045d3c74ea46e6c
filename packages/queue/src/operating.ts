// The parts that a tool for operators needs beside the users' API: where a lane is stored, how to read a record, and
// each operator function. TaskQueue, the command line, the HTTP API and the live page all call these.
export { laneOfJobId, laneQueueName, lanes, publicId } from "./contract/lane.ts";
export { LaneQueues } from "./operate/lane-queues.ts";
export { cancelStored, terminateStored } from "./operate/cancel.ts";
export { CLEANED_STATES, cleanJobs } from "./operate/clean.ts";
export { readActivity } from "./operate/activity.ts";
export { countJobs, oldestWait } from "./operate/counts.ts";
export { drainQueue } from "./operate/drain.ts";
export { jobState, jobStates } from "./operate/job-states.ts";
export { limitRate, readRateLimit } from "./operate/limits.ts";
export { readTaskLimits } from "./operate/task-limits.ts";
export { pauseQueue, resumeQueue } from "./operate/pause.ts";
export { promoteStored } from "./operate/promote.ts";
export {
  pauseSchedule,
  readSchedules,
  removeSchedule,
  runSchedule,
  scheduleRecord,
} from "./operate/schedules.ts";
export { failureKey, nameOfError } from "./operate/failure-key.ts";
export { FailureGroups, groupedFailures, readFailures, withArguments } from "./operate/failures.ts";
export { removeStored } from "./operate/remove.ts";
export { readSnapshot } from "./operate/job-snapshot.ts";
export { LISTING_LIMITS, listJobs } from "./operate/list-jobs.ts";
export { findJob, readJob } from "./operate/read-job.ts";
export { logPage } from "./operate/read-logs.ts";
export { pages } from "./operate/pages.ts";
export { retryFailed, retryStored } from "./operate/retry.ts";
export { silenceUnserved } from "./client/unserved-warning.ts";
export { allQueues, unservedReason, whyNotServed } from "./operate/serving.ts";
export { WireError } from "./wire/wire-error.ts";
export { outcomeOf } from "./wire/outcome.ts";
export { decodeError, decodeValue } from "./wire/decode.ts";
export { storableText } from "./wire/plain-text.ts";
export { openShards } from "./engines/open-shards.ts";
export { embeddedFolder } from "./engines/sqlite/embedded-url.ts";
export { isEngineFull } from "./contract/engine-full.ts";
export { withoutPassword, withoutPasswords } from "./contract/without-password.ts";

export type { Activity, ActivityPoint, ActivityQuery, Percentiles } from "./operate/activity.ts";
export type { CleanPage, CleanQuery, CleanedState } from "./operate/clean.ts";
export type { FailedJob, FailureGroup, FailurePage } from "./operate/failures.ts";
export type { FailedRun, JobSnapshot, JobState } from "./operate/job-snapshot.ts";
export type { JobPage, JobQuery } from "./operate/list-jobs.ts";
export type { JobRecord, StoredText } from "./contract/job-record.ts";
export type { JobPlace } from "./operate/read-job.ts";
export type { RateLimit } from "./operate/limits.ts";
export type { LimitedBy, PlacedTaskLimit, TaskLimit } from "./operate/task-limits.ts";
export type { RetryPage, RetryQuery } from "./operate/retry.ts";
export type { PlacedSchedule, ScheduleRecord } from "./operate/schedules.ts";
export type { ShardAdmin, ShardReport, ShardsReport } from "./contract/shards-report.ts";
export type { ServingWorker } from "./contract/serving.ts";
export type { FinishedRecord, Outcome } from "./wire/outcome.ts";
export type { JobData } from "./wire/job-data.ts";
