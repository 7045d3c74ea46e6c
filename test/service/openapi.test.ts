import { Ajv } from "ajv";
import type { ValidateFunction } from "ajv";
import { describe, expect } from "vitest";
import type { TestAPI } from "vitest";
import { openEngine, TaskQueue } from "@taskloom/queue";
import { FakeOwner } from "../../packages/workflow/test/fake-owner.ts";
import { postgresTest } from "../support/postgres.ts";
import { redisTest } from "../support/redis.ts";
import { basket } from "./fixtures/runs.ts";
import { Service } from "./service.ts";
import type { Job } from "./service.ts";

interface Answer {
  readonly description?: string;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, Answer>> }>>>
  >;
}

/** Sends requests to a service, and compares each answer with its OpenAPI document. */
class Checked {
  readonly document: Document;
  /** The requested routes, with the statuses of their answers. */
  readonly seen = new Map<string, Set<number>>();
  readonly #service: Service;
  readonly #ajv = new Ajv({ strict: false, allErrors: true });
  readonly #validators = new Map<object, ValidateFunction>();

  constructor(service: Service, document: Document) {
    this.#service = service;
    this.document = document;
  }

  /** @param route is the route in the document; `path` is the requested path. */
  async ask(
    method: string,
    route: string,
    path = route,
    ...rest: [unknown?, Record<string, string>?]
  ): Promise<Response> {
    const response = await this.#service.ask(method, path, ...rest);
    const name = `${method} ${route}`;
    const seen = this.seen.get(name) ?? new Set();
    this.seen.set(name, seen.add(response.status));
    const described = this.document.paths[route]?.[method.toLowerCase()]?.responses[response.status];
    expect(described, `${name} answers with ${response.status}, which is not in the document`).toBeDefined();
    const text = await response.clone().text();
    if (response.status === 204) expect(text).toBe("");
    else this.#check(name, described!, response.headers.get("content-type") ?? "", text);
    return response;
  }

  #check(name: string, { content = {} }: Answer, contentType: string, text: string): void {
    const type = (each: string): string | undefined => each.split(";", 1)[0];
    const found = Object.entries(content).find(([each]) => type(each) === type(contentType));
    expect(
      found,
      `${name} answers in ${contentType}; documented are ${Object.keys(content).join(", ")}`,
    ).toBeDefined();
    const { schema } = (found as [string, { schema: object }])[1];
    let validate = this.#validators.get(schema);
    if (validate === undefined) this.#validators.set(schema, (validate = this.#ajv.compile(schema)));
    const value: unknown = type(contentType) === "application/json" ? JSON.parse(text) : text;
    validate(value);
    expect(validate.errors ?? [], `${name}: ${text.slice(0, 500)}`).toEqual([]);
  }
}

/** Submits a run, and calls `use` with the owner of the runs. */
async function engineOf(url: string, use: (owner: FakeOwner) => Promise<void>): Promise<void> {
  const engine = openEngine(url);
  await engine.connect();
  const queue = new TaskQueue({ engine });
  const owner = new FakeOwner(engine, "default", [basket] as never[]);
  await owner.start();
  queue
    .with({ id: "shop", tags: ["eu"] })
    .submit(basket)
    .catch(() => {});
  try {
    await use(owner);
  } finally {
    await owner.close();
    await queue.close();
    await engine.close();
  }
}

/** Returns a value in that many nested arrays, as JSON. */
function nested(depth: number): string {
  return `{"args":[${"[".repeat(depth)}${"]".repeat(depth)}]}`;
}

const engines: readonly { readonly name: string; readonly test: TestAPI<{ engine: string }> }[] = [
  {
    name: "Redis",
    test: redisTest.extend<{ engine: string }>({ engine: async ({ redis }, use) => await use(redis.url) }),
  },
  {
    name: "PostgreSQL",
    test: postgresTest.extend<{ engine: string }>({
      engine: async ({ postgres }, use) => await use(postgres),
    }),
  },
];

