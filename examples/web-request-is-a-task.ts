// A web request as a task. Its handler may use timeouts, gather and locks. If the client disconnects, the
// task is cancelled, so the server does not work on an answer without a reader.
import Fastify from "fastify";
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from "fastify";
import { CancelledError, createTask, Event, run, sleep } from "@taskloom/loop";
import type { Awaitable } from "@taskloom/loop";

/** Makes a route's handler from a function that serves one request. */
export function asTask(
  work: (request: FastifyRequest, reply: FastifyReply) => Awaitable<unknown>,
): RouteHandlerMethod {
  return (request, reply) => {
    const task = createTask(() => work(request, reply), { name: `${request.method} ${request.url}` });
    // This also happens after a success, but cancelling a task that is done changes nothing.
    const leave = (): void => void task.cancel("the client went away");
    if (reply.raw.closed) leave();
    else reply.raw.once("close", leave);
    return task;
  };
}

/** Serves `app` until the task is cancelled (by Ctrl-C), and lets running requests finish. */
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
