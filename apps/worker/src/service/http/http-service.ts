import type { AddressInfo } from "node:net";
import rateLimit from "@fastify/rate-limit";
import swagger from "@fastify/swagger";
import type { Engine } from "@taskloom/queue";
import { type FastifyInstance, fastify } from "fastify";
import type { Logger } from "pino";
import { CliFailure, exitCodes } from "../../cli/failure.ts";
import { version } from "../../version.ts";
import type { EngineOperations } from "../engine-operations.ts";
import type { ServiceMetrics } from "../service-metrics.ts";
import { ServiceError } from "../service-error.ts";
import { addBullBoard } from "./bull-board.ts";
import { answerWithoutEngine } from "./engine-patience.ts";
import { answerErrors } from "./errors.ts";
import { guard, isLoopback } from "./guard.ts";
import { addPage } from "./page.ts";
import { addRoutes } from "./routes.ts";

/** What the HTTP address is made with. */
export interface HttpServiceOptions {
  readonly engine: Engine;
  readonly operations: EngineOperations;
  readonly queues: readonly string[];
  readonly metrics: ServiceMetrics;
  /** Whether the workers take jobs. */
  readonly isReady: () => boolean;
  readonly host: string;
  readonly token: string | undefined;
  readonly readToken: string | undefined;
  readonly bodyLimit: number;
  /** Requests a second of one client. */
  readonly rateLimit: number;
  readonly logger: Logger;
}

/** Nothing from other hosts, and the page in nobody's frame. bull-board sets styles in its elements. */
const contentPolicy =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'self'; frame-ancestors 'none'; form-action 'self'";

/** The service's HTTP address: API, live page, bull-board and metrics. */
export class HttpService {
  readonly #app: FastifyInstance;
  readonly #host: string;

  private constructor(app: FastifyInstance, host: string) {
    this.#app = app;
    this.#host = host;
  }

  /** @throws CliFailure when it would listen beyond this machine without a token. */
  static async create(options: HttpServiceOptions): Promise<HttpService> {
    const { host, token, readToken } = options;
    if (!isLoopback(host) && token === undefined && readToken === undefined) {
      throw new CliFailure(
        "NO_TOKEN",
        `${host} can be reached from other machines, so it needs a token: set TASKLOOM_TOKEN (and TASKLOOM_READ_TOKEN), or leave --host out.`,
        { exitCode: exitCodes.usage },
      );
    }
    const app = fastify({
      forceCloseConnections: true,
      bodyLimit: options.bodyLimit,
      routerOptions: { maxParamLength: 300 },
      ajv: { customOptions: { coerceTypes: true, removeAdditional: false, useDefaults: true } },
    });
    // Only JSON: a form on another site can send plain text without asking.
    app.removeContentTypeParser("text/plain");
    answerErrors(app, options.logger);
    guard(app, { operate: token, read: readToken }, host);
    answerWithoutEngine(app, options.engine);
    app.addHook("onSend", async (_request, reply) => {
      void reply.header("content-security-policy", contentPolicy);
      void reply.header("x-content-type-options", "nosniff");
      void reply.header("referrer-policy", "no-referrer");
    });
    await app.register(rateLimit, {
      max: options.rateLimit,
      timeWindow: 1_000,
      errorResponseBuilder: (_request, { after }) =>
        new ServiceError(
          429,
          "TOO_MANY_REQUESTS",
          `more requests than --rate-limit allows; try again in ${after}.`,
        ),
    });
    await app.register(swagger, {
      openapi: {
        openapi: "3.1.0",
        info: { title: "Taskloom", version, description: "Submits, watches and steers tasks." },
        components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
        security: [{ token: [] }],
      },
    });
    addRoutes(app, options.operations);
    addHealth(app, options);
    await addBullBoard(app, options.operations, options.queues);
    await addPage(app);
    return new HttpService(app, host);
  }

  /**
   * Listens, and gives the address. Port 0 takes any free one; with `orAnyFree` so does one that is in use, as when
   * nobody named a port and a second worker starts on the machine.
   */
  async listen(
    port: number,
    { orAnyFree = false }: { readonly orAnyFree?: boolean } = {},
  ): Promise<{ readonly address: string; readonly isOther: boolean }> {
    const host = this.#host;
    let isOther = false;
    try {
      await this.#app.listen({ host, port });
    } catch (error) {
      isOther = orAnyFree && (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!isOther) throw cannotListen(error as NodeJS.ErrnoException, host, port);
      await this.#app.listen({ host, port: 0 });
    }
    const shown = host.includes(":") ? `[${host}]` : host;
    const address = `http://${shown}:${(this.#app.server.address() as AddressInfo).port}`;
    return { address, isOther };
  }

  async close(): Promise<void> {
    await this.#app.close();
  }
}

function addHealth(app: FastifyInstance, { engine, isReady, metrics }: HttpServiceOptions): void {
  app.get("/healthz", { schema: { summary: "Whether the process lives.", tags: ["health"] } }, () => ({
    status: "ok",
    pid: process.pid,
  }));
  app.get(
    "/readyz",
    { schema: { summary: "Whether it takes jobs.", tags: ["health"] } },
    (_request, reply) => {
      if (!isReady())
        return reply.status(503).send({ code: "NOT_READY", message: "the workers do not take jobs yet." });
      const down = engine.downFor();
      if (down === 0) return reply.send({ status: "ready" });
      return reply
        .status(503)
        .send({ code: "ENGINE_DOWN", message: `the engine has not answered for ${Math.round(down)} ms.` });
    },
  );
  app.get(
    "/metrics",
    { schema: { summary: "Prometheus text.", tags: ["health"] } },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  );
  app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
}

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): Error {
  switch (error.code) {
    case "EADDRINUSE":
      return new CliFailure(
        "PORT_IN_USE",
        `port ${port} on ${host} is in use; end what uses it, or choose another with --port (0 takes any free one).`,
        { cause: error },
      );
    case "EACCES":
      return new CliFailure(
        "PORT_REFUSED",
        `port ${port} is not allowed to this user; choose one from 1024 with --port.`,
        { cause: error },
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new CliFailure("HOST", `${host} is no address of this machine; correct --host.`, {
        cause: error,
      });
    default:
      return error;
  }
}
