import type { Engine } from "@taskloom/queue";
import type { FastifyInstance } from "fastify";
import type { ServiceMetrics } from "../service-metrics.ts";
import { answers } from "../answers.ts";

const live = {
  type: "object",
  properties: { status: { const: "ok" }, pid: { type: "integer" } },
  required: ["status", "pid"],
};
const ready = { type: "object", properties: { status: { const: "ready" } }, required: ["status"] };

/** Routes for probes and for Prometheus. */
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
    { schema: { summary: "Whether the process lives.", tags: ["health"], response: answers({ 200: live }) } },
    () => ({ status: "ok", pid: process.pid }),
  );
  app.get(
    "/readyz",
    { schema: { summary: "Whether it takes jobs.", tags: ["health"], response: answers({ 200: ready }) } },
    // Sent and not thrown: a probe asks every few seconds, and each error that is thrown is logged.
    (_request, reply) => {
      if (!isReady())
        return reply.status(503).send({ code: "NOT_READY", message: "the workers do not take jobs now." });
      const down = engine.downFor();
      if (down === 0) return reply.send({ status: "ready" });
      return reply
        .status(503)
        .send({ code: "ENGINE_DOWN", message: `the engine has not answered for ${Math.round(down)} ms.` });
    },
  );
  app.get(
    "/metrics",
    {
      schema: {
        summary: "Prometheus text.",
        tags: ["health"],
        response: answers({ 200: { content: { [metrics.contentType]: { schema: { type: "string" } } } } }),
      },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  );
  app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
}
