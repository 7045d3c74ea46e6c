// Several routes; every other path is a 404.
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { run, sleep } from "@taskloom/loop";
import { asTask, serve } from "./web-request-is-a-task.ts";

export function routesApp(): FastifyInstance {
  const app = Fastify();
  app.get(
    "/",
    asTask(async () => "This is the home page"),
  );
  app.get(
    "/about",
    asTask(function* () {
      yield* sleep(1); // a handler in the other spelling
      return "This is the about page";
    }),
  );
  return app;
}

if (import.meta.main) await run(() => serve(routesApp()));
