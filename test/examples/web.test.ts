import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allTasks, coroutine, currentTask, Event, gather, run, sleep } from "@taskloom/loop";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { createConnection, createPool } from "mysql2/promise";
import type { RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { databaseApp } from "../../examples/web-database-query.ts";
import { helloApp } from "../../examples/web-hello.ts";
import { asTask, slowApp } from "../../examples/web-request-is-a-task.ts";
import { routesApp } from "../../examples/web-several-routes.ts";
import { staticApp } from "../../examples/web-static-page.ts";
import { testDatabase } from "./maria-db.ts";
import type { TestDatabase } from "./maria-db.ts";
import { outputOf } from "./output.ts";

/** Serves `app` at a free port during a run. */
async function served(app: FastifyInstance, body: (url: string) => Promise<void>): Promise<void> {
  await run(async () => {
    try {
      await body(await app.listen({ port: 0, host: "127.0.0.1" }));
    } finally {
      await app.close();
    }
  });
}

async function get(url: string): Promise<[status: number, text: string]> {
  const response = await fetch(url);
  return [response.status, await response.text()];
}

/** Sends a request, waits until `isServed`, and disconnects without waiting for the answer. */
async function askAndLeave(url: string, isServed: () => boolean): Promise<void> {
  const { hostname, port, pathname } = new URL(url);
  const socket = connect(Number(port), hostname, () =>
    socket.write(`GET ${pathname} HTTP/1.1\r\nHost: x\r\n\r\n`),
  );
  while (!isServed()) await sleep(1);
  socket.destroy();
}

const requests = (): string[] =>
  [...allTasks()].map((task) => task.getName()).filter((name) => name.startsWith("GET"));

test("hello", () =>
  served(helloApp(), async (url) => {
    expect(await get(url)).toEqual([200, "Hello, World!"]);
  }));

test("a static page, and a 404 where it is missing", async () => {
  await served(staticApp(join(import.meta.dirname, "../../examples/pages")), async (url) => {
    const response = await fetch(url);
    expect(response.headers.get("content-type")).toContain("text/html");
    expect(await response.text()).toContain("<h1>A static page</h1>");
  });
  const empty = mkdtempSync(join(tmpdir(), "taskloom-"));
  await served(staticApp(empty), async (url) => {
    expect(await get(url)).toEqual([404, "Page not found"]);
  });
  rmSync(empty, { recursive: true });
});

test("several routes", () =>
  served(routesApp(), async (url) => {
    expect(await get(`${url}/`)).toEqual([200, "This is the home page"]);
    expect(await get(`${url}/about`)).toEqual([200, "This is the about page"]);
    expect((await get(`${url}/nowhere`))[0]).toBe(404);
    expect(requests()).toEqual([]);
  }));

describe("a client that goes away", () => {
  test("its request's task is cancelled", async () => {
    const lines = await outputOf(() =>
      served(slowApp(), async (url) => {
        await askAndLeave(`${url}/slow`, () => requests().length > 0);
        while (requests().length > 0) await sleep(1);
      }),
    );
    expect(lines).toEqual(["slow: begins", "slow: the client went away"]);
  });

  test("all that the handler waits for is cancelled, another server included, and its finally has run", async () => {
    const events: string[] = [];
    const asked = new Event();
    const upstream = createServer((request) => {
      request.once("close", () => events.push("upstream: the request was given up"));
      asked.set(); // this request is never answered
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    const { port } = upstream.address() as AddressInfo;
    const sleeper = coroutine(async () => {
      try {
        await sleep(60_000);
      } finally {
        events.push("sleeper: ended");
      }
    });
    const app = Fastify();
    app.get(
      "/work",
      asTask(async () => {
        try {
          const signal = currentTask()!.signal;
          await gather([sleeper(), () => fetch(`http://127.0.0.1:${port}/`, { signal })]);
        } finally {
          await sleep(1); // cleaning up may take some time
          events.push("handler: cleaned up");
        }
      }),
    );
    await served(app, async (url) => {
      await askAndLeave(`${url}/work`, () => asked.isSet());
      while (events.length < 3) await sleep(1);
      while (allTasks().size > 1) await sleep(1);
    });
    upstream.closeAllConnections();
    upstream.close();
    expect(events.toSorted()).toEqual([
      "handler: cleaned up",
      "sleeper: ended",
      "upstream: the request was given up",
    ]);
  });

  test("a client that stays gets its answer, and may ask again over the same connection", async () => {
    const events: string[] = [];
    const app = Fastify();
    app.get(
      "/:n",
      asTask(async (request) => {
        const task = currentTask()!;
        task.addDoneCallback(() => events.push(task.cancelled() ? "cancelled" : "done"));
        await sleep(1);
        return `answer to ${request.url}`;
      }),
    );
    await served(app, async (url) => {
      for (let i = 0; i < 5; i++) expect(await get(`${url}/${i}`)).toEqual([200, `answer to /${i}`]);
      expect(requests()).toEqual([]);
    });
    expect(events).toEqual(["done", "done", "done", "done", "done"]);
  });
});

describe("a database query through a pool", () => {
  let database: TestDatabase | undefined;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database?.close());
  const note = "no MariaDB answers at 127.0.0.1:3306, and none could be started";

  test("the rows, over as many connections as the pool has", async ({ skip }) => {
    skip(database === undefined, note);
    const pool = createPool({ uri: database!.uri, connectionLimit: 2 });
    let connections = 0;
    pool.on("connection", () => connections++);
    await served(databaseApp(pool), async (url) => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => get(`${url}/db_query`)));
      for (const answer of answers) {
        expect(answer).toEqual([200, '{"id":1,"name":"Ada"}\n{"id":2,"name":"Grace"}']);
      }
      expect(connections).toBe(2);
    });
  });

  test("a client that goes away frees its place in the pool, and the database stops working for it", async ({
    skip,
  }) => {
    skip(database === undefined, note);
    const pool = createPool({ uri: database!.uri, connectionLimit: 1 });
    const watching = await createConnection(database!.uri);
    const slowQueries = async (): Promise<number> => {
      const [rows] = await watching.query<RowDataPacket[]>(
        "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'SELECT SLEEP%'",
      );
      return rows.length;
    };
    await served(databaseApp(pool), async (url) => {
      let running = 0;
      const leaving = askAndLeave(`${url}/slow_query`, () => running > 0);
      while (running === 0) running = await slowQueries();
      await leaving;
      while (requests().length > 0) await sleep(1);
      while ((await slowQueries()) > 0) await sleep(1); // the query would last a minute
      expect((await get(`${url}/db_query`))[0]).toBe(200);
    });
    await watching.end();
  });
});
