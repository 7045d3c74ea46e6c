// The parts that a tool for operators needs beside the users' API. The command line and the HTTP API call these.
export { checkRuns } from "./operate/check-runs.ts";
export { DECODED, ENCODED, historyTick } from "./operate/history.ts";
export { listRuns } from "./operate/list-runs.ts";
export { readLogPage } from "./operate/read-log.ts";
export { readRun } from "./operate/read-run.ts";
export { runAddress } from "./operate/run-address.ts";
export { treeOfLog } from "./operate/run-tree.ts";

export type { DivergedRun, HistoryCheck, HistorySource } from "./operate/check-runs.ts";
export type { HistoryCommand, HistoryDelivery, HistoryTick } from "./operate/history.ts";
export type { RunPage, RunQuery } from "./operate/list-runs.ts";
export type { RunSnapshot, RunState } from "./operate/read-run.ts";
export type { PendingCall, RunTask, RunTree } from "./operate/run-tree.ts";
