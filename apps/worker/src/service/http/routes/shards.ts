import type { FastifyInstance } from "fastify";
import type { Operations } from "../../../operations/operations.ts";
import { shardsSchema } from "../answer-schemas.ts";
import { answers } from "../answers.ts";
import type { Turns } from "../turns.ts";

/** Adds the route of the shards. */
export function addShardRoutes(app: FastifyInstance, operations: Operations, lists: Turns): void {
  app.get(
    "/shards",
    {
      schema: {
        summary:
          "The shards of the engine, and the progress of a change of their number, read every 5 s or less often.",
        tags: ["queues"],
        response: answers({ 200: shardsSchema }),
      },
    },
    () => lists.take(() => operations.shards()),
  );
}
