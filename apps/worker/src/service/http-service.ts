import { setTimeout as delay } from "node:timers/promises";
import rateLimit from "@fastify/rate-limit";
import swagger from "@fastify/swagger";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { Life, LifeState } from "@taskloom/loop/lifecycle";
import { LONGEST_DELAY } from "@taskloom/loop/timer";
import type { Engine } from "@taskloom/queue";
import { fastify } from "fastify";
import type { FastifyError, FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { version } from "../version.ts";
import type { EngineOperations } from "../operations/engine-operations.ts";
import type { ServiceMetrics } from "./http/service-metrics.ts";
import { ServiceError } from "../errors/service-error.ts";
import { setAccess } from "./http/access.ts";
import { addBullBoard } from "./http/bull-board.ts";
import { answerWithoutEngine } from "./http/engine-patience.ts";
import { answerClientError, answerError, answerErrors } from "./http/errors.ts";
import { Guard, clientOf, isLoopback } from "./http/guard.ts";
import { addAbout } from "./http/routes/about.ts";
import { addHealth } from "./http/routes/health.ts";
import { listen } from "./http/listening.ts";
import type { ListenAddress, ListenTarget } from "./http/listening.ts";
import { addPage } from "./http/routes/page.ts";
import { addRoutes } from "./http/routes/add-routes.ts";
import { addSafeHeaders } from "./http/safe-headers.ts";
import { trustedProxies } from "../config/trusted-proxies.ts";
import { validateRequests } from "./http/validation.ts";
import { Waits } from "./http/waits.ts";

/** The options of an HTTP address. */
export interface HttpServiceOptions {
  readonly engine: Engine;
  readonly operations: EngineOperations;
  readonly queues: readonly string[];
  readonly metrics: ServiceMetrics;
  /** Returns whether the workers take jobs. */
  readonly isReady: () => boolean;
  /** The address to listen on; undefined for a Unix socket. */
  readonly host: string | undefined;
  readonly token: string | undefined;
  readonly readToken: string | undefined;
  readonly bodyLimit: number;
  /** Requests per second of one client. */
  readonly rateLimit: number;
  /** Seconds in which a whole request has to arrive. */
  readonly requestTimeout: number;
  /** Event streams and requests with `wait` that can be open at once. */
  readonly maxStreams: number;
  /** Proxies whose `X-Forwarded-For` counts. */
  readonly trustProxy: readonly string[];
  readonly logger: Logger;
}

/** The time that open answers have when the service closes. */
const CLOSE_PATIENCE_MS = 1_000;
/** The interval at which idle connections are closed meanwhile. */
const CLOSE_INTERVAL_MS = 10;

/** The HTTP address of a service: API, live page, bull-board and metrics. */
export class HttpService implements Life {
  readonly #app: FastifyInstance;
  readonly #waits: Waits;
  readonly #life = new Lifecycle(
    () => new CliFailure("SERVICE_CLOSED", "The HTTP service is closed: create a new one"),
  );
  #address: ListenAddress | undefined;

  private constructor(app: FastifyInstance, waits: Waits) {
    this.#app = app;
    this.#waits = waits;
  }

  /** @throws {@link CliFailure} with the code `NO_TOKEN` for an address beyond this machine without a token. */
  static async create(options: HttpServiceOptions): Promise<HttpService> {
    const { host, token, readToken } = options;
    if (host !== undefined && !isLoopback(host) && token === undefined && readToken === undefined) {
      throw new CliFailure(
        "NO_TOKEN",
        `${host} can be reached from other machines, so it needs a token; set TASKLOOM_TOKEN (and TASKLOOM_READ_TOKEN), or leave --host out`,
        { exitCode: EXIT_CODES.usage },
      );
    }
    const guard = new Guard({ operate: token, read: readToken }, host);
    const app = makeApp(options, guard);
    addHooks(app, options, guard);
    await addPlugins(app, options);
    const waits = new Waits(options.maxStreams);
    addRoutes(app, options.operations, waits);
    addHealth(app, options);
    addAbout(app, { engine: options.engine.url, hasBoard: true, hasMetrics: true });
    await addBullBoard(app, options.engine, options.operations, options.queues);
    await addPage(app);
    return new HttpService(app, waits);
  }

  /** Listens, and returns the address for clients. */
  async listen(target: ListenTarget): Promise<ListenAddress> {
    await this.#life.start(async () => {
      this.#address = await listen(this.#app, target);
    });
    return this.#address!;
  }

  /** `open` until `close()`; `stopped` when its last connection is closed. */
  get state(): LifeState {
    return this.#life.state;
  }

  /**
   * Closes after the open answers: streams and waiting requests poll once more and end. After a second, the connections
   * that are still open are cut.
   */
  close(): Promise<void> {
    return this.#life.stop(() => this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#life.startEnded();
    await Promise.race([this.#waits.close(), delay(CLOSE_PATIENCE_MS, undefined, { ref: false })]);
    const { server } = this.#app;
    const closed = this.#app.close();
    const timer = setInterval(() => server.closeIdleConnections(), CLOSE_INTERVAL_MS);
    await Promise.race([closed, delay(CLOSE_PATIENCE_MS, undefined, { ref: false })]);
    clearInterval(timer);
    server.closeAllConnections();
    await closed;
  }
}

function makeApp(
  { bodyLimit, requestTimeout, trustProxy, logger }: HttpServiceOptions,
  guard: Guard,
): FastifyInstance {
  // The server of Node takes whole milliseconds, and 16.1 s are 16,100.000000000002 ms.
  const timeout = Math.min(Math.ceil(requestTimeout * 1_000), LONGEST_DELAY);
  return fastify({
    forceCloseConnections: "idle",
    bodyLimit,
    routerOptions: { maxParamLength: 300 },
    requestTimeout: timeout,
    http: {
      requestTimeout: timeout, // Fastify sets its value later; until then Node compares with 300 s.
      headersTimeout: timeout,
      connectionsCheckingInterval: Math.min(1_000, Math.ceil(timeout / 2)),
      requireHostHeader: false, // The guard checks the header, and answers in the format of all errors.
    },
    trustProxy: trustProxy.length > 0 && trustedProxies(trustProxy),
    clientErrorHandler: (error, socket) => answerClientError(error, socket),
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

function addHooks(app: FastifyInstance, { engine, logger }: HttpServiceOptions, guard: Guard): void {
  // A form on another site can send plain text without a preflight request, so only JSON is accepted.
  app.removeContentTypeParser("text/plain");
  validateRequests(app);
  answerErrors(app, logger);
  app.addHook("onRequest", async (request, reply) => setAccess(request, guard.check(request, reply)));
  answerWithoutEngine(app, engine);
  addSafeHeaders(app);
}

async function addPlugins(app: FastifyInstance, options: HttpServiceOptions): Promise<void> {
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
