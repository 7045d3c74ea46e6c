import type { LaneRunnerFactory } from "@taskloom/queue/lane";
import { WorkflowRunner } from "./workflow-runner.ts";

/** Opens the lane of durable coroutines for one queue of a worker. All workflows bring this one function. */
export const openLane: LaneRunnerFactory = (context) => new WorkflowRunner(context);
