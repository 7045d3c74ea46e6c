import type { AddressInfo } from "node:net";
import type { TaskQueue, WorkerStats } from "@taskloom/queue";
import { type FastifyInstance, fastify } from "fastify";
import { CliFailure } from "../cli/failure.ts";

const host = "127.0.0.1";

/** What the HTTP address tells. */
export interface HttpSources {
  readonly queue: TaskQueue;
  readonly workers: () => readonly WorkerStats[];
}

/** The service's HTTP address, on loopback: whether it lives, what its queue holds, what its workers do. */
export class HttpServer {
  readonly #app: FastifyInstance;

  constructor({ queue, workers }: HttpSources) {
    this.#app = fastify({ forceCloseConnections: true });
    this.#app.get("/healthz", () => ({ status: "ok", pid: process.pid }));
    this.#app.get("/queues", async () => ({
      [queue.name]: { loop: await queue.counts("loop"), thread: await queue.counts("thread") },
    }));
    this.#app.get("/workers", () => workers());
  }

  /** Listens, and gives the address. Port 0 takes any free one. */
  async listen(port: number): Promise<string> {
    try {
      await this.#app.listen({ host, port });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EADDRINUSE") {
        throw new CliFailure(
          "PORT_IN_USE",
          `port ${port} on ${host} is in use; end what uses it, or choose another with --port (0 takes any free one).`,
          { cause: error },
        );
      }
      if (code === "EACCES") {
        throw new CliFailure(
          "PORT_REFUSED",
          `port ${port} is not allowed to this user; choose one from 1024 with --port.`,
          {
            cause: error,
          },
        );
      }
      throw error;
    }
    return `http://${host}:${(this.#app.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await this.#app.close();
  }
}
