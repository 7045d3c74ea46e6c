import type { IncomingMessage, ServerResponse } from "node:http";
import rateLimit from "@fastify/rate-limit";
import swagger from "@fastify/swagger";
import { fastify } from "fastify";
import type { FastifyError, FastifyInstance } from "fastify";
import { version } from "../version.ts";
import { EngineOperations } from "../operations/engine-operations.ts";
import { ServiceError } from "../errors/service-error.ts";
import { setAccess } from "./http/access.ts";
import { addBoard } from "./http/board.ts";
import { answerWithoutEngine } from "./http/engine-patience.ts";
import { answerError } from "./http/errors.ts";
import { Guard, clientOf } from "./http/guard.ts";
import { addAbout } from "./http/routes/about.ts";
import { makeJsonApi } from "./http/json-api.ts";
import { addHealth } from "./http/routes/health.ts";
import { addPage } from "./http/routes/page.ts";
import { addRoutes } from "./http/routes/add-routes.ts";
import { addSafeHeaders } from "./http/safe-headers.ts";
import { trustedProxies } from "../config/trusted-proxies.ts";
import { ServiceMetrics } from "./http/service-metrics.ts";
import type { Waits } from "./http/waits.ts";
import type { HttpOptions } from "./http-options.ts";

/** The API, the live page, bull-board and the metrics of a service, without an address of their own. */
export class HttpApp {
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance) {
    this.#app = app;
  }

  static async create(options: HttpOptions, waits: Waits): Promise<HttpApp> {
    const { engine, queues, modules, host, token, readToken } = options;
    const guard = new Guard({ operate: token, read: readToken }, host);
    const app = makeApp(options, guard);
    const operations = new EngineOperations(engine, queues, modules);
    app.addHook("onClose", () => operations.close());
    addHooks(app, options, guard);
    await addPlugins(app, options);
    addRoutes(app, operations, waits);
    addHealth(app, { ...options, metrics: new ServiceMetrics(operations, options.metrics) });
    const hasBoard = await addBoard(app, engine, operations, queues);
    addAbout(app, {
      engine: engine.url,
      hasBoard,
      hasMetrics: true,
      hasShards: engine.readShards !== undefined,
    });
    await addPage(app);
    await app.ready();
    return new HttpApp(app);
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    this.#app.routing(request, response);
  }

  /** Refuses further requests, and ends when the open ones are answered. */
  async close(): Promise<void> {
    await this.#app.close();
  }
}

function makeApp({ bodyLimit, trustProxy, logger }: HttpOptions, guard: Guard): FastifyInstance {
  return fastify({
    bodyLimit,
    routerOptions: { maxParamLength: 300 },
    trustProxy: trustProxy.length > 0 && trustedProxies(trustProxy),
    // No hook runs for a request whose URL fits no route, so the guard checks it here.
    frameworkErrors: (error, request, reply) => {
      let refused: unknown = error;
      try {
        guard.check(request, reply);
      } catch (thrown) {
        refused = thrown;
      }
      void answerError(refused as FastifyError, request, reply, logger);
    },
  });
}

function addHooks(app: FastifyInstance, { engine, logger }: HttpOptions, guard: Guard): void {
  makeJsonApi(app, logger);
  app.addHook("onRequest", async (request, reply) => setAccess(request, guard.check(request, reply)));
  answerWithoutEngine(app, engine);
  addSafeHeaders(app);
}

async function addPlugins(app: FastifyInstance, options: HttpOptions): Promise<void> {
  await app.register(rateLimit, {
    max: options.rateLimit,
    timeWindow: 1_000,
    keyGenerator: clientOf,
    errorResponseBuilder: (_request, { after }) =>
      new ServiceError(
        429,
        "TOO_MANY_REQUESTS",
        `More requests than --rate-limit allows; send this one again in ${after}`,
      ),
  });
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Taskloom", version, description: "Submits, watches and operates tasks." },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
  });
}
