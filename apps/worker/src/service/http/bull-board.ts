import { createBullBoard } from "@bull-board/api";
import { FastifyAdapter } from "@bull-board/fastify";
import type { Engine } from "@taskloom/queue";
import { lanes } from "@taskloom/queue/operating";
import type { FastifyError, FastifyInstance } from "fastify";
import type { EngineOperations } from "../../operations/engine-operations.ts";
import { BoardQueue } from "./board-queue.ts";
import { answerTo } from "./errors.ts";
import { Turns } from "./turns.ts";

/** The requests of bull-board that read at once. */
const LISTINGS_AT_ONCE = 2;

/** Adds bull-board at a path, for single jobs. Each lane of each queue is a queue there. */
export async function addBullBoard(
  app: FastifyInstance,
  path: string,
  engine: Engine,
  operations: EngineOperations,
  queues: readonly string[],
): Promise<void> {
  const turns = new Turns(LISTINGS_AT_ONCE);
  const adapter = new FastifyAdapter();
  createBullBoard({
    queues: queues.flatMap((queue) =>
      lanes.map((lane) => new BoardQueue(engine, operations.lane(queue, lane))),
    ),
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: "Taskloom jobs", miscLinks: [{ text: "Live page", url: "/" }] } },
  });
  adapter.setBasePath(path);
  // The handler of bull-board answers a missing token with 500, and shows internal messages.
  adapter.setErrorHandler((error) => {
    const { status, code, message } = answerTo(error as FastifyError);
    return { status: status as 500, body: { code, message } };
  });
  await app.register(
    async (scope) => {
      // The page of bull-board loads fonts from another host, which would learn who uses the page.
      scope.addHook("onSend", async (_request, reply, payload) => {
        if (typeof payload !== "string" || !String(reply.getHeader("content-type")).startsWith("text/html"))
          return payload;
        return payload.replaceAll(/<link href="https:[^>]*>/g, "");
      });
      scope.addHook("preHandler", async (request, reply) => {
        if (request.url.startsWith(`${path}/api/`)) await turns.enter(reply.raw);
      });
      await scope.register(adapter.registerPlugin());
    },
    { prefix: path },
  );
}
