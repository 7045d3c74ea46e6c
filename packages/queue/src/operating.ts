// What a tool that operates queues needs beside their users' API: where a lane is stored, and how to read a record.
export { laneOfJobId, laneQueueName, lanes } from "./lane.ts";
export { outcomeOf } from "./wire/outcome.ts";
export { decodeError, decodeValue } from "./wire/decode.ts";
export { isEngineFull } from "./engines/engine-full.ts";
export { readOwner } from "./engines/embedded/owner.ts";
export { withoutPassword } from "./engines/without-password.ts";

export type { FinishedRecord, Outcome } from "./wire/outcome.ts";
export type { Owner } from "./engines/embedded/owner.ts";
export type { JobData } from "./wire/job-data.ts";
