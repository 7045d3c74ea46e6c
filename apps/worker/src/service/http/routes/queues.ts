import type { FastifyInstance } from "fastify";
import type { Operations } from "../../../operations/operations.ts";
import { queuesSchema } from "../answer-schemas.ts";
import { answers, nothing } from "../answers.ts";
import { nameParams, pauseBody } from "../schemas.ts";
import type { Turns } from "../turns.ts";

/** Adds the routes of queues. */
export function addQueueRoutes(app: FastifyInstance, operations: Operations, lists: Turns): void {
  app.get(
    "/queues",
    {
      schema: {
        summary: "Jobs by queue, lane and state.",
        tags: ["queues"],
        response: answers({ 200: queuesSchema }),
      },
    },
    () => lists.take(() => operations.queues()),
  );

  app.put<{ Params: { readonly name: string }; Body: { readonly paused: boolean } }>(
    "/queues/:name",
    {
      schema: {
        summary: "Pauses or resumes a queue.",
        tags: ["queues"],
        params: nameParams,
        body: pauseBody,
        response: answers({ 204: nothing }, 404, 413, 414, 415),
      },
    },
    async ({ params, body }, reply) => {
      await operations.pause(params.name, body.paused);
      return await reply.status(204).send();
    },
  );
}
