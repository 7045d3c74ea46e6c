// A web request as a task: its handler may use everything a task can (timeouts, gather, locks), and when the
// client goes away the task is cancelled, so that nobody works for an answer that nobody will read.
import Fastify from "fastify";
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from "fastify";
import { CancelledError, createTask, Event, run, sleep } from "@taskloom/loop";
import type { Awaitable } from "@taskloom/loop";

/** Makes a route's handler of a function that serves one request. */
export function asTask(
  work: (request: FastifyRequest, reply: FastifyReply) => Awaitable<unknown>,
): RouteHandlerMethod {
  return (request, reply) => {
    const task = createTask(() => work(request, reply), { name: `${request.method} ${request.url}` });
    // Also when all went well, but then the task is done, and cancelling it changes nothing.
    reply.raw.once("close", () => task.cancel("the client went away"));
    return task;
  };
}

/** Serves `app` until the task is cancelled (Ctrl-C does it), and lets the requests under way finish. */
export async function serve(app: FastifyInstance, port = 8080): Promise<void> {
  try {
    console.log(`Serving on ${await app.listen({ port, host: "127.0.0.1" })}`);
    await new Event().wait();
  } finally {
    await app.close();
  }
}

export function slowApp(): FastifyInstance {
  const app = Fastify();
  app.get(
    "/slow",
    asTask(async () => {
      console.log("slow: begins");
      try {
        await sleep(60_000);
        return "never";
      } catch (error) {
        if (error instanceof CancelledError) console.log(`slow: ${error.message}`);
        throw error;
      }
    }),
  );
  return app;
}

if (import.meta.main) await run(() => serve(slowApp()));
