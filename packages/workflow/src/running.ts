// The parts that a worker needs to run durable coroutines: the run, its host's interface, and the journal's format.
export { DurableRun } from "./run/durable-run.ts";
export { checkReplay } from "./run/check-replay.ts";
export { decodeEntry } from "./journal/entry.ts";
export { DEFAULT_BOUNDS } from "./journal/bounds.ts";

export type { Recorded } from "./run/check-replay.ts";
export type { DurableRunOptions } from "./run/durable-run.ts";
export type { EncodedOutcome, JobStart, RunEnd, RunHost, StepStart, TickResult } from "./run/host.ts";
export type { CommandRecord, Delivery, DeliveryRecord, EndRecord, Entry } from "./journal/entry.ts";
export type { HistoryBounds } from "./journal/bounds.ts";