describe.each(engines)("on $name", ({ test: engineTest }) => {
  const test = engineTest.extend<{ service: Service }>({
    service: async ({ engine }, use) => {
      const service = await Service.start(engine, ["--body-limit", "100000"]);
      await use(service);
      await service.stop();
    },
  });

  test("every answer of every route is the one that the OpenAPI document describes", async ({
    service,
    engine,
  }) => {
    const document = (await (await service.ask("GET", "/openapi.json")).json()) as Document;
    const checked = new Checked(service, document);
    const ask = checked.ask.bind(checked);
    const refused = async (status: number, code: string, answer: Promise<Response>): Promise<void> => {
      const response = await answer;
      expect({ status: response.status, ...((await response.json()) as object) }).toMatchObject({
        status,
        code,
      });
    };
    const json = { "content-type": "application/json" };

    const { id } = (await (
      await ask("POST", "/tasks/{name}", "/tasks/test.count", { args: [2, 10] })
    ).json()) as Job;
    await ask("GET", "/jobs/{id}", `/jobs/${id}?wait=10`);
    await ask("GET", "/jobs/{id}/events", `/jobs/${id}/events`);
    expect(await (await ask("GET", "/jobs/{id}/logs", `/jobs/${id}/logs`)).json()).toHaveLength(2);
    const failed = (await (
      await ask("POST", "/tasks/{name}", "/tasks/test.fail?wait=10", { args: ["no disk"] })
    ).json()) as Job;
    expect(failed.state).toBe("failed");
    await ask("GET", "/jobs");
    await ask("GET", "/jobs", "/jobs?state=failed&text=disk&limit=1");
    await ask("GET", "/failed");
    await ask("POST", "/failed/retry", "/failed/retry", { task: "test.none" });
    expect(await (await ask("POST", "/failed/retry")).json()).toMatchObject({ retried: [failed.id] });
    await ask("GET", "/jobs/{id}", `/jobs/${failed.id}?wait=10`);
    await ask("POST", "/jobs/{id}/retry", `/jobs/${failed.id}/retry`);
    const waiting = (await (
      await ask("POST", "/tasks/{name}", "/tasks/test.wait", { args: [60_000] })
    ).json()) as Job;
    await expect.poll(async () => (await service.job(waiting.id)).state, { timeout: 20_000 }).toBe("active");
    await expect
      .poll(
        async () => {
          const workers = (await (await ask("GET", "/workers")).json()) as { id: string; jobs: object[] }[];
          return workers[0]?.jobs.length ?? 0;
        },
        { timeout: 20_000 },
      )
      .toBe(1);
    const [worker] = (await (await ask("GET", "/workers")).json()) as { id: string }[];
    await ask("GET", "/workers/others");
    await ask("GET", "/workers/{id}/tree", `/workers/${worker?.id}/tree`);
    await ask("GET", "/workers/{id}/tree", `/workers/${worker?.id}/tree?format=text`);
    await ask("DELETE", "/jobs/{id}", `/jobs/${waiting.id}?reason=enough`);
    await ask("GET", "/queues");
    expect(await (await ask("GET", "/shards")).json()).toMatchObject({ count: 0, shards: [] });
    for (const paused of [true, false]) await ask("PUT", "/queues/{name}", "/queues/default", { paused });
    await ask("PUT", "/queues/{name}/limit", "/queues/default/limit", { max: 1_000, per: 1_000 });
    expect(await (await ask("GET", "/queues")).json()).toMatchObject({
      default: { limit: { max: 1_000, per: 1_000 } },
    });
    expect(await (await ask("GET", "/limits")).json()).toEqual({
      queues: [{ queue: "default", max: 1_000, per: 1_000 }],
      tasks: [],
      total: 0,
    });
    await ask("DELETE", "/queues/{name}/limit", "/queues/default/limit");
    const none = { state: "completed", task: "test.none", limit: 1 };
    await ask("POST", "/queues/{name}/clean", "/queues/default/clean", none);
    const removed = await service.submit("test.add", 1, 2);
    await service.job(removed.id, 10);
    await ask("POST", "/jobs/{id}/remove", `/jobs/${removed.id}/remove`);
    expect(await (await ask("POST", "/queues/{name}/drain", "/queues/default/drain")).json()).toEqual({
      drained: 0,
    });
    await ask("PUT", "/schedules/{id}", "/schedules/hourly", {
      task: "test.add",
      args: [1, 2],
      every: 3_600_000,
    });
    await ask("PUT", "/schedules/{id}", "/schedules/nightly", {
      task: "test.add",
      args: [1, 2],
      cron: "0 3 * * *",
      timezone: "Europe/Paris",
    });
    expect(await (await ask("GET", "/schedules")).json()).toHaveLength(2);
    await ask("POST", "/schedules/{id}/run", "/schedules/nightly/run");
    for (const paused of [true, false])
      await ask("PUT", "/schedules/{id}/paused", "/schedules/nightly/paused", { paused });
    await refused(404, "SCHEDULE_UNKNOWN", ask("POST", "/schedules/{id}/run", "/schedules/none/run"));
    for (const each of ["hourly", "nightly"]) await ask("DELETE", "/schedules/{id}", `/schedules/${each}`);
    await engineOf(engine, async (owner) => {
      const at = "/runs/workflow.shop";
      await expect.poll(() => owner.residents, { timeout: 20_000 }).toContain("workflow.shop");
      await ask("POST", "/runs/{id}/signals/{name}", `${at}/signals/item`, { payload: 3 });
      await ask("POST", "/runs/{id}/updates/{name}", `${at}/updates/size`, { args: [] });
      await ask("POST", "/runs/{id}/updates/{name}", `${at}/updates/refuse`);
      await ask("POST", "/runs/{id}/updates/{name}", `${at}/updates/none?wait=0.05`);
      expect(await (await ask("GET", "/runs", "/runs?tag=eu&state=active")).json()).toMatchObject({
        runs: [{ id: "workflow.shop", tags: ["eu"] }],
      });
      await ask("GET", "/runs/{id}", at);
      await ask("GET", "/runs/{id}/history", `${at}/history`);
      await ask("GET", "/runs/{id}/log", `${at}/log?from=1`);
      owner.park("workflow.shop");
      await expect.poll(() => owner.residents, { timeout: 20_000 }).toEqual([]);
      await ask("POST", "/runs/{id}/cancel", `${at}/cancel`, { message: "enough" });
      await expect
        .poll(async () => ((await (await ask("GET", "/runs/{id}", at)).json()) as Job).state, {
          timeout: 20_000,
        })
        .toBe("cancelled");
      await refused(409, "RUN_ENDED", ask("POST", "/runs/{id}/signals/{name}", `${at}/signals/item`));
      await refused(404, "RUN_UNKNOWN", ask("POST", "/runs/{id}/terminate", "/runs/none/terminate"));
      await ask("POST", "/runs/{id}/terminate", `${at}/terminate`);
      await refused(404, "RUN_UNKNOWN", ask("GET", "/runs/{id}/history", "/runs/none/history"));
    });
    for (const path of ["/healthz", "/readyz", "/metrics", "/about"]) await ask("GET", path);

    // Invalid bodies are refused with the reason, and run nothing.
    for (const body of [
      "0",
      "false",
      '""',
      "[]",
      '"x"',
      "1",
      '{"args":0}',
      '{"delay":"5"}',
      '{"nothing":1}',
      "{",
    ]) {
      const answer = await ask("POST", "/tasks/{name}", "/tasks/test.add", body, json);
      expect(answer.status, body).toBe(400);
    }
    for (const body of ['{"paused":0}', '{"paused":"true"}', "{}", "[]", "null", "0"])
      expect((await ask("PUT", "/queues/{name}", "/queues/default", body, json)).status, body).toBe(400);
    await refused(422, "TOO_LARGE", ask("POST", "/tasks/{name}", "/tasks/test.add", nested(600), json));
    await refused(422, "TOO_LARGE", ask("POST", "/tasks/{name}", "/tasks/test.add", nested(20_000), json));
    await refused(
      422,
      "TOO_LARGE",
      ask(
        "PUT",
        "/schedules/{id}",
        "/schedules/s",
        `{"task":"test.add","every":60000,${nested(600).slice(1)}`,
        json,
      ),
    );
    await refused(413, "BODY_TOO_LARGE", ask("POST", "/tasks/{name}", "/tasks/a", nested(60_000), json));
    const plain = { "content-type": "text/plain" };
    await refused(415, "MEDIA_TYPE", ask("PUT", "/queues/{name}", "/queues/default", "x", plain));
    await refused(404, "TASK_UNKNOWN", ask("POST", "/tasks/{name}", "/tasks/none", {}));
    const later = { args: [1, 2], delay: 3_600_000 };
    const delayed = (await (await ask("POST", "/tasks/{name}", "/tasks/test.add", later)).json()) as Job;
    await ask("POST", "/jobs/{id}/promote", `/jobs/${delayed.id}/promote`);
    await refused(409, "JOB_NOT_DELAYED", ask("POST", "/jobs/{id}/promote", `/jobs/${id}/promote`));
    await refused(404, "JOB_UNKNOWN", ask("POST", "/jobs/{id}/promote", "/jobs/loop.none/promote"));
    await refused(409, "JOB_NOT_FAILED", ask("POST", "/jobs/{id}/retry", `/jobs/${id}/retry`));
    await refused(404, "WORKER_UNKNOWN", ask("GET", "/workers/{id}/tree", "/workers/none/tree"));
    await refused(404, "SCHEDULE_UNKNOWN", ask("DELETE", "/schedules/{id}", "/schedules/none"));
    await refused(404, "QUEUE_UNKNOWN", ask("PUT", "/queues/{name}", "/queues/a:b", { paused: true }));

    // Texts that some engines cannot store unchanged.
    for (const text of ["a\0b", "\ud800", "\u001b[2J", "é\u0301"]) {
      const answer = await ask("POST", "/tasks/{name}", "/tasks/test.add?wait=10", { args: [text, ""] });
      expect(await answer.json()).toMatchObject({ state: "completed" });
      const named = await ask("POST", "/tasks/{name}", "/tasks/test.add", { args: [1, 2], id: text });
      expect([201, 400], JSON.stringify(text)).toContain(named.status);
    }

    // Keys of a queue that are no jobs, and names that cannot be jobs.
    const noJobs = [
      "meta",
      "events",
      "id",
      "failed",
      "completed",
      "marker",
      "stalled-check",
      "pc",
      `${id}:logs`,
    ];
    for (const each of [...noJobs, `repeat:x`, "%00", "%0a", "%F0%9F%92%A9", "__proto__", "..%2f..", "a:b"]) {
      const path = `/jobs/${each}`;
      await refused(404, "JOB_UNKNOWN", ask("GET", "/jobs/{id}", path));
      await refused(404, "JOB_UNKNOWN", ask("GET", "/jobs/{id}", `${path}?wait=0`));
      await refused(404, "JOB_UNKNOWN", ask("DELETE", "/jobs/{id}", path));
      await refused(404, "JOB_UNKNOWN", ask("GET", "/jobs/{id}/logs", `${path}/logs`));
      await refused(404, "JOB_UNKNOWN", ask("GET", "/jobs/{id}/events", `${path}/events`));
      await refused(404, "JOB_UNKNOWN", ask("POST", "/jobs/{id}/retry", `${path}/retry`));
    }
    for (const route of ["/jobs", "/failed", "/schedules", "/limits"]) {
      await refused(404, "QUEUE_UNKNOWN", ask("GET", route, `${route}?queue=a:b`));
      await refused(400, "REQUEST", ask("GET", route, `${route}?queue=a&queue=b`));
      await refused(400, "REQUEST", ask("GET", route, `${route}?nothing=1`));
    }
    for (const route of ["/jobs", "/failed"])
      for (const cursor of ["x", "%00", "bnVsbA"])
        expect((await ask("GET", route, `${route}?cursor=${cursor}`)).status, cursor).toBe(400);
    expect((await ask("POST", "/failed/retry", "/failed/retry", { cursor: "x" })).status).toBe(400);
    for (const body of ["0", '""', "[]", '{"task":0}', '{"error":{"name":"x"}}'])
      expect((await ask("POST", "/failed/retry", "/failed/retry", body, json)).status, body).toBe(400);
    for (const query of ["limit=0", "limit=x", "limit=1001", "state=odd"]) {
      await refused(400, "REQUEST", ask("GET", "/jobs", `/jobs?${query}`));
      await refused(400, "REQUEST", ask("GET", "/limits", `/limits?${query}`));
    }
    for (const query of ["wait=", "wait=-1", "wait=x", "wait=301"])
      await refused(400, "REQUEST", ask("GET", "/jobs/{id}", `/jobs/${id}?${query}`));
    await refused(414, "URL_TOO_LONG", ask("GET", "/jobs/{id}", `/jobs/${"a".repeat(400)}`));
    const other = { "sec-fetch-site": "cross-site" };
    await refused(403, "OTHER_SITE", ask("GET", "/queues", "/queues", undefined, other));

    // The worker writes the history every ten seconds.
    await expect
      .poll(
        async () => ((await (await ask("GET", "/activity")).json()) as { points: unknown[] }).points.length,
        { timeout: 30_000, interval: 500 },
      )
      .toBeGreaterThan(0);
    await ask("GET", "/activity", "/activity?last=86400000&queue=default&from=0");
    await refused(400, "TASK_OPTIONS", ask("GET", "/activity", "/activity?last=1000000000000"));

    const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(routes.filter((route) => !checked.seen.has(route))).toEqual([]);
    for (const route of routes) {
      const good = [...checked.seen.get(route)!].filter((status) => status < 300);
      expect(good, `${route} was never answered well`).not.toEqual([]);
    }
    expect(routes).toHaveLength(40);
  });

  test("every route of the document describes its answers: a good one with a schema, and the failures", async ({
    service,
  }) => {
    const { openapi, paths } = (await (await service.ask("GET", "/openapi.json")).json()) as Document;
    expect(openapi).toBe("3.1.0");
    for (const [path, methods] of Object.entries(paths)) {
      for (const [method, { responses }] of Object.entries(methods)) {
        const name = `${method} ${path}`;
        const good = Object.entries(responses).filter(([status]) => status.startsWith("2"));
        expect(good, name).not.toEqual([]);
        for (const [status, { content }] of good)
          if (status !== "204") expect(Object.values(content ?? {})[0]?.schema, name).toMatchObject({});
        for (const status of ["400", "401", "403", "429", "500", "503"])
          expect(responses, name).toHaveProperty(status);
        if (path.includes("{")) expect(responses, name).toHaveProperty("404");
      }
    }
  });
});
