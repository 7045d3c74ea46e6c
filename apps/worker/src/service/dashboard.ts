import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { Life, LifeState } from "@taskloom/loop/lifecycle";
import { openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import { DashboardError } from "../errors/dashboard-error.ts";
import { EngineOperations } from "../operations/engine-operations.ts";
import type { DashboardApp } from "./dashboard-app.ts";

/** The permission of a person at a dashboard: `"operate"` permits everything, `"read"` changes nothing. */
export type DashboardAccess = "operate" | "read";

/** A request as the user's app has it: Express's `Request`, or Fastify's `FastifyRequest`. */
export interface DashboardRequest {
  readonly headers: IncomingHttpHeaders;
  /** The properties that the app and its plugins have added, such as `user` or `session`. */
  readonly [property: string]: unknown;
}

/** The options of a {@link dashboard}. */
export interface DashboardOptions {
  /**
   * Returns the permission of a request, after the app's own authentication. `undefined` refuses the request with 403. An
   * error is answered with its `statusCode`.
   */
  readonly authorize: (
    request: DashboardRequest,
  ) => DashboardAccess | undefined | Promise<DashboardAccess | undefined>;
  /** The engine, or its URL. Default `"embedded:.taskloom"`. An engine that is passed in is not closed. */
  readonly engine?: string | Engine;
  /** The queues that are shown even while they are empty. Default `["default"]`. */
  readonly queues?: readonly string[];
  /** Task modules, whose tasks can be submitted from the page while no worker runs. Default: none. */
  readonly modules?: readonly object[];
  /** The largest body of a request, in bytes. Default 1 MiB. */
  readonly bodyLimit?: number;
  /** The event streams and waiting requests that can be open at once. Default 1,000. */
  readonly maxStreams?: number;
  /**
   * Notified of errors that are answered with 500: a {@link DashboardError} with the code `DASHBOARD_FAILED` for one of the
   * page's or the API's own, and the error itself for one of the app around it. Default: a process warning.
   */
  readonly onError?: (error: Error) => void;
}

/** The part of a Fastify instance that a {@link Dashboard} uses. */
export interface DashboardScope {
  readonly prefix: string;
  removeAllContentTypeParsers(): unknown;
  addContentTypeParser(
    type: string,
    parser: (request: unknown, payload: unknown, done: (error: Error | null, body?: unknown) => void) => void,
  ): unknown;
  addHook(name: "onClose", hook: () => Promise<void>): unknown;
  all(path: string, handler: (request: ScopedRequest, reply: ScopedReply) => void): unknown;
}

interface ScopedRequest {
  readonly raw: IncomingMessage;
  readonly headers: IncomingHttpHeaders;
}

interface ScopedReply {
  readonly raw: ServerResponse;
  hijack(): unknown;
  getHeaders(): Readonly<Record<string, number | string | string[] | undefined>>;
}

/** The origin of a request: the request of the user's app, and the path under which the dashboard is there. */
interface Origin {
  readonly request: unknown;
  readonly base: string;
}

const DEFAULTS = { engine: "embedded:.taskloom", bodyLimit: 1_048_576, maxStreams: 1_000 } as const;

/** The live page and its API, for a user's app. {@link dashboard} makes one. */
export class Dashboard implements Life {
  readonly #options: DashboardOptions;
  readonly #engine: Engine;
  readonly #ownsEngine: boolean;
  readonly #operations: EngineOperations;
  readonly #origins = new WeakMap<IncomingMessage, Origin>();
  readonly #life = new Lifecycle(
    () => new DashboardError("DASHBOARD_CLOSED", "The dashboard is closed: make a new one"),
  );
  #app: DashboardApp | undefined;

  /** @throws {@link DashboardError} with the code `DASHBOARD_OPTIONS` without `authorize`. */
  constructor(options: DashboardOptions) {
    if (typeof options.authorize !== "function") {
      throw new DashboardError(
        "DASHBOARD_OPTIONS",
        `Expected \`authorize\` to be a function that returns "operate", "read" or undefined for a request, got ${typeof options.authorize}`,
      );
    }
    this.#options = options;
    const { engine = DEFAULTS.engine, queues = ["default"], modules = [] } = options;
    this.#ownsEngine = typeof engine === "string";
    this.#engine = typeof engine === "string" ? openEngine(engine) : engine;
    this.#operations = new EngineOperations(this.#engine, queues, modules);
  }

  /** `open` until {@link close}. */
  get state(): LifeState {
    return this.#life.state;
  }

  /**
   * Resolves when the dashboard can answer. The first request waits for it, so calling it is optional.
   *
   * @throws {@link DashboardError} with the code `DASHBOARD_CLOSED` after {@link close}.
   */
  ready(): Promise<void> {
    return this.#life.start(async () => {
      // Loaded here: a config file imports this package, too, and needs no web server.
      const { DashboardApp: App } = await import("./dashboard-app.ts");
      const { authorize, bodyLimit, maxStreams, onError = warn } = { ...DEFAULTS, ...this.#options };
      this.#app = await App.create({
        engine: this.#engine,
        operations: this.#operations,
        authorize: async (raw) => await authorize(this.#origins.get(raw)!.request as DashboardRequest),
        baseOf: (raw) => this.#origins.get(raw)!.base,
        bodyLimit,
        maxStreams,
        log: { error: (line) => onError(failureOf(line)) },
      });
    });
  }

  /** The middleware for Express: `app.use("/jobs", panel.express)`. */
  readonly express = async (
    request: IncomingMessage & { readonly originalUrl?: string; readonly baseUrl?: string },
    response: ServerResponse,
    next: (error?: unknown) => void,
  ): Promise<void> => {
    const { originalUrl = "", baseUrl = "" } = request;
    try {
      await this.#answer(request, response, request, baseUrl, originalUrl);
    } catch (error) {
      next(error); // Express 4 does not notice a rejection.
    }
  };

  /** The plugin for Fastify: `app.register(panel.fastify, { prefix: "/jobs" })`. Closes with the app. */
  readonly fastify = async (scope: DashboardScope): Promise<void> => {
    const prefix = scope.prefix.replace(/\/+$/, "");
    // The body is left for the dashboard's own parser.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
    scope.addHook("onClose", () => this.close());
    const answer = (request: ScopedRequest, reply: ScopedReply): void => {
      reply.hijack();
      const { raw: response } = reply;
      for (const [name, value] of Object.entries(reply.getHeaders()))
        if (value !== undefined) response.setHeader(name, value);
      const { raw } = request;
      const { url = "/" } = raw;
      Object.assign(raw, { originalUrl: url, url: url.slice(prefix.length) });
      this.#answer(raw, response, request, prefix, url).catch((error: Error) => {
        this.#notify(error);
        response.writeHead(500).end();
      });
    };
    scope.all("/*", answer);
    if (prefix !== "") scope.all("", answer);
  };

  async #answer(
    raw: IncomingMessage,
    response: ServerResponse,
    request: unknown,
    base: string,
    original: string,
  ): Promise<void> {
    const { method, url = "/" } = raw;
    const [path = "", query] = original.split("?", 2);
    const isRoot = url === "" || url === "/" || url.startsWith("?") || url.startsWith("/?");
    if (isRoot && !path.endsWith("/") && (method === "GET" || method === "HEAD")) {
      // The page's addresses are relative, so its own address ends with a slash.
      const name = path.slice(path.lastIndexOf("/") + 1);
      response.writeHead(308, { location: `${name}/${query === undefined ? "" : `?${query}`}` }).end();
      return;
    }
    this.#origins.set(raw, { request, base });
    await this.ready();
    this.#app!.handle(raw, response);
  }

  #notify(error: Error): void {
    (this.#options.onError ?? warn)(error);
  }

  /** Ends open event streams, and closes the engine that the dashboard has opened. */
  close(): Promise<void> {
    return this.#life.stop(async () => {
      await this.#life.startEnded();
      await this.#app?.close();
      await this.#operations.close();
      if (this.#ownsEngine) await this.#engine.close();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Returns the error of a line of the log, for a listener. */
function failureOf({ method, path, error }: Readonly<Record<string, unknown>>): DashboardError {
  const failure = new DashboardError(
    "DASHBOARD_FAILED",
    `The dashboard could not answer ${String(method)} ${String(path)}`,
  );
  if (typeof error === "string") failure.stack = `${failure.name}: ${failure.message}\n${error}`;
  return failure;
}

function warn(error: Error): void {
  process.emitWarning(error);
}

/**
 * Makes the live page and its API for an app of Fastify or Express, which lets people in.
 *
 * @throws {@link DashboardError} for a missing `authorize`, {@link EngineUrlError} for a URL that names no engine.
 *
 * @example
 * ```ts
 * import { dashboard } from "@taskloom/worker";
 * import { fastify } from "fastify";
 *
 * const app = fastify();
 * const panel = dashboard({ engine: "memory:", authorize: () => "read" });
 * await app.register(panel.fastify, { prefix: "/jobs" });
 * const answer = await app.inject("/jobs/about");
 * console.log(answer.json().access); // read
 * await app.close();
 * ```
 */
export function dashboard(options: DashboardOptions): Dashboard {
  return new Dashboard(options);
}
