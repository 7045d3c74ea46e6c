import { createBullBoard } from "@bull-board/api";
import { FastifyAdapter } from "@bull-board/fastify";
import type { Engine } from "@taskloom/queue";
import { lanes } from "@taskloom/queue/operating";
import type { FastifyError, FastifyInstance } from "fastify";
import type { EngineOperations } from "../../operations/engine-operations.ts";
import { BoardQueue } from "./board-queue.ts";
import { answerTo } from "./errors.ts";
import { Turns } from "./turns.ts";

export const boardPath = "/board";
/** So many of its requests read at once. */
const listingsAtOnce = 2;

/** bull-board, for single jobs: each lane of each queue is one of its queues. */
export async function addBullBoard(
  app: FastifyInstance,
  engine: Engine,
  operations: EngineOperations,
  queues: readonly string[],
): Promise<void> {
  const turns = new Turns(listingsAtOnce);
  const adapter = new FastifyAdapter();
  createBullBoard({
    queues: queues.flatMap((queue) =>
      lanes.map((lane) => new BoardQueue(engine, operations.lane(queue, lane))),
    ),
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: "Taskloom jobs", miscLinks: [{ text: "Live page", url: "/" }] } },
  });
  adapter.setBasePath(boardPath);
  // Its own would answer a missing token with 500, and show what nobody should see.
  adapter.setErrorHandler((error) => {
    const { status, code, message } = answerTo(error as FastifyError);
    return { status: status as 500, body: { code, message } };
  });
  await app.register(
    async (scope) => {
      // Its page asks an outside host for fonts; those of the system do as well, and nobody is told who looks.
      scope.addHook("onSend", async (_request, reply, payload) => {
        if (typeof payload !== "string" || !String(reply.getHeader("content-type")).startsWith("text/html"))
          return payload;
        return payload.replaceAll(/<link href="https:[^>]*>/g, "");
      });
      scope.addHook("preHandler", async (request, reply) => {
        if (request.url.startsWith(`${boardPath}/api/`)) await turns.enter(reply.raw);
      });
      await scope.register(adapter.registerPlugin());
    },
    { prefix: boardPath },
  );
}
