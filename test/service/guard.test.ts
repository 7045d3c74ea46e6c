import { request } from "node:http";
import { connect } from "node:net";
import { Redis } from "ioredis";
import { expect, vi } from "vitest";
import { redisTest } from "../support/redis.ts";
import { taskloom } from "../support/taskloom-process.ts";
import { Service, tasksModule } from "./service.ts";

// Each test starts processes, which takes long on a busy machine.
vi.setConfig({ testTimeout: 180_000 });

const operate = "operate-token-of-a-test";
const read = "read-token-of-a-test";
const tokens = { TASKLOOM_TOKEN: operate, TASKLOOM_READ_TOKEN: read };
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

const test = redisTest.extend<{ $test: { service: Service; guarded: Service } }>({
  service: async ({ redis }, use) => {
    const service = await Service.start(redis.url);
    await use(service);
    await service.stop();
  },
  guarded: async ({ redis }, use) => {
    const service = await Service.start(redis.url, [], tokens);
    await use(service);
    await service.stop();
  },
});

/** An answer's status and code. */
async function said(answer: Promise<Response>): Promise<string> {
  const response = await answer;
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  const { code = "" } = isJson ? ((await response.json()) as { code?: string }) : {};
  return `${response.status} ${code}`.trim();
}

test("a right token passes whatever else came from its address, and bad ones are told nothing after twenty", async ({
  guarded,
}) => {
  const answers: string[] = [];
  for (let guess = 0; guess < 25; guess++)
    answers.push(await said(guarded.ask("GET", "/queues", undefined, bearer(`guess-${guess}`))));
  expect(answers.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => "401 TOKEN"));
  expect(new Set(answers.slice(20))).toEqual(new Set(["429 TOO_MANY_GUESSES"]));
  expect((await guarded.ask("GET", "/queues", undefined, bearer(read))).status).toBe(200);
  const body = { args: [1, 2] };
  expect((await guarded.ask("POST", "/tasks/test.add", body, bearer(operate))).status).toBe(201);
  expect(await said(guarded.ask("POST", "/tasks/test.add", body, bearer(read)))).toBe("403 READ_ONLY");
});

test("the address that a trusted proxy forwards counts, and anybody else's word for it does not", async ({
  redis,
}) => {
  const statuses = async (service: Service): Promise<Set<number>> => {
    const all = new Set<number>();
    for (let guess = 0; guess < 25; guess++) {
      const headers = { ...bearer(`guess-${guess}`), "x-forwarded-for": `10.0.0.${guess}` };
      all.add((await service.ask("GET", "/queues", undefined, headers)).status);
    }
    return all;
  };
  const trusting = await Service.start(redis.url, ["--trust-proxy", "loopback, 10.1.0.0/16"], tokens);
  expect(await statuses(trusting)).toEqual(new Set([401]));
  await trusting.stop();
  const wary = await Service.start(redis.url, ["--trust-proxy", "10.1.0.0/16"], tokens);
  expect(await statuses(wary)).toEqual(new Set([401, 429]));
  await wary.stop();
  const refused = await taskloom("worker", tasksModule, "--trust-proxy", "10.0.0.0/99", "--print-config");
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("Expected --trust-proxy to be addresses or ranges") as string,
  });
});

test("looking writes nothing: no GET creates a key, and a queue that nobody serves is unknown", async ({
  redis,
  guarded,
}) => {
  const admin = new Redis(redis.url);
  const look = async (path: string): Promise<string> =>
    await said(guarded.ask("GET", path, undefined, bearer(read)));
  const paths = (queue: string): string[] => [
    `/jobs?queue=${queue}`,
    `/jobs/loop.none?queue=${queue}`,
    `/jobs/loop.none?queue=${queue}&wait=0`,
    `/jobs/loop.none/logs?queue=${queue}`,
    `/jobs/loop.none/events?queue=${queue}`,
    `/failed?queue=${queue}`,
    `/schedules?queue=${queue}`,
  ];
  for (const path of [...paths("default"), "/queues", "/workers", "/metrics", "/board/api/queues"])
    await look(path);
  const before = new Set(await admin.keys("*"));
  for (const queue of ["nobody-serves-this", "a:b", "%00", "x".repeat(256)])
    for (const path of paths(queue)) expect(await look(path), path).toBe("404 QUEUE_UNKNOWN");
  for (const path of [...paths("default"), "/queues", "/metrics", "/board/api/queues"]) await look(path);
  // The service's own worker checks for lapsed locks and counts its jobs meanwhile.
  const isOfWorker = (key: string): boolean => /:stalled-check$|:taskloom-history:/.test(key);
  expect((await admin.keys("*")).filter((key) => !before.has(key) && !isOfWorker(key))).toEqual([]);
  await admin.quit();
});

