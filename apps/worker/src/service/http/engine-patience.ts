import type { Engine } from "@taskloom/queue";
import type { FastifyInstance } from "fastify";
import { ServiceError } from "../../errors/service-error.ts";

/** An engine that has not answered for this long fails the requests that wait for it. */
const PATIENCE_MS = 2_000;
const CHECK_INTERVAL_MS = 250;

/**
 * Answers 503 to requests while the engine does not answer. Otherwise the commands of a request, and with them the
 * request, would wait for the engine. Requests that already wait are answered, too.
 */
export function answerWithoutEngine(app: FastifyInstance, engine: Engine): void {
  const waiting = new Set<(error: ServiceError) => void>();
  const timer = setInterval(() => {
    const error = waiting.size > 0 ? goneError(engine) : undefined;
    if (error === undefined) return;
    for (const reject of waiting) reject(error);
    waiting.clear();
  }, CHECK_INTERVAL_MS).unref();
  app.addHook("onClose", async () => clearInterval(timer));
  app.addHook("onRoute", (route) => {
    if (route.url === "/healthz" || route.url === "/readyz") return;
    const { handler } = route;
    route.handler = async function (request, reply) {
      const error = goneError(engine);
      if (error !== undefined) throw error;
      const { promise: gone, reject } = Promise.withResolvers<never>();
      gone.catch(() => {});
      waiting.add(reject);
      try {
        return await Promise.race([handler.call(this, request, reply), gone]);
      } finally {
        waiting.delete(reject);
      }
    };
  });
}

function goneError(engine: Engine): ServiceError | undefined {
  const down = engine.downFor();
  if (down <= PATIENCE_MS) return undefined;
  return new ServiceError(
    503,
    "ENGINE_DOWN",
    `${engine.url} has not answered for ${Math.round(down / 1_000)} s; its jobs are kept. Start the engine, and send the request again`,
  );
}
