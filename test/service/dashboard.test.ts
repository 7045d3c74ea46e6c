import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Server } from "node:http";
import { TaskQueue, TaskWorker, UnrecoverableError, defineTask, openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import { DashboardError, dashboard } from "@taskloom/worker";
import type { Dashboard, DashboardOptions, DashboardRequest } from "@taskloom/worker";
import express from "express";
import { fastify } from "fastify";
import { expect, test as base } from "vitest";

const greet = defineTask({ name: "greet" }, async (name: string) => `Hello, ${name}.`);
const refuse = defineTask({ name: "refuse" }, async () => {
  throw new UnrecoverableError("no disk");
});

/** An engine in memory with a worker and two ended jobs. */
const test = base.extend<{ engine: Engine; done: string; failed: string }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  engine: async ({}, use) => {
    const engine = openEngine("memory:dashboard");
    await using worker = new TaskWorker({ engine, tasks: [greet, refuse], threads: 1 });
    const running = worker.run();
    running.catch(() => {});
    await worker.ready();
    await use(engine);
    await worker.stop();
    await engine.close();
  },
  done: async ({ engine }, use) => {
    await using queue = new TaskQueue({ engine });
    const submitted = queue.submit(greet, "Ada");
    await submitted;
    await use(submitted.id);
  },
  failed: async ({ engine }, use) => {
    await using queue = new TaskQueue({ engine });
    const submitted = queue.submit(refuse);
    await submitted.catch(() => {});
    await use(submitted.id);
  },
});

/** The role that a header of the tests names. The apps' own authentication sets it. */
const byRole: DashboardOptions["authorize"] = ({ role, raw }: DashboardRequest) => {
  const of = (role ?? (raw as { role?: unknown } | undefined)?.role) as string | undefined;
  return of === "admin" ? "operate" : of === "guest" ? "read" : undefined;
};

const apps = {
  async express(panel: Dashboard, parses: boolean): Promise<Server> {
    const app = express();
    if (parses) app.use(express.json());
    app.use("/admin/jobs", (request, response, next) => {
      const { role } = request.headers;
      if (role === undefined) return void response.status(401).send("sign in");
      Object.assign(request, { role });
      next();
    });
    app.use("/admin/jobs", panel.express);
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    return server;
  },
  async fastify(panel: Dashboard, parses: boolean): Promise<Server> {
    const app = fastify();
    await app.register(
      async (scope) => {
        scope.addHook("onRequest", async (request, reply) => {
          const { role } = request.headers;
          if (role === undefined) return await reply.status(401).send("sign in");
          Object.assign(parses ? request.raw : request, { role });
          void reply.header("set-cookie", "session=1");
        });
        await scope.register(panel.fastify, { prefix: "/jobs" });
      },
      { prefix: "/admin" },
    );
    await app.listen({ host: "127.0.0.1", port: 0 });
    app.server.on("close", () => void app.close());
    return app.server;
  },
};

