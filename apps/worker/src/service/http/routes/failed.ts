import type { RetryQuery } from "@taskloom/queue/operating";
import type { FastifyInstance } from "fastify";
import type { Operations } from "../../../operations/operations.ts";
import { failedPageSchema, retryPageSchema } from "../answer-schemas.ts";
import { answers } from "../answers.ts";
import { failedQuery, queueQuery, retryBody } from "../schemas.ts";
import type { InQueue } from "../schemas.ts";
import type { Turns } from "../turns.ts";

/** Adds the routes of failed jobs, by task and error. */
export function addFailureRoutes(app: FastifyInstance, operations: Operations, searches: Turns): void {
  app.get<{ Querystring: InQueue & { readonly cursor?: string } }>(
    "/failed",
    {
      schema: {
        summary: "The failed jobs, by task and error; next continues with the next page.",
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
        summary: "Retries up to 1,000 failed jobs, all or those of a task; next continues with the others.",
        tags: ["jobs"],
        querystring: queueQuery,
        body: retryBody,
        response: answers({ 200: retryPageSchema }, 404, 413, 415, 507),
      },
    },
    ({ query, body }) => searches.take(() => operations.retryFailed({ ...body, ...query })),
  );
}
