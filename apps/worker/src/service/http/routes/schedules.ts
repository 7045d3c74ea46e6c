import type { FastifyInstance } from "fastify";
import type { Operations, ScheduleRequest } from "../../../operations/operations.ts";
import { idSchema, schedulesSchema } from "../answer-schemas.ts";
import { answers, nothing } from "../answers.ts";
import { idParams, pauseBody, queueQuery, scheduleBody } from "../schemas.ts";
import type { Id, InQueue } from "../schemas.ts";
import type { Turns } from "../turns.ts";

/** Adds the routes of schedules. */
export function addScheduleRoutes(app: FastifyInstance, operations: Operations, lists: Turns): void {
  app.get<{ Querystring: InQueue }>(
    "/schedules",
    {
      schema: {
        summary: "The schedules.",
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
        summary: "Sets a schedule, by a cron pattern or by an interval in milliseconds.",
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

  app.post<{ Params: Id; Querystring: InQueue }>(
    "/schedules/:id/run",
    {
      schema: {
        summary: "Runs a schedule once more now, in addition to its times.",
        tags: ["schedules"],
        params: idParams,
        querystring: queueQuery,
        response: answers({ 201: idSchema }, 404, 414, 507),
      },
    },
    async ({ params, query }, reply) => {
      const id = await operations.runNow(params.id, query.queue);
      return await reply.status(201).send({ id });
    },
  );

  app.put<{ Params: Id; Querystring: InQueue; Body: { readonly paused: boolean } }>(
    "/schedules/:id/paused",
    {
      schema: {
        summary: "Pauses a schedule, or lets it go on. A schedule that is stored again stays paused.",
        tags: ["schedules"],
        params: idParams,
        querystring: queueQuery,
        body: pauseBody,
        response: answers({ 204: nothing }, 404, 413, 414, 415, 507),
      },
    },
    async ({ params, query, body }, reply) => {
      await operations.pauseSchedule(params.id, body.paused, query.queue);
      return await reply.status(204).send();
    },
  );

  app.delete<{ Params: Id; Querystring: InQueue }>(
    "/schedules/:id",
    {
      schema: {
        summary: "Removes a schedule. The jobs that it has submitted stay.",
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
