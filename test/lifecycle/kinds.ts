import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Database, SqliteError } from "@taskloom/bullmq-sqlite";
import { EventLoop, Protocol, Runner, UsageError, getEventLoop } from "@taskloom/loop";
import type { LifeState } from "@taskloom/loop/lifecycle";
import { PoolClosedError, ThreadPoolExecutor, threadObject } from "@taskloom/offload";
import {
  EmbeddedDatabaseError,
  EngineUnavailableError,
  QueueClosedError,
  TaskQueue,
  TaskWorker,
  openEngine,
} from "@taskloom/queue";
import { DashboardError, dashboard } from "@taskloom/worker";
import { pino } from "pino";
import { CliFailure } from "../../apps/worker/src/errors/cli-failure.ts";
import { HttpAddress } from "../../apps/worker/src/service/http-address.ts";
import { WatchedWorker } from "../../apps/worker/src/workers/watched-worker.ts";
import { WorkerProcess } from "../../apps/worker/src/workers/worker-process.ts";
import { add } from "./tasks.ts";

/** The places that a kind can need: a folder of its own, and the addresses of servers. */
export interface Places {
  readonly folder: string;
  readonly server?: string;
}

/** An object of one kind, as the rules of the contract see it. */
export interface Living {
  /** Undefined for a kind that shows no state. */
  readonly state: () => LifeState | undefined;
  /** Starts, or uses the object for the first time. The test may stop it meanwhile. */
  readonly start: () => Promise<unknown>;
  readonly stop: () => Promise<unknown>;
  /** A use that is refused after the stop; undefined for a kind without one. */
  readonly use: (() => unknown) | undefined;
  /** Undefined for a kind without `await using`. */
  readonly disposable: AsyncDisposable | undefined;
  /** Closes what the object was given and does not own. */
  readonly release?: () => Promise<unknown>;
}

/** A kind of object that has a life. */
export interface Kind {
  readonly name: string;
  readonly needs?: "redis" | "postgres";
  /** The class and the code of the error with which a use after the stop is refused; undefined without such a use. */
  readonly refusal: readonly [errorClass: new (...args: never[]) => Error, code: string] | undefined;
  open(places: Places): Living | Promise<Living>;
}

/** Describes an object that has `state` and `Symbol.asyncDispose`. */
function living(
  object: AsyncDisposable & { readonly state: LifeState },
  rest: Pick<Living, "start" | "stop" | "use" | "release">,
): Living {
  return { state: () => object.state, disposable: object, ...rest };
}

function engineKind(name: string, refusal: Kind["refusal"], needs?: Kind["needs"]): Kind {
  return {
    name: `the engine ${name}`,
    ...(needs === undefined ? {} : { needs }),
    refusal,
    open({ folder, server }) {
      const engine = openEngine(server ?? (name === "memory:" ? name : `embedded:${join(folder, "jobs")}`));
      return living(engine, {
        start: () => engine.connect(),
        stop: () => engine.close(),
        use: () => engine.connect(),
      });
    },
  };
}

const closedElsewhere = [EngineUnavailableError, "ENGINE_UNAVAILABLE"] as const;

