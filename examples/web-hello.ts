// The smallest web app: curl http://127.0.0.1:8080/
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { run } from "@taskloom/loop";
import { asTask, serve } from "./web-request-is-a-task.ts";

export function helloApp(): FastifyInstance {
  const app = Fastify();
  app.get(
    "/",
    asTask(async () => "Hello, World!"),
  );
  return app;
}

if (import.meta.main) await run(() => serve(helloApp()));
