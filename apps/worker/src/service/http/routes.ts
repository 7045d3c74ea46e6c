import type { FastifyInstance } from "fastify";
import type { Operations } from "../operations.ts";
import { addJobRoutes } from "./job-routes.ts";
import { addQueueRoutes } from "./queue-routes.ts";
import { addWorkerRoutes } from "./worker-routes.ts";
import { Turns } from "./turns.ts";
import type { Waits } from "./waits.ts";

/** So many of the requests that read many jobs run at once. */
const searchesAtOnce = 2;

/** The API of the service; every route does one operation. */
export function addRoutes(app: FastifyInstance, operations: Operations, waits: Waits): void {
  addJobRoutes(app, operations, waits, new Turns(searchesAtOnce));
  addQueueRoutes(app, operations);
  addWorkerRoutes(app, operations);
}
