import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Engine } from "@taskloom/queue";
import { fastify } from "fastify";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { EngineOperations } from "../operations/engine-operations.ts";
import { ServiceError } from "../errors/service-error.ts";
import { isRead, readOnly, setAccess } from "./http/access.ts";
import type { Access } from "./http/access.ts";
import { answerWithoutEngine } from "./http/engine-patience.ts";
import { answerError } from "./http/errors.ts";
import type { ErrorLog } from "./http/errors.ts";
import { refuseOtherSites } from "./http/guard.ts";
import { makeJsonApi } from "./http/json-api.ts";
import { addAbout } from "./http/routes/about.ts";
import { addRoutes } from "./http/routes/add-routes.ts";
import { addPage } from "./http/routes/page.ts";
import { addSafeHeaders } from "./http/safe-headers.ts";
import { Waits } from "./http/waits.ts";

/** The time that open event streams have when the dashboard closes. */
const CLOSE_PATIENCE_MS = 1_000;

/** The parts of a dashboard. */
export interface DashboardAppOptions {
  readonly engine: Engine;
  readonly operations: EngineOperations;
  /** Returns the permission of a request of the user's app; undefined refuses it. */
  readonly authorize: (request: IncomingMessage) => Promise<Access | undefined>;
  /** The path under which the user's app has the request, such as `/jobs`. */
  readonly baseOf: (request: IncomingMessage) => string;
  /** Bytes. */
  readonly bodyLimit: number;
  readonly maxStreams: number;
  readonly log: ErrorLog;
}

/** The page and its API without an address of their own: requests come from the app of a user. */
export class DashboardApp {
  readonly #app: FastifyInstance;
  readonly #waits: Waits;

  private constructor(app: FastifyInstance, waits: Waits) {
    this.#app = app;
    this.#waits = waits;
  }

  static async create(options: DashboardAppOptions): Promise<DashboardApp> {
    const { engine, operations, bodyLimit, maxStreams, log } = options;
    const app = fastify({
      bodyLimit,
      routerOptions: { maxParamLength: 300 },
      frameworkErrors: (error, request, reply) => void answerError(error, request, reply, log),
    });
    makeJsonApi(app, log);
    app.addHook("onRequest", (request) => admit(request, options));
    app.addHook("preParsing", async ({ raw }, _reply, payload) => parsedBefore(raw) ?? payload);
    addSafeHeaders(app);
    app.addHook("onSend", async ({ raw }, reply) => {
      const location = reply.getHeader("location");
      if (typeof location === "string" && location.startsWith("/"))
        void reply.header("location", `${options.baseOf(raw)}${location}`);
    });
    const waits = new Waits(maxStreams);
    await app.register(async (api) => {
      api.addHook("preHandler", async () => await engine.connect());
      answerWithoutEngine(api, engine);
      addRoutes(api, operations, waits);
    });
    addAbout(app, {
      engine: engine.url,
      hasBoard: false,
      hasMetrics: false,
      hasShards: engine.readShards !== undefined,
    });
    await addPage(app);
    await app.ready();
    return new DashboardApp(app, waits);
  }

  /** Answers a request, whose URL is relative to the dashboard. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    this.#app.routing(request, response);
  }

  /** Ends the open event streams and waiting requests, and refuses others. */
  async close(): Promise<void> {
    await Promise.race([this.#waits.close(), delay(CLOSE_PATIENCE_MS, undefined, { ref: false })]);
    await this.#app.close();
  }
}

async function admit(request: FastifyRequest, { authorize }: DashboardAppOptions): Promise<void> {
  refuseOtherSites(request, false);
  const access = await authorize(request.raw);
  if (access === undefined)
    throw new ServiceError(403, "FORBIDDEN", "You may not see this dashboard; sign in as somebody who may");
  setAccess(request, access);
  if (access === "read" && !isRead(request))
    throw readOnly("You may read and change nothing here; ask somebody who may operate it");
}

/** Returns the body that a parser of the user's app, such as `express.json()`, has read, as a new stream. */
function parsedBefore(raw: IncomingMessage & { readonly body?: unknown }): Readable | undefined {
  if (raw.body === undefined || !raw.readableEnded) return undefined;
  const stream = Readable.from([Buffer.from(JSON.stringify(raw.body))]);
  // Fastify compares the number of bytes with the header, which counts the bytes of the original text.
  return Object.assign(stream, { receivedEncodedLength: Number(raw.headers["content-length"]) });
}
