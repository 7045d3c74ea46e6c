import type { IncomingHttpHeaders } from "node:http";
import type { FastifyInstance } from "fastify";
import type { Operations, SubmitRequest } from "../../../operations/operations.ts";
import { jobSchema } from "../answer-schemas.ts";
import { tracing } from "../../../workers/tracing.ts";
import { answers } from "../answers.ts";
import { nameParams, submitBody, waitQuery } from "../schemas.ts";
import type { WaitQuery } from "../schemas.ts";
import { waitForEnd } from "../wait-for-end.ts";
import type { Waits } from "../waits.ts";

/** Adds the route that submits a task. */
export function addTaskRoutes(app: FastifyInstance, operations: Operations, waits: Waits): void {
  app.post<{
    Params: { readonly name: string };
    Body: (SubmitRequest & { readonly args?: unknown[] }) | null;
    Querystring: WaitQuery;
  }>(
    "/tasks/:name",
    {
      schema: {
        summary: "Submits a call of a task. With wait, the answer is the job after its end.",
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
      // The wait begins before the job is stored, so a refused wait submits nothing.
      const wait = query.wait === undefined ? undefined : waits.enter(reply.raw);
      try {
        const job = await inTraceOf(headers, () =>
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
}

/** Runs `body` in the trace of the caller, so that the job continues it. */
function inTraceOf<T>(headers: IncomingHttpHeaders, body: () => Promise<T>): Promise<T> {
  const api = tracing();
  if (api === undefined) return body();
  const { context, propagation } = api;
  return context.with(propagation.extract(context.active(), headers), body);
}
