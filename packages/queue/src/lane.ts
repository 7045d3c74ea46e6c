// The parts that a package needs whose task definitions bring a lane of their own, such as @taskloom/workflow: the seam of
// the lane, the wire, the repetition of commands, and submissions from inside a run.
export { jobLeft, laneRunner } from "./worker/lane-runner.ts";
export { defineLaneTask } from "./worker/define-lane-task.ts";
export { runAsJob } from "./worker/current-job.ts";
export { runInSubmissionContext } from "./worker/submission-context.ts";
export { idInRun } from "./client/id-in-run.ts";
export { RunJobs } from "./client/run-jobs.ts";
export { EarlyCancels } from "./worker/early-cancels.ts";
export { ReportedIds } from "./worker/reported-ids.ts";
export { JobLog } from "./worker/job-log.ts";
export { notifyListener } from "./worker/notify-listener.ts";
export { backoffDelay } from "./definition/backoff.ts";
export { checkArguments } from "./definition/check-arguments.ts";
export { workerOfToken } from "./contract/cancellation.ts";
export { cancelStored, terminateStored } from "./operate/cancel.ts";
export { endItem } from "./operate/deliver-end.ts";
export { LaneQueues } from "./operate/lane-queues.ts";
export { jobId, laneOfJobId, laneQueueName, publicId, storedId } from "./contract/lane.ts";
export { isConnectionLost, pauseBeforeRepeat, untilAnswered, untilDone } from "./contract/transient.ts";
export { JOURNAL_PAGE, MAX_PARKED_MS, MAX_UNREAD } from "./contract/run-journal.ts";
export { decodeError, decodeValue } from "./wire/decode.ts";
export { encodeError, encodeValue } from "./wire/encode.ts";
export { StoredFailure, cancelledEnvelope, openOutcome, outcomeOf } from "./wire/outcome.ts";
export { storableText } from "./wire/plain-text.ts";
export { WireError } from "./wire/wire-error.ts";
export { TaskloomQueueError } from "./errors.ts";

export type { AdmittedJob, Admission } from "./worker/job-admission.ts";
export type {
  LaneContext,
  LaneRunner,
  LaneRunnerFactory,
  LaneTaskDefinition,
  RunCounts,
} from "./worker/lane-runner.ts";
export type { LaneTaskOptions } from "./worker/define-lane-task.ts";
export type { Step, StepRunner } from "./worker/step-runner.ts";
export type { RunJob } from "./client/run-jobs.ts";
export type { RunWarning } from "./worker/job-events.ts";
export type { PlaceInRun } from "./client/id-in-run.ts";
export type { CancelResult } from "./operate/cancel.ts";
export type { CancelRequest } from "./contract/cancellation.ts";
export type { Engine } from "./contract/engine.ts";
export type { WorkerLane } from "./contract/engine-worker.ts";
export type {
  AppendAnswer,
  Continuation,
  DeliverAnswer,
  Delivery,
  OpenedRun,
  ParkAnswer,
  RunAppend,
  RunHead,
  RunJournal,
  RunPlace,
} from "./contract/run-journal.ts";
export type { BullJob } from "./contract/lane-queue.ts";
export type { Lane } from "./contract/lane.ts";
export type { RunnableTask, TaskDefinition } from "./definition/define-task.ts";
export type { CurrentJob } from "./worker/current-job.ts";
export type { WorkerListeners } from "./worker/job-events.ts";
export type { OutcomeReplies } from "./worker/outcome-replies.ts";
export type { ContinuedRun, JobData, ParentRun } from "./wire/job-data.ts";
export type { Outcome } from "./wire/outcome.ts";
