import type { FastifyInstance } from "fastify";
import type { Operations } from "../../../operations/operations.ts";
import { addJobRoutes } from "./jobs.ts";
import { addQueueRoutes } from "./queues.ts";
import { addWorkerRoutes } from "./workers.ts";
import { Turns } from "../turns.ts";
import type { Waits } from "../waits.ts";

/** So many of the requests that read many jobs run at once, and so many of those that read many of anything else. */
const searchesAtOnce = 2;
const listsAtOnce = 4;

/** The API of the service; every route does one operation. */
export function addRoutes(app: FastifyInstance, operations: Operations, waits: Waits): void {
  // Two lines, so that the live page's lists do not wait for anybody's search.
  const lists = new Turns(listsAtOnce);
  addJobRoutes(app, operations, waits, { searches: new Turns(searchesAtOnce), lists });
  addQueueRoutes(app, operations, lists);
  addWorkerRoutes(app, operations, lists);
}
