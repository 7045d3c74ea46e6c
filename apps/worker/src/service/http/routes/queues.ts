import type { ActivityQuery, RateLimit } from "@taskloom/queue/operating";
import type { FastifyInstance } from "fastify";
import type { CleanSearch, LimitSearch, Operations } from "../../../operations/operations.ts";
import {
  activitySchema,
  cleanedSchema,
  drainedSchema,
  limitsSchema,
  queuesSchema,
} from "../answer-schemas.ts";
import { answers, nothing } from "../answers.ts";
import {
  activityQuery,
  cleanBody,
  drainBody,
  limitBody,
  limitsQuery,
  nameParams,
  pauseBody,
} from "../schemas.ts";
import type { InQueue } from "../schemas.ts";
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

  app.get<{ Querystring: ActivityQuery & InQueue }>(
    "/activity",
    {
      schema: {
        summary:
          "Ends, waits, run times and depth of one queue, or of all, in spans of 10 s (the last hour), 5 min (a day) or 1 h (14 days).",
        tags: ["queues"],
        querystring: activityQuery,
        response: answers({ 200: activitySchema }, 404),
      },
    },
    ({ query }) => lists.take(() => operations.activity(query)),
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

  app.put<{ Params: { readonly name: string }; Body: RateLimit }>(
    "/queues/:name/limit",
    {
      schema: {
        summary: "Limits the jobs that each lane of a queue starts in a time, on all workers together.",
        tags: ["queues"],
        params: nameParams,
        body: limitBody,
        response: answers({ 204: nothing }, 404, 413, 414, 415, 507),
      },
    },
    async ({ params, body }, reply) => {
      await operations.limit(params.name, body);
      return await reply.status(204).send();
    },
  );

  app.delete<{ Params: { readonly name: string } }>(
    "/queues/:name/limit",
    {
      schema: {
        summary: "Lifts the rate limit of a queue.",
        tags: ["queues"],
        params: nameParams,
        response: answers({ 204: nothing }, 404, 414),
      },
    },
    async ({ params }, reply) => {
      await operations.limit(params.name, undefined);
      return await reply.status(204).send();
    },
  );

  app.get<{ Querystring: LimitSearch }>(
    "/limits",
    {
      schema: {
        summary:
          "The rate limits of queues, and the limits of tasks in use with their taken slots and waiting jobs.",
        tags: ["queues"],
        querystring: limitsQuery,
        response: answers({ 200: limitsSchema }, 404),
      },
    },
    ({ query }) => lists.take(() => operations.limits(query)),
  );

  app.post<{ Params: { readonly name: string }; Body: { readonly delayed?: boolean } | null }>(
    "/queues/:name/drain",
    {
      schema: {
        summary: "Cancels the waiting jobs of a queue, and with delayed the delayed ones, too.",
        tags: ["queues"],
        params: nameParams,
        body: drainBody,
        response: answers({ 200: drainedSchema }, 404, 413, 414, 415, 507),
      },
    },
    async ({ params, body }) => ({
      drained: await operations.drain(params.name, { delayed: body?.delayed === true }),
    }),
  );

  app.post<{ Params: { readonly name: string }; Body: CleanSearch }>(
    "/queues/:name/clean",
    {
      schema: {
        summary: "Removes up to 1,000 jobs of one state, the oldest first; next continues with the others.",
        tags: ["queues"],
        params: nameParams,
        body: cleanBody,
        response: answers({ 200: cleanedSchema }, 404, 413, 414, 415, 507),
      },
    },
    ({ params, body }) => lists.take(() => operations.clean(params.name, body)),
  );
}
