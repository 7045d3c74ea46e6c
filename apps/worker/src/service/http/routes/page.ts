import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import fastifyStatic from "@fastify/static";
import type { FastifyInstance } from "fastify";

const require = createRequire(import.meta.url);

/** Adds the live page: static files of this package and of uPlot. */
export async function addPage(app: FastifyInstance): Promise<void> {
  await app.register(fastifyStatic, {
    root: fileURLToPath(new URL("../../../../page/", import.meta.url)),
    prefix: "/",
    wildcard: false,
    schemaHide: true,
  });
  await app.register(fastifyStatic, {
    root: dirname(require.resolve("uplot/dist/uPlot.esm.js")),
    prefix: "/uplot/",
    allowedPath: (path) => path.endsWith("/uPlot.esm.js") || path.endsWith("/uPlot.min.css"),
    decorateReply: false,
    schemaHide: true,
  });
}