test("a page of another site causes nothing, and a link to the live page is followed", async ({
  service,
  guarded,
}) => {
  const other = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" };
  const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
  for (const path of ["/", "/jobs?text=a", "/queues", "/healthz", "/board/", "/nothing", "/%zz"]) {
    expect(await said(service.ask("GET", path, undefined, other)), path).toBe("403 OTHER_SITE");
    expect(await said(guarded.ask("GET", path, undefined, { ...other, ...bearer(read) })), path).toBe(
      "403 OTHER_SITE",
    );
  }
  for (const site of ["same-site", "cross-site"])
    expect(await said(service.ask("GET", "/queues", undefined, { "sec-fetch-site": site }))).toBe(
      "403 OTHER_SITE",
    );
  expect(await said(service.ask("GET", "/queues", undefined, { origin: "http://other.example" }))).toBe(
    "403 OTHER_SITE",
  );
  expect(await asked(service.address, "/", link)).toBe("200");
  expect(await asked(service.address, "/jobs", link)).toBe("403 OTHER_SITE");
  expect((await service.ask("GET", "/queues", undefined, { "sec-fetch-site": "same-origin" })).status).toBe(
    200,
  );
  expect((await service.ask("GET", "/queues", undefined, { origin: service.address })).status).toBe(200);
});

test("what is no request of this service is answered in the one format, and after the guard", async ({
  service,
  guarded,
}) => {
  expect(await said(guarded.ask("GET", "/%zz"))).toBe("401 TOKEN");
  expect(await said(guarded.ask("GET", `/jobs/${"a".repeat(400)}`))).toBe("401 TOKEN");
  expect(await said(guarded.ask("GET", "/%zz", undefined, bearer(read)))).toBe("400 URL");
  expect(await said(service.ask("GET", `/jobs/${"a".repeat(400)}`))).toBe("414 URL_TOO_LONG");
  for (const host of ["[::1", "a b", "a/b", "user@localhost", "localhost:99999"])
    expect(await asked(service.address, "/queues", { host }), host).toBe("400 HOST");
  expect(await asked(service.address, "/queues", { host: "evil.example" })).toBe("403 OTHER_NAME");
  expect(await asked(service.address, "/queues", { host: "LOCALHOST:1" })).toBe("200");
  expect(await raw(service.address, "NONSENSE\r\n\r\n")).toMatch(/^HTTP\/1.1 400 [^]*\{"code":"HTTP"/);
  expect(await raw(service.address, "GET /queues HTTP/1.1\r\nHost:\r\n\r\n")).toContain('{"code":"HOST"');
  expect(await raw(service.address, "GET /queues HTTP/1.1\r\n\r\n")).toMatch(
    /^HTTP\/1.1 400 [^]*\{"code":"HOST"/,
  );
  expect(await raw(service.address, `GET / HTTP/1.1\r\nx: ${"x".repeat(40_000)}\r\n\r\n`)).toMatch(
    /^HTTP\/1.1 431 [^]*\{"code":"HEADERS_TOO_LARGE"/,
  );
});

/** Sends a request with headers that `fetch` sets itself. */
function asked(address: string, path: string, headers: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    request(`${address}${path}`, { headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.once("end", () => {
        const isJson = response.headers["content-type"]?.includes("json") === true;
        const { code = "" } = isJson ? (JSON.parse(text) as { code?: string }) : {};
        resolve(`${response.statusCode} ${code}`.trim());
      });
    })
      .on("error", reject)
      .end();
  });
}

/** Returns the answer of a connection to a text, until it is closed. */
function raw(address: string, text: string): Promise<string> {
  const { hostname, port } = new URL(address);
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(Number(port), hostname, () => socket.end(text));
    socket.setEncoding("utf8").on("data", (chunk: string) => (answer += chunk));
    socket.on("error", () => {}); // it closes after its answer, even if it has not read all
    socket.once("close", () => resolve(answer));
  });
}
