import type { Engine } from "@taskloom/queue";
import type { FastifyInstance } from "fastify";
import type { ServiceMetrics } from "../service-metrics.ts";
import { answers } from "../answers.ts";

const LIVE = {
  type: "object",
  properties: { status: { const: "ok" }, pid: { type: "integer" } },
  required: ["status", "pid"],
};
const READY = { type: "object", properties: { status: { const: "ready" } }, required: ["status"] };

/** Adds the routes for probes and for Prometheus, and the OpenAPI document. */
export function addHealth(
  app: FastifyInstance,
  {
    engine,
    isReady,
    metrics,
  }: { readonly engine: Engine; readonly isReady: () => boolean; readonly metrics: ServiceMetrics },
): void {
  app.get(
    "/healthz",
    {
      schema: {
        summary: "Shows that the process lives.",
        tags: ["health"],
        response: answers({ 200: LIVE }),
      },
    },
    () => ({ status: "ok", pid: process.pid }),
  );
  app.get(
    "/readyz",
    {
      schema: {
        summary: "Shows whether the workers take jobs.",
        tags: ["health"],
        response: answers({ 200: READY }),
      },
    },
    // The errors are sent and not thrown: a thrown error is logged, and a probe asks every few seconds.
    (_request, reply) => {
      if (!isReady())
        return reply
          .status(503)
          .send({ code: "NOT_READY", message: "The workers take no jobs now; try again later" });
      const down = engine.downFor();
      if (down === 0) return reply.send({ status: "ready" });
      return reply.status(503).send({
        code: "ENGINE_DOWN",
        message: `The engine has not answered for ${Math.round(down)} ms; start it`,
      });
    },
  );
  app.get(
    "/metrics",
    {
      schema: {
        summary: "The metrics as Prometheus text.",
        tags: ["health"],
        response: answers({ 200: { content: { [metrics.contentType]: { schema: { type: "string" } } } } }),
      },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  );
  app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
}
