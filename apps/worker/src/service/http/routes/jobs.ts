import { Readable } from "node:stream";
import { context, propagation } from "@opentelemetry/api";
import type { RetryQuery } from "@taskloom/queue/operating";
import type { FastifyInstance } from "fastify";
import type { JobSearch, Operations, SubmitRequest } from "../../../operations/operations.ts";
import {
  eventsSchema,
  failedPageSchema,
  jobPageSchema,
  jobSchema,
  logsSchema,
  retryPageSchema,
} from "../answer-schemas.ts";
import { answers, nothing } from "../answers.ts";
import { jobEvents } from "../job-events.ts";
import {
  cancelQuery,
  failedQuery,
  idParams,
  logsQuery,
  nameParams,
  queueQuery,
  retryBody,
  searchQuery,
  submitBody,
  waitQuery,
} from "../schemas.ts";
import type { Id, InQueue } from "../schemas.ts";
import type { Turns } from "../turns.ts";
import { waitForEnd } from "../wait-for-end.ts";
import type { Waits } from "../waits.ts";

interface Waiting extends InQueue {
  /** Seconds. */
  readonly wait?: number;
}

/** Submits, finds, shows, cancels and retries jobs. */
export function addJobRoutes(
  app: FastifyInstance,
  operations: Operations,
  waits: Waits,
  { searches, lists }: { readonly searches: Turns; readonly lists: Turns },
): void {
  app.post<{
    Params: { readonly name: string };
    Body: (SubmitRequest & { readonly args?: unknown[] }) | null;
    Querystring: Waiting;
  }>(
    "/tasks/:name",
    {
      schema: {
        summary: "Submits a call of a task. With wait, the answer is the job once it has ended.",
        tags: ["jobs"],
        params: nameParams,
        body: submitBody,
        querystring: waitQuery,
        response: answers({ 200: jobSchema, 201: jobSchema }, 404, 413, 414, 415, 422, 507),
      },
    },
    async ({ params, body, query, headers }, reply) => {
      const { args = [], ...request } = body ?? {};
      const queue = request.queue ?? query.queue;
      // Before the job is stored: a request that may not wait has submitted nothing.
      const wait = query.wait === undefined ? undefined : waits.enter(reply.raw);
      try {
        // The caller's trace goes on in the job.
        const trace = propagation.extract(context.active(), headers);
        const job = await context.with(trace, () =>
          operations.submit(params.name, args, { ...request, ...(queue === undefined ? {} : { queue }) }),
        );
        reply.header("location", `/jobs/${encodeURIComponent(job.id)}?queue=${job.queue}`);
        if (wait === undefined) return await reply.status(201).send(job);
        return await waitForEnd(operations, job.id, query.wait, job.queue, wait);
      } finally {
        wait?.leave();
      }
    },
  );

  app.get<{ Querystring: JobSearch }>(
    "/jobs",
    {
      schema: {
        summary:
          "The newest jobs, by state, or by a text in id, name or arguments. One answer reads a bounded number of bytes; next goes on.",
        tags: ["jobs"],
        querystring: searchQuery,
        response: answers({ 200: jobPageSchema }, 404),
      },
    },
    ({ query }) => searches.take(() => operations.jobs(query)),
  );

  app.get<{ Params: Id; Querystring: Waiting }>(
    "/jobs/:id",
    {
      schema: {
        summary: "One job; with wait, as soon as it has ended.",
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

  app.delete<{ Params: Id; Querystring: InQueue & { readonly reason?: string } }>(
    "/jobs/:id",
    {
      schema: {
        summary:
          "Cancels a job wherever it is. The answer is the job two seconds later, or when it has ended.",
        tags: ["jobs"],
        params: idParams,
        querystring: cancelQuery,
        response: answers({ 200: jobSchema }, 404, 414),
      },
    },
    ({ params, query }) => operations.cancel(params.id, query.reason ?? "", query.queue),
  );

  app.get<{ Params: Id; Querystring: InQueue & { readonly from: number } }>(
    "/jobs/:id/logs",
    {
      schema: {
        summary:
          "The lines that a job has logged, from line from on: about 1 MiB and 1,000 lines at most, and none at the end.",
        tags: ["jobs"],
        params: idParams,
        querystring: logsQuery,
        response: answers({ 200: logsSchema }, 404, 414),
      },
    },
    ({ params, query }) => lists.take(() => operations.logs(params.id, query.from, query.queue)),
  );

  app.get<{ Params: Id; Querystring: InQueue }>(
    "/jobs/:id/events",
    {
      schema: {
        summary:
          "A job's progress, logs, states and result as server-sent events; goes on from Last-Event-ID.",
        tags: ["jobs"],
        params: idParams,
        querystring: queueQuery,
        response: answers({ 200: eventsSchema }, 404, 414),
      },
    },
    async ({ params, query, headers }, reply) => {
      const wait = waits.enter(reply.raw);
      try {
        await operations.job(params.id, query.queue); // An unknown job is a 404, and not an empty stream.
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

  app.post<{ Params: Id; Querystring: InQueue }>(
    "/jobs/:id/retry",
    {
      schema: {
        summary: "Puts a job that failed for good back into its queue.",
        tags: ["jobs"],
        params: idParams,
        querystring: queueQuery,
        response: answers({ 204: nothing }, 404, 409, 414, 507),
      },
    },
    async ({ params, query }, reply) => {
      await operations.retry(params.id, query.queue);
      return await reply.status(204).send();
    },
  );

  app.get<{ Querystring: InQueue & { readonly cursor?: string } }>(
    "/failed",
    {
      schema: {
        summary:
          "The jobs that failed for good, grouped by task and error; next goes on where one answer stops.",
        tags: ["jobs"],
        querystring: failedQuery,
        response: answers({ 200: failedPageSchema }, 404),
      },
    },
    ({ query }) => searches.take(() => operations.failed(query.queue, query.cursor)),
  );

  app.post<{ Querystring: InQueue; Body: RetryQuery | null }>(
    "/failed/retry",
    {
      schema: {
        summary:
          "Puts back up to 1,000 jobs that failed for good, all or those of a task; next goes on with the others.",
        tags: ["jobs"],
        querystring: queueQuery,
        body: retryBody,
        response: answers({ 200: retryPageSchema }, 404, 413, 415, 507),
      },
    },
    ({ query, body }) => searches.take(() => operations.retryFailed({ ...body, ...query })),
  );
}