export const kinds: readonly Kind[] = [
  {
    name: "EventLoop",
    refusal: [UsageError, "LOOP_CLOSED"],
    open() {
      const loop = new EventLoop();
      return {
        // asyncio's loop closes at once, so it is never stopping.
        state: () => (loop.isClosed() ? "stopped" : "open"),
        start: async () => loop.callSoon(() => {}),
        stop: async () => loop.close(),
        use: () => loop.callSoon(() => {}),
        disposable: undefined,
      };
    },
  },
  {
    name: "Runner",
    refusal: [UsageError, "RUNNER_CLOSED"],
    open() {
      const runner = new Runner({ handleSignals: false });
      return living(runner, {
        start: async () => runner.getLoop(),
        stop: () => runner.close(),
        use: () => runner.getLoop(),
      });
    },
  },
  {
    name: "Server",
    refusal: [UsageError, "SERVER_CLOSED"],
    async open() {
      const server = await getEventLoop().createServer(() => new Protocol(), {
        host: "localhost",
        port: 0,
        startServing: false,
      });
      return living(server, {
        start: async () => await server.startServing(),
        stop: async () => {
          server.close();
          await server.waitClosed();
        },
        use: async () => await server.startServing(),
      });
    },
  },
  {
    name: "ThreadPoolExecutor",
    refusal: [PoolClosedError, "POOL_CLOSED"],
    open() {
      const pool = new ThreadPoolExecutor({ maxThreads: 1 });
      return living(pool, {
        start: async () => await pool.submit(() => 1),
        stop: () => pool.shutdown(),
        use: () => pool.submit(() => 1),
      });
    },
  },
  {
    name: "threadObject",
    refusal: [PoolClosedError, "POOL_CLOSED"],
    async open() {
      // Every name of the object is a method of the user's class, so it shows no state.
      const emitter = await threadObject<typeof import("node:events"), "EventEmitter">(
        "node:events",
        "EventEmitter",
        [],
      );
      return {
        state: () => undefined,
        start: async () => await emitter.listenerCount("data"),
        stop: async () => await emitter[Symbol.asyncDispose](),
        use: async () => await emitter.listenerCount("data"),
        disposable: emitter,
      };
    },
  },
  {
    name: "TaskQueue",
    refusal: [QueueClosedError, "QUEUE_CLOSED"],
    open({ folder }) {
      const queue = new TaskQueue({ engine: `embedded:${join(folder, "jobs")}` });
      return living(queue, {
        start: () => queue.connect(),
        stop: () => queue.close(),
        use: () => queue.submit(add, 1, 2),
      });
    },
  },
  {
    name: "TaskQueue, by shutdown()",
    refusal: [QueueClosedError, "QUEUE_CLOSED"],
    open({ folder }) {
      const queue = new TaskQueue({ engine: `embedded:${join(folder, "jobs")}` });
      return living(queue, {
        start: () => queue.connect(),
        stop: () => queue.shutdown(),
        use: () => queue.counts(),
      });
    },
  },
  {
    name: "TaskWorker",
    refusal: [QueueClosedError, "QUEUE_CLOSED"],
    open({ folder }) {
      const worker = new TaskWorker({ engine: `embedded:${join(folder, "jobs")}`, tasks: [add], drain: 0 });
      return living(worker, {
        start: async () => {
          worker.run().catch(() => {});
          await worker.ready();
        },
        stop: () => worker.stop(),
        use: () => worker.run(),
      });
    },
  },
  engineKind("memory:", closedElsewhere),
  engineKind("embedded:", [EmbeddedDatabaseError, "EMBEDDED_CLOSED"]),
  engineKind("redis:", closedElsewhere, "redis"),
  engineKind("postgres:", closedElsewhere, "postgres"),
  {
    name: "HttpAddress",
    refusal: [CliFailure, "SERVICE_CLOSED"],
    async open({ folder }) {
      const engine = openEngine(`embedded:${join(folder, "jobs")}`);
      await engine.connect();
      const service = new HttpAddress({
        engine,
        queues: ["default"],
        modules: [],
        metrics: async () => [],
        isReady: () => true,
        host: "127.0.0.1",
        token: undefined,
        readToken: undefined,
        bodyLimit: 1_000,
        rateLimit: 100,
        requestTimeout: 1,
        maxStreams: 1,
        trustProxy: [],
        logger: pino({ level: "silent" }),
      });
      const target = { host: "127.0.0.1", port: 0, orAnyFree: false };
      return living(service, {
        start: () => service.listen(target),
        stop: () => service.close(),
        use: () => service.listen(target),
        release: () => engine.close(),
      });
    },
  },
  {
    name: "Dashboard",
    refusal: [DashboardError, "DASHBOARD_CLOSED"],
    open({ folder }) {
      const panel = dashboard({ engine: `embedded:${join(folder, "jobs")}`, authorize: () => "read" });
      return living(panel, {
        start: () => panel.ready(),
        stop: () => panel.close(),
        use: () => panel.ready(),
      });
    },
  },
  {
    name: "WatchedWorker",
    refusal: [QueueClosedError, "QUEUE_CLOSED"],
    async open({ folder }) {
      const engine = openEngine(`embedded:${join(folder, "jobs")}`);
      await engine.connect();
      const worker = new WatchedWorker({
        engine,
        queues: ["default"],
        modules: [{ add }],
        threads: 1,
        concurrency: 1,
        drain: 0,
        maxLoopDelay: 100,
        maxUtilization: 1,
        slot: 0,
        logger: pino({ level: "silent" }),
      });
      return living(worker, {
        start: () => worker.start(),
        stop: () => worker.stop(),
        use: () => worker.start(),
        release: () => engine.close(),
      });
    },
  },
  {
    name: "WorkerProcess",
    refusal: undefined,
    open({ folder }) {
      const engine = `embedded:${join(folder, "jobs")}`;
      const modules = [fileURLToPath(new URL("tasks.ts", import.meta.url))];
      const worker = new WorkerProcess(
        0,
        { engine, modules, threads: 1, drain: 0, logLevel: "silent" },
        { died: () => {}, gaveUp: () => {} },
      );
      return living(worker, {
        start: () => worker.ready,
        stop: () => worker.stop(),
        use: undefined,
      });
    },
  },
  {
    name: "Database of bullmq-sqlite",
    refusal: [SqliteError, "SQLITE_CLOSED"],
    open({ folder }) {
      const database = Database.use({ path: join(folder, "jobs.sqlite"), sync: "normal" });
      return living(database, {
        start: () => database.ready(),
        stop: () => database.close(),
        use: () => database.statements([["SELECT 1"]]),
      });
    },
  },
];
