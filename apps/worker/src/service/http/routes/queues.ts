import type { FastifyInstance } from "fastify";
import type { Operations, ScheduleRequest } from "../../../operations/operations.ts";
import { queuesSchema, schedulesSchema } from "../answer-schemas.ts";
import { answers, nothing } from "../answers.ts";
import { idParams, nameParams, pauseBody, queueQuery, scheduleBody } from "../schemas.ts";
import type { Id, InQueue } from "../schemas.ts";
import type { Turns } from "../turns.ts";

/** Shows and pauses queues, and sets schedules. */
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
        summary: "Pauses a queue, or lets workers take from it again.",
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

  app.get<{ Querystring: InQueue }>(
    "/schedules",
    {
      schema: {
        summary: "Tasks that are submitted again and again.",
        tags: ["schedules"],
        querystring: queueQuery,
        response: answers({ 200: schedulesSchema }, 404),
      },
    },
    ({ query }) => lists.take(() => operations.schedules(query.queue)),
  );

  app.put<{ Params: Id; Body: ScheduleRequest }>(
    "/schedules/:id",
    {
      schema: {
        summary: "Sets a schedule: by cron or every so many milliseconds.",
        tags: ["schedules"],
        params: idParams,
        body: scheduleBody,
        response: answers({ 204: nothing }, 404, 413, 414, 415, 422, 507),
      },
    },
    async ({ params, body }, reply) => {
      await operations.schedule(params.id, body);
      return await reply.status(204).send();
    },
  );

  app.delete<{ Params: Id; Querystring: InQueue }>(
    "/schedules/:id",
    {
      schema: {
        summary: "Ends a schedule; the jobs that it has submitted stay.",
        tags: ["schedules"],
        params: idParams,
        querystring: queueQuery,
        response: answers({ 204: nothing }, 404, 414),
      },
    },
    async ({ params, query }, reply) => {
      await operations.unschedule(params.id, query.queue);
      return await reply.status(204).send();
    },
  );
}
