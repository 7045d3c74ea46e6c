/** The loops of durable coroutines. For the packages of Taskloom; no part of the interface that users call. */
export { DrivenLoop } from "./event-loop/driven-loop.ts";
export { DurableLoop } from "./event-loop/durable-loop.ts";
export { describeDeadlock } from "./diagnosis/deadlock.ts";
