import type { FastifyInstance } from "fastify";
import type { Operations } from "../../../operations/operations.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { visibleText } from "../../../terminal/visible-text.ts";
import { workerTree } from "../../../workers/worker-view.ts";
import { treeSchema, workersSchema } from "../answer-schemas.ts";
import { answers } from "../answers.ts";
import { idParams, treeQuery } from "../schemas.ts";
import type { Id } from "../schemas.ts";
import type { Turns } from "../turns.ts";

/** Shows workers and what they run. */
export function addWorkerRoutes(app: FastifyInstance, operations: Operations, lists: Turns): void {
  app.get(
    "/workers",
    {
      schema: {
        summary: "Every worker at the engine, as of the last second.",
        tags: ["workers"],
        response: answers({ 200: workersSchema }),
      },
    },
    () => lists.take(() => operations.workers()),
  );

  app.get<{ Params: Id; Querystring: { readonly format?: string } }>(
    "/workers/:id/tree",
    {
      schema: {
        summary: "A worker's live tasks, what each waits for and for how long; as text with format=text.",
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
          `there is no worker ${params.id}; GET /workers lists them.`,
        );
      }
      if (query.format !== "text") return { jobs: worker.jobs, ...worker.tree };
      const lines = workerTree(worker).join("\n");
      return await reply.type("text/plain; charset=utf-8").send(visibleText(`${lines}\n`));
    },
  );
}