for (const kind of ["express", "fastify"] as const) {
  for (const parses of [false, true]) {
    test(`${kind} ${parses ? "with a parsed body" : "alone"} mounts the page and its API behind its own authentication`, async ({
      engine,
      done,
      failed,
    }) => {
      await using panel = dashboard({ engine, authorize: byRole });
      const server = await apps[kind](panel, parses);
      const { port } = server.address() as AddressInfo;
      const ask = async (method: string, path: string, role?: string, body?: unknown, headers = {}) =>
        await fetch(`http://127.0.0.1:${port}/admin/jobs${path}`, {
          method,
          redirect: "manual",
          headers: {
            ...(role === undefined ? {} : { role }),
            ...(body === undefined ? {} : { "content-type": "application/json" }),
            ...headers,
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
      try {
        expect((await ask("GET", "/queues")).status).toBe(401);
        expect(await (await ask("GET", "/queues", "stranger")).json()).toMatchObject({ code: "FORBIDDEN" });

        const moved = await ask("GET", "?x=1", "guest");
        expect([moved.status, moved.headers.get("location")]).toEqual([308, "jobs/?x=1"]);
        const page = await ask("GET", "/", "guest");
        expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
        expect(page.headers.get("set-cookie")).toBe(kind === "fastify" ? "session=1" : null);
        const html = await page.text();
        expect(html).not.toMatch(/(href|src)="\//); // Addresses from the root of the host would miss the prefix.
        for (const [, file] of html.matchAll(/(?:href|src)="([\w/.]+\.(?:js|css|svg))"/g))
          expect((await ask("GET", `/${file}`, "guest")).status, file).toBe(200);

        expect(await (await ask("GET", "/about", "guest")).json()).toMatchObject({
          access: "read",
          engine: "memory:dashboard",
          hasBoard: false,
        });
        expect(await (await ask("GET", `/jobs/${done}`, "guest")).json()).toMatchObject({
          state: "completed",
          value: "Hello, Ada.",
        });
        expect(await (await ask("GET", "/workers", "guest")).json()).toEqual([]);
        expect(await (await ask("PUT", "/queues/default", "guest", { paused: true })).json()).toMatchObject({
          code: "READ_ONLY",
        });
        expect((await ask("PUT", "/queues/default", "admin", { paused: true })).status).toBe(204);
        expect(await (await ask("GET", "/queues", "guest")).json()).toMatchObject({
          default: { isPaused: true, workers: 1, loop: { completed: 1, failed: 1 } },
        });
        expect((await ask("PUT", "/queues/default", "admin", { paused: "x" })).status).toBe(400);
        expect((await ask("PUT", "/queues/default", "admin", { paused: false })).status).toBe(204);
        const retried = await ask("POST", "/failed/retry", "admin", { task: "refuse" });
        expect(await retried.json()).toMatchObject({ retried: [failed] });
        expect(await (await ask("GET", "/nothing", "guest")).json()).toMatchObject({ code: "NOT_FOUND" });

        // A proxy may have replaced the Host header, so the browser's own word counts.
        const browser = { origin: "https://shop.example", "sec-fetch-site": "same-origin" };
        expect((await ask("GET", "/queues", "guest", undefined, browser)).status).toBe(200);
        const other = { origin: "https://evil.example", "sec-fetch-site": "cross-site" };
        expect(await (await ask("GET", "/queues", "guest", undefined, other)).json()).toMatchObject({
          code: "OTHER_SITE",
        });
        const old = { origin: "https://evil.example" };
        expect((await ask("GET", "/queues", "guest", undefined, old)).status).toBe(403);
      } finally {
        server.closeAllConnections();
        server.close();
      }
    });
  }
}

test("a submission from a mounted dashboard names the place of its job below the prefix", async ({
  engine,
}) => {
  await using panel = dashboard({ engine, modules: [{ greet }], authorize: () => "operate" });
  const app = fastify();
  await app.register(panel.fastify, { prefix: "/jobs" });
  const answer = await app.inject({ method: "POST", url: "/jobs/tasks/greet", payload: { args: ["Ada"] } });
  expect(answer.statusCode).toBe(201);
  expect(answer.headers.location).toMatch(/^\/jobs\/jobs\/loop\.\w+\?queue=default$/);
  const events = await app.inject(`/jobs/jobs/${answer.json<{ id: string }>().id}/events`);
  expect(events.body).toContain("event: result");
  await app.close();
  expect(panel.state).toBe("stopped");
});

test("an authorization that fails is answered with its status, and other errors reach onError", async ({
  engine,
}) => {
  const errors: Error[] = [];
  let thrown: Error = Object.assign(new Error("The session has ended"), {
    statusCode: 401,
    code: "SESSION_ENDED",
  });
  await using panel = dashboard({
    engine,
    authorize: () => {
      throw thrown;
    },
    onError: (error) => errors.push(error),
  });
  const app = fastify();
  await app.register(panel.fastify, { prefix: "/" });
  const refused = await app.inject("/queues");
  expect([refused.statusCode, refused.json()]).toEqual([
    401,
    { code: "SESSION_ENDED", message: "The session has ended" },
  ]);
  expect(errors).toEqual([]);
  thrown = new TypeError("no session store");
  expect((await app.inject("/queues")).json()).toMatchObject({ code: "INTERNAL" });
  expect(errors).toMatchObject([
    { code: "DASHBOARD_FAILED", message: "The dashboard could not answer GET /queues" },
  ]);
  expect(errors[0]).toBeInstanceOf(DashboardError);
  expect(errors[0]?.stack).toContain("no session store");
  await app.close();
});

test("a dashboard without authorize is refused", () => {
  expect(() => dashboard({} as DashboardOptions)).toThrow(
    expect.objectContaining({ code: "DASHBOARD_OPTIONS", message: expect.stringContaining("authorize") }),
  );
});
