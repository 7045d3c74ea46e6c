import type { Engine } from "@taskloom/queue";
import type { FastifyInstance } from "fastify";
import { ServiceError } from "../../errors/service-error.ts";

/** How long an engine may be away before requests are told so, rather than wait for it; milliseconds. */
const patience = 2_000;
const lookInterval = 250;

/**
 * Answers 503 for what needs the engine while that is away: its commands would wait until it is back, and the request
 * with them. Requests that were waiting when it went are answered too.
 */
export function answerWithoutEngine(app: FastifyInstance, engine: Engine): void {
  const waiting = new Set<(error: ServiceError) => void>();
  const timer = setInterval(() => {
    const error = waiting.size > 0 ? goneError(engine) : undefined;
    if (error === undefined) return;
    for (const reject of waiting) reject(error);
    waiting.clear();
  }, lookInterval).unref();
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
  if (down <= patience) return undefined;
  return new ServiceError(
    503,
    "ENGINE_DOWN",
    `${engine.url} has not answered for ${Math.round(down / 1_000)} s; what is queued there is kept. Try again when it is back.`,
  );
}
