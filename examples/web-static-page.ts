// A static page, and a 404 for a missing file. The file is read without blocking the loop; a blocking read
// (readFileSync) in a handler would block every other request.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { currentTask, run } from "@taskloom/loop";
import { asTask, serve } from "./web-request-is-a-task.ts";

export function staticApp(folder: string): FastifyInstance {
  const app = Fastify();
  app.get(
    "/",
    asTask(async (_request, reply) => {
      try {
        const page = await readFile(join(folder, "index.html"), { signal: currentTask()?.signal });
        void reply.type("text/html; charset=utf-8");
        return page;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
        void reply.code(404);
        return "Page not found";
      }
    }),
  );
  return app;
}

if (import.meta.main) await run(() => serve(staticApp(join(import.meta.dirname, "pages"))));
