import type { FastifyInstance } from "fastify";
import type { Operations } from "../../../operations/operations.ts";
import { Turns } from "../turns.ts";
import type { Waits } from "../waits.ts";
import { addFailureRoutes } from "./failed.ts";
import { addJobRoutes } from "./jobs.ts";
import { addQueueRoutes } from "./queues.ts";
import { addRunRoutes } from "./runs.ts";
import { addScheduleRoutes } from "./schedules.ts";
import { addShardRoutes } from "./shards.ts";
import { addTaskRoutes } from "./tasks.ts";
import { addWorkerRoutes } from "./workers.ts";

/** The requests that search jobs at once. */
const SEARCHES_AT_ONCE = 2;
/** The requests that read other lists at once. */
const LISTS_AT_ONCE = 4;

/** Adds the API of the service. Every route does one operation. */
export function addRoutes(app: FastifyInstance, operations: Operations, waits: Waits): void {
  // The lists of the live page have turns of their own, so they do not wait for searches.
  const searches = new Turns(SEARCHES_AT_ONCE);
  const lists = new Turns(LISTS_AT_ONCE);
  addTaskRoutes(app, operations, waits);
  addJobRoutes(app, operations, waits, { searches, lists });
  addRunRoutes(app, operations.runs, waits, { searches, lists });
  addFailureRoutes(app, operations, searches);
  addQueueRoutes(app, operations, lists);
  addScheduleRoutes(app, operations, lists);
  addWorkerRoutes(app, operations, lists);
  addShardRoutes(app, operations, lists);
}
