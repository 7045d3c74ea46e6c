import type { FastifyInstance } from "fastify";
import type { Operations } from "../../../operations/operations.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { visibleText } from "../../../terminal/visible-text.ts";
import { workerTree } from "../../../workers/worker-view.ts";
import { otherWorkersSchema, treeSchema, workersSchema } from "../answer-schemas.ts";
import { answers } from "../answers.ts";
import { idParams, treeQuery } from "../schemas.ts";
import type { Id } from "../schemas.ts";
import type { Turns } from "../turns.ts";

/** Adds the routes of workers and their live tasks. */
export function addWorkerRoutes(app: FastifyInstance, operations: Operations, lists: Turns): void {
  app.get(
    "/workers",
    {
      schema: {
        summary: "The workers at the engine, with records of the last second.",
        tags: ["workers"],
        response: answers({ 200: workersSchema }),
      },
    },
    () => lists.take(() => operations.workers()),
  );

  app.get(
    "/workers/others",
    {
      schema: {
        summary:
          "The workers of programs that use the library: the queues that they serve, and the tasks that they know.",
        tags: ["workers"],
        response: answers({ 200: otherWorkersSchema }),
      },
    },
    () => lists.take(() => operations.otherWorkers()),
  );

  app.get<{ Params: Id; Querystring: { readonly format?: string } }>(
    "/workers/:id/tree",
    {
      schema: {
        summary:
          "The live tasks of a worker, with the object and time that each waits for; as text with format=text.",
        tags: ["workers"],
        params: idParams,
        querystring: treeQuery,
        response: answers({ 200: treeSchema }, 404, 414),
      },
    },
    async ({ params, query }, reply) => {
      const worker = (await lists.take(() => operations.workers())).find(({ id }) => id === params.id);
      if (worker === undefined) {
        throw new ServiceError(
          404,
          "WORKER_UNKNOWN",
          `There is no worker ${params.id}; GET /workers lists the workers`,
        );
      }
      if (query.format !== "text") return { jobs: worker.jobs, ...worker.tree };
      const lines = workerTree(worker).join("\n");
      return await reply.type("text/plain; charset=utf-8").send(visibleText(`${lines}\n`));
    },
  );
}
