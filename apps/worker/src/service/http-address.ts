import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { Life, LifeState } from "@taskloom/loop/lifecycle";
import { LONGEST_DELAY } from "@taskloom/loop/timer";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import type { HttpApp } from "./http-app.ts";
import type { HttpOptions } from "./http-options.ts";
import { answerClientError } from "./http/errors.ts";
import { isLoopback } from "./http/guard.ts";
import { listen } from "./http/listening.ts";
import type { ListenAddress, ListenTarget } from "./http/listening.ts";
import { Waits } from "./http/waits.ts";

/** The time that open answers have when the service closes. */
const CLOSE_PATIENCE_MS = 1_000;
/** The interval at which idle connections are closed meanwhile. */
const CLOSE_INTERVAL_MS = 10;
/** The time for which an idle connection of a client stays open; longer than that of the proxies in front of it. */
const KEEP_ALIVE_MS = 72_000;

/**
 * The HTTP address of a service: API, live page, bull-board and metrics.
 *
 * The address is open from {@link listen} on. Everything behind it is loaded with the first request, because a worker
 * that nobody asks would otherwise spend a quarter of its memory on it.
 */
export class HttpAddress implements Life {
  readonly #options: HttpOptions;
  readonly #server: Server;
  readonly #waits: Waits;
  readonly #life = new Lifecycle(
    () => new CliFailure("SERVICE_CLOSED", "The HTTP service is closed: create a new one"),
  );
  #opening: Promise<HttpApp> | undefined;
  #app: HttpApp | undefined;
  #address: ListenAddress | undefined;

  /** @throws {@link CliFailure} with the code `NO_TOKEN` for an address beyond this machine without a token. */
  constructor(options: HttpOptions) {
    const { host, token, readToken } = options;
    if (host !== undefined && !isLoopback(host) && token === undefined && readToken === undefined) {
      throw new CliFailure(
        "NO_TOKEN",
        `${host} can be reached from other machines, so it needs a token; set TASKLOOM_TOKEN (and TASKLOOM_READ_TOKEN), or leave --host out`,
        { exitCode: EXIT_CODES.usage },
      );
    }
    this.#options = options;
    this.#waits = new Waits(options.maxStreams);
    this.#server = makeServer(options.requestTimeout, (request, response) => this.#answer(request, response));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (this.#app !== undefined) return this.#app.handle(request, response);
    this.#opening ??= this.#open();
    this.#opening.then(
      // Each request has a turn of its own, as from a socket: the limit of requests counts all of one turn at once
      // (@fastify/rate-limit 11.2), and would refuse every request that came while the app was being loaded.
      (app) => setImmediate(() => app.handle(request, response)),
      (error: Error) => this.#fail(response, error),
    );
  }

  async #open(): Promise<HttpApp> {
    const { HttpApp } = await import("./http-app.ts");
    this.#app = await HttpApp.create(this.#options, this.#waits);
    return this.#app;
  }

  /** Answers a request whose app cannot be loaded, as after an incomplete update of the package. */
  #fail(response: ServerResponse, { stack }: Error): void {
    this.#opening = undefined; // The next request tries again.
    this.#options.logger.error({ event: "http", error: stack });
    const body = { code: "INTERNAL", message: "The service failed; its log has the reason" };
    response.writeHead(500, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
  }

  /** Listens, and returns the address for clients. */
  async listen(target: ListenTarget): Promise<ListenAddress> {
    await this.#life.start(async () => {
      this.#address = await listen(this.#server, target);
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
    const server = this.#server;
    const app = await this.#opening?.catch(() => undefined);
    const closed = Promise.all([ended(server), app?.close()]);
    const timer = setInterval(() => server.closeIdleConnections(), CLOSE_INTERVAL_MS);
    await Promise.race([closed, delay(CLOSE_PATIENCE_MS, undefined, { ref: false })]);
    clearInterval(timer);
    server.closeAllConnections();
    await closed;
  }
}

function makeServer(
  requestTimeout: number,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  // The server of Node takes whole milliseconds, and 16.1 s are 16,100.000000000002 ms.
  const timeout = Math.min(Math.ceil(requestTimeout * 1_000), LONGEST_DELAY);
  const server = createServer(
    {
      requestTimeout: timeout,
      headersTimeout: timeout,
      connectionsCheckingInterval: Math.min(1_000, Math.ceil(timeout / 2)),
      keepAliveTimeout: KEEP_ALIVE_MS,
      requireHostHeader: false, // The guard checks the header, and answers in the format of all errors.
    },
    answer,
  );
  server.on("clientError", answerClientError);
  return server;
}

/** Closes a server; resolves when its last connection is closed. */
function ended(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
