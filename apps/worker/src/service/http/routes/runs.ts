import type { FastifyInstance } from "fastify";
import type { RunOperations, RunSearch } from "../../../operations/run-operations.ts";
import {
  historySchema,
  logsSchema,
  runPageSchema,
  runSchema,
  updateAnswerSchema,
} from "../answer-schemas.ts";
import { answers, nothing } from "../answers.ts";
import {
  idParams,
  logsQuery,
  messageBody,
  namedRunParams,
  queueQuery,
  runsQuery,
  signalBody,
  updateBody,
  updateQuery,
} from "../schemas.ts";
import type { Id, InQueue } from "../schemas.ts";
import type { Turns } from "../turns.ts";
import type { Waits } from "../waits.ts";

type Named = Id & { readonly name: string };

/** Adds the routes of durable runs: search, read, signal, update, cancel and terminate. */
export function addRunRoutes(
  app: FastifyInstance,
  runs: RunOperations,
  waits: Waits,
  { searches, lists }: { readonly searches: Turns; readonly lists: Turns },
): void {
  addReads(app, runs, searches, lists);
  addMessages(app, runs, waits);
  addEnds(app, runs);
}

function addReads(app: FastifyInstance, runs: RunOperations, searches: Turns, lists: Turns): void {
  app.get<{ Querystring: RunSearch }>(
    "/runs",
    {
      schema: {
        summary:
          "The newest durable runs, by workflow, state, tag, time or text. One page reads a bounded number; next continues.",
        tags: ["runs"],
        querystring: runsQuery,
        response: answers({ 200: runPageSchema }, 404),
      },
    },
    ({ query }) => searches.take(() => runs.list(query)),
  );

  app.get<{ Params: Id; Querystring: InQueue }>(
    "/runs/:id",
    {
      schema: {
        summary: "One durable run, with the length of its history and its unread deliveries.",
        tags: ["runs"],
        params: idParams,
        querystring: queueQuery,
        response: answers({ 200: runSchema }, 404, 414),
      },
    },
    ({ params, query }) => lists.take(() => runs.show(params.id, query.queue)),
  );

  const parts = {
    history: {
      summary: "The ticks of a run, from tick from on: at most 500, and none at the end.",
      page: historySchema,
    },
    log: {
      summary: "The stored entries of a run's history, for a replay: at most 500, and none at the end.",
      page: logsSchema,
    },
  } as const;
  for (const part of ["history", "log"] as const) {
    const { summary, page } = parts[part];
    app.get<{ Params: Id; Querystring: InQueue & { readonly from: number } }>(
      `/runs/:id/${part}`,
      {
        schema: {
          summary,
          tags: ["runs"],
          params: idParams,
          querystring: logsQuery,
          response: answers({ 200: page }, 404, 414),
        },
      },
      ({ params, query }) =>
        lists.take<readonly unknown[]>(() => runs[part](params.id, query.from, query.queue)),
    );
  }
}

function addMessages(app: FastifyInstance, runs: RunOperations, waits: Waits): void {
  app.post<{
    Params: Named;
    Querystring: InQueue;
    Body: { readonly payload?: unknown; readonly key?: string } | null;
  }>(
    "/runs/:id/signals/:name",
    {
      schema: {
        summary: "Sends a signal to a run.",
        tags: ["runs"],
        params: namedRunParams,
        querystring: queueQuery,
        body: signalBody,
        response: answers({ 204: nothing }, 404, 409, 413, 414, 415, 422, 507),
      },
    },
    async ({ params, query, body }, reply) => {
      await runs.signal(params.id, params.name, body?.payload, query.queue, body?.key);
      return await reply.status(204).send();
    },
  );

  app.post<{
    Params: Named;
    Querystring: InQueue & { readonly wait: number };
    Body: { readonly args?: readonly unknown[] } | null;
  }>(
    "/runs/:id/updates/:name",
    {
      schema: {
        summary: "Sends an update to a run, and waits for its answer. The state pending has no answer yet.",
        tags: ["runs"],
        params: namedRunParams,
        querystring: updateQuery,
        body: updateBody,
        response: answers({ 200: updateAnswerSchema }, 404, 409, 413, 414, 415, 422, 507),
      },
    },
    async ({ params, query, body }, reply) => {
      const wait = waits.enter(reply.raw);
      try {
        const { id, name } = params;
        return await runs.update(id, name, body?.args ?? [], query.wait * 1_000, query.queue);
      } finally {
        wait.leave();
      }
    },
  );
}

function addEnds(app: FastifyInstance, runs: RunOperations): void {
  const summaries = {
    cancel: "Asks a run to end; its code cleans up.",
    terminate: "Ends a run as cancelled, at once; none of its code is executed any more.",
  } as const;
  for (const action of ["cancel", "terminate"] as const) {
    app.post<{ Params: Id; Querystring: InQueue; Body: { readonly message?: string } | null }>(
      `/runs/:id/${action}`,
      {
        schema: {
          summary: summaries[action],
          tags: ["runs"],
          params: idParams,
          querystring: queueQuery,
          body: messageBody,
          response: answers({ 204: nothing }, 404, 409, 413, 414, 415),
        },
      },
      async ({ params, query, body }, reply) => {
        await runs[action](params.id, body?.message ?? "", query.queue);
        return await reply.status(204).send();
      },
    );
  }
}
