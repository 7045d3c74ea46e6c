import { Readable } from "node:stream";
import type { FastifyInstance } from "fastify";
import type { JobSearch, Operations } from "../../../operations/operations.ts";
import { eventsSchema, jobPageSchema, jobSchema, logsSchema } from "../answer-schemas.ts";
import { answers, nothing } from "../answers.ts";
import { jobEvents } from "../job-events.ts";
import { cancelQuery, idParams, logsQuery, queueQuery, searchQuery, waitQuery } from "../schemas.ts";
import type { Id, InQueue, WaitQuery } from "../schemas.ts";
import type { Turns } from "../turns.ts";
import { waitForEnd } from "../wait-for-end.ts";
import type { Waits } from "../waits.ts";

/** Adds the routes of jobs: search, read, follow, cancel and retry. */
export function addJobRoutes(
  app: FastifyInstance,
  operations: Operations,
  waits: Waits,
  { searches, lists }: { readonly searches: Turns; readonly lists: Turns },
): void {
  addReads(app, operations, searches, lists);
  addWaits(app, operations, waits);
  addChanges(app, operations);
}

function addReads(app: FastifyInstance, operations: Operations, searches: Turns, lists: Turns): void {
  app.get<{ Querystring: JobSearch }>(
    "/jobs",
    {
      schema: {
        summary:
          "The newest jobs, by state, or by a text in id, name or arguments. One page reads a bounded number of bytes; next continues.",
        tags: ["jobs"],
        querystring: searchQuery,
        response: answers({ 200: jobPageSchema }, 404),
      },
    },
    ({ query }) => searches.take(() => operations.jobs(query)),
  );

  app.get<{ Params: Id; Querystring: InQueue & { readonly from: number } }>(
    "/jobs/:id/logs",
    {
      schema: {
        summary:
          "The log lines of a job, from line from on: about 1 MiB and 1,000 lines at most, and none at the end.",
        tags: ["jobs"],
        params: idParams,
        querystring: logsQuery,
        response: answers({ 200: logsSchema }, 404, 414),
      },
    },
    ({ params, query }) => lists.take(() => operations.logs(params.id, query.from, query.queue)),
  );
}

/** Adds the routes that can wait for the end of a job. */
function addWaits(app: FastifyInstance, operations: Operations, waits: Waits): void {
  app.get<{ Params: Id; Querystring: WaitQuery }>(
    "/jobs/:id",
    {
      schema: {
        summary: "One job; with wait, after its end.",
        tags: ["jobs"],
        params: idParams,
        querystring: waitQuery,
        response: answers({ 200: jobSchema }, 404, 414),
      },
    },
    async ({ params, query }, reply) => {
      if (query.wait === undefined) return await operations.job(params.id, query.queue);
      const wait = waits.enter(reply.raw);
      try {
        return await waitForEnd(operations, params.id, query.wait, query.queue, wait);
      } finally {
        wait.leave();
      }
    },
  );

  app.get<{ Params: Id; Querystring: InQueue }>(
    "/jobs/:id/events",
    {
      schema: {
        summary:
          "The progress, logs, states and result of a job as server-sent events; continues from Last-Event-ID.",
        tags: ["jobs"],
        params: idParams,
        querystring: queueQuery,
        response: answers({ 200: eventsSchema }, 404, 414),
      },
    },
    async ({ params, query, headers }, reply) => {
      const wait = waits.enter(reply.raw);
      try {
        await operations.job(params.id, query.queue); // An unknown job is answered with 404 and not with an empty stream.
      } catch (error) {
        wait.leave();
        throw error;
      }
      const last = headers["last-event-id"];
      const lastId = Array.isArray(last) ? last[0] : last;
      return await reply
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-store")
        .header("x-accel-buffering", "no")
        .send(Readable.from(jobEvents(operations, params.id, query.queue, lastId, wait)));
    },
  );
}

function addChanges(app: FastifyInstance, operations: Operations): void {
  app.delete<{ Params: Id; Querystring: InQueue & { readonly reason?: string } }>(
    "/jobs/:id",
    {
      schema: {
        summary: "Cancels a job in any state. The answer is the job after its end, or after two seconds.",
        tags: ["jobs"],
        params: idParams,
        querystring: cancelQuery,
        response: answers({ 200: jobSchema }, 404, 414),
      },
    },
    ({ params, query }) => operations.cancel(params.id, query.reason ?? "", query.queue),
  );

  const changes = {
    promote: "Lets a delayed job run now.",
    remove: "Removes a job that does not run. A waiting or delayed job is cancelled first.",
    retry: "Retries a failed job, with all of its attempts.",
  } as const;
  for (const change of ["promote", "remove", "retry"] as const) {
    app.post<{ Params: Id; Querystring: InQueue }>(
      `/jobs/:id/${change}`,
      {
        schema: {
          summary: changes[change],
          tags: ["jobs"],
          params: idParams,
          querystring: queueQuery,
          response: answers({ 204: nothing }, 404, 409, 414, 507),
        },
      },
      async ({ params, query }, reply) => {
        await operations[change](params.id, query.queue);
        return await reply.status(204).send();
      },
    );
  }
}
