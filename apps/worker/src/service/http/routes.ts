import { Readable } from "node:stream";
import { context, propagation } from "@opentelemetry/api";
import type { RetryQuery } from "@taskloom/queue/operating";
import type { FastifyInstance } from "fastify";
import { formatForest } from "../task-tree.ts";
import type { JobSearch, Operations, ScheduleRequest, SubmitRequest } from "../operations.ts";
import { ServiceError } from "../service-error.ts";
import { taskLabel } from "../worker-view.ts";
import { jobEvents } from "./job-events.ts";
import {
  cancelQuery,
  errorSchema,
  failedPageSchema,
  failedQuery,
  idParams,
  jobPageSchema,
  jobSchema,
  nameParams,
  pauseBody,
  queueQuery,
  retryBody,
  retryPageSchema,
  scheduleBody,
  searchQuery,
  submitBody,
  waitQuery,
} from "./schemas.ts";

interface Id {
  readonly id: string;
}
interface Name {
  readonly name: string;
}
interface InQueue {
  readonly queue?: string;
}
interface Wait extends InQueue {
  readonly wait?: number;
}

const failures = { "4xx": errorSchema, "5xx": errorSchema } as const;
const longestWait = 300_000;

/** The API of the service; every route does one operation. */
export function addRoutes(app: FastifyInstance, operations: Operations): void {
  app.post<{ Params: Name; Body: (SubmitRequest & { args?: unknown[] }) | null; Querystring: Wait }>(
    "/tasks/:name",
    {
      schema: {
        summary: "Submits a call of a task. With wait, the answer is the job once it has ended.",
        tags: ["jobs"],
        params: nameParams,
        body: { anyOf: [submitBody, { type: "null" }] },
        querystring: waitQuery,
        response: { 200: jobSchema, 201: jobSchema, ...failures },
      },
    },
    async ({ params, body, query, headers }, reply) => {
      const { args = [], ...request } = body ?? {};
      const queue = request.queue ?? query.queue;
      // The caller's trace goes on in the job.
      const trace = propagation.extract(context.active(), headers);
      const job = await context.with(trace, () =>
        operations.submit(params.name, args, { ...request, ...(queue === undefined ? {} : { queue }) }),
      );
      reply.header("location", `/jobs/${encodeURIComponent(job.id)}?queue=${job.queue}`);
      if (query.wait === undefined) return await reply.status(201).send(job);
      return await operations.ended(job.id, Math.min(query.wait * 1_000, longestWait), job.queue);
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
        response: { 200: jobPageSchema, ...failures },
      },
    },
    ({ query }) => operations.jobs(query),
  );

  app.get<{ Params: Id; Querystring: Wait }>(
    "/jobs/:id",
    {
      schema: {
        summary: "One job; with wait, as soon as it has ended.",
        tags: ["jobs"],
        params: idParams,
        querystring: waitQuery,
        response: { 200: jobSchema, ...failures },
      },
    },
    ({ params, query }) =>
      query.wait === undefined
        ? operations.job(params.id, query.queue)
        : operations.ended(params.id, Math.min(query.wait * 1_000, longestWait), query.queue),
  );

  app.delete<{ Params: Id; Querystring: InQueue & { reason?: string } }>(
    "/jobs/:id",
    {
      schema: {
        summary:
          "Cancels a job wherever it is. The answer is the job two seconds later, or when it has ended.",
        tags: ["jobs"],
        params: idParams,
        querystring: cancelQuery,
        response: { 200: jobSchema, ...failures },
      },
    },
    ({ params, query }) => operations.cancel(params.id, query.reason ?? "", query.queue),
  );

  app.get<{ Params: Id; Querystring: InQueue }>(
    "/jobs/:id/logs",
    {
      schema: {
        summary: "What a job has logged.",
        tags: ["jobs"],
        params: idParams,
        querystring: queueQuery,
        response: { 200: { type: "array", items: { type: "string" } }, ...failures },
      },
    },
    ({ params, query }) => operations.logs(params.id, 0, query.queue),
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
        produces: ["text/event-stream"],
      },
    },
    async ({ params, query, headers }, reply) => {
      await operations.job(params.id, query.queue); // A job that there is none of is a 404, and not an empty stream.
      const over = new AbortController();
      reply.raw.once("close", () => over.abort());
      const last = headers["last-event-id"];
      const events = jobEvents(
        operations,
        params.id,
        query.queue,
        Array.isArray(last) ? last[0] : last,
        over.signal,
      );
      return await reply
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-store")
        .header("x-accel-buffering", "no")
        .send(Readable.from(events));
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
        response: { 204: { type: "null" }, ...failures },
      },
    },
    async ({ params, query }, reply) => {
      await operations.retry(params.id, query.queue);
      return await reply.status(204).send();
    },
  );

  app.get<{ Querystring: InQueue & { cursor?: string } }>(
    "/failed",
    {
      schema: {
        summary:
          "The jobs that failed for good, grouped by task and error; next goes on where one answer stops.",
        tags: ["jobs"],
        querystring: failedQuery,
        response: { 200: failedPageSchema, ...failures },
      },
    },
    ({ query }) => operations.failed(query.queue, query.cursor),
  );

  app.post<{ Querystring: InQueue; Body: RetryQuery | null }>(
    "/failed/retry",
    {
      schema: {
        summary:
          "Puts back up to 1,000 jobs that failed for good, all or those of a task; next goes on with the others.",
        tags: ["jobs"],
        querystring: queueQuery,
        body: { anyOf: [retryBody, { type: "null" }] },
        response: { 200: retryPageSchema, ...failures },
      },
    },
    ({ query, body }) => operations.retryFailed({ ...body, ...query }),
  );

  app.get("/queues", { schema: { summary: "Jobs by queue, lane and state.", tags: ["queues"] } }, () =>
    operations.queues(),
  );

  app.put<{ Params: Name; Body: { paused: boolean } }>(
    "/queues/:name",
    {
      schema: {
        summary: "Pauses a queue, or lets workers take from it again.",
        tags: ["queues"],
        params: nameParams,
        body: pauseBody,
        response: { 204: { type: "null" }, ...failures },
      },
    },
    async ({ params, body }, reply) => {
      await operations.pause(params.name, body.paused);
      return await reply.status(204).send();
    },
  );

  app.get(
    "/workers",
    { schema: { summary: "Every worker at the engine, as of the last second.", tags: ["workers"] } },
    () => operations.workers(),
  );

  app.get<{ Params: Id; Querystring: { format?: string } }>(
    "/workers/:id/tree",
    {
      schema: {
        summary: "A worker's live tasks, what each waits for and for how long; as text with format=text.",
        tags: ["workers"],
        params: idParams,
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: { format: { type: "string", enum: ["json", "text"] } },
        },
      },
    },
    async ({ params, query }, reply) => {
      const worker = (await operations.workers()).find(({ id }) => id === params.id);
      if (worker === undefined) {
        throw new ServiceError(
          404,
          "WORKER_UNKNOWN",
          `there is no worker ${params.id}; GET /workers lists them.`,
        );
      }
      if (query.format !== "text") return { jobs: worker.jobs, ...worker.tree };
      const tasks = new Map(worker.jobs.map((job) => [job.id, taskLabel(job)]));
      const lines = formatForest(worker.tree, ({ name }) =>
        tasks.has(name) ? `${tasks.get(name)} ${name}` : undefined,
      );
      return await reply.type("text/plain; charset=utf-8").send(`${lines.join("\n")}\n`);
    },
  );

  app.get<{ Querystring: InQueue }>(
    "/schedules",
    {
      schema: { summary: "What is submitted again and again.", tags: ["schedules"], querystring: queueQuery },
    },
    ({ query }) => operations.schedules(query.queue),
  );

  app.put<{ Params: Id; Body: ScheduleRequest }>(
    "/schedules/:id",
    {
      schema: {
        summary: "Sets a schedule: by cron or every so many milliseconds.",
        tags: ["schedules"],
        params: idParams,
        body: scheduleBody,
        response: { 204: { type: "null" }, ...failures },
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
        summary: "Ends a schedule; what it has submitted stays.",
        tags: ["schedules"],
        params: idParams,
        querystring: queueQuery,
        response: { 204: { type: "null" }, ...failures },
      },
    },
    async ({ params, query }, reply) => {
      await operations.unschedule(params.id, query.queue);
      return await reply.status(204).send();
    },
  );
}
