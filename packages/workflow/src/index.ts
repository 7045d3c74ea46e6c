export { defineWorkflow } from "./define-workflow.ts";
export { isWorkflowDefinition } from "./definition/workflow-definition.ts";
export { step, submit } from "./authoring/step.ts";
export { defineSignal } from "./authoring/signals.ts";
export { defineUpdate, onUpdate } from "./authoring/updates.ts";
export { defineView } from "./authoring/views.ts";
export { now, random, uuid } from "./authoring/unrecorded.ts";
export { continueAs, patched } from "./authoring/versions.ts";
export { undoing } from "./authoring/undoing.ts";
export { currentRun } from "./authoring/current-run.ts";
export { workflowRun, WorkflowRun } from "./client/workflow-run.ts";
export type { SendOptions } from "./client/workflow-run.ts";
export { checkHistories, runs, treeOf } from "./client/runs.ts";
export {
  HistoryFullError,
  ReplayDivergedError,
  RunEndedError,
  RunFullError,
  RunUnknownError,
  StepInterruptedError,
  UndoFailedError,
  WorkflowError,
  WorkflowOptionsError,
  WorkflowUsageError,
} from "./errors.ts";

export type {
  ResolvedWorkflowOptions,
  WorkflowDefinition,
  WorkflowOptions,
} from "./definition/workflow-definition.ts";
export type { Caller, ResultOf } from "./authoring/step.ts";
export type { SignalDefinition } from "./authoring/signals.ts";
export type { UpdateDefinition } from "./authoring/updates.ts";
export type { ViewDefinition } from "./authoring/views.ts";
export type { CurrentRun } from "./authoring/current-run.ts";
export type { Undo } from "./authoring/undoing.ts";
export type { StepOptions, ChildOptions } from "./run/host.ts";
export type { DivergedRun, HistoryCheck } from "./operate/check-runs.ts";
export type { HistoryCommand, HistoryDelivery, HistoryTick } from "./operate/history.ts";
export type { RunPage, RunQuery } from "./operate/list-runs.ts";
export type { RunSnapshot, RunState } from "./operate/read-run.ts";
export type { PendingCall, RunTask, RunTree } from "./operate/run-tree.ts";
