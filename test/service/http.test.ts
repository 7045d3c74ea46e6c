import { createServer, request } from "node:http";
import { TaskQueue } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { redisTest } from "../support/redis.ts";
import { TaskloomProcess, taskloom } from "../support/taskloom-process.ts";
import { wait } from "./fixtures/tasks.ts";
import { Service, tasksModule } from "./service.ts";
import type { Job } from "./service.ts";

const operate = "operate-token-of-a-test";
const read = "read-token-of-a-test";
/** Workers report once a second, and later on a busy machine. */
const patience = { timeout: 20_000 };

const test = redisTest.extend<{ $test: { service: Service; guarded: Service } }>({
  service: async ({ redis }, use) => {
    const service = await Service.start(redis.url);
    await use(service);
    await service.stop();
  },
  guarded: async ({ redis }, use) => {
    const service = await Service.start(redis.url, [], {
      TASKLOOM_TOKEN: operate,
      TASKLOOM_READ_TOKEN: read,
    });
    await use(service);
    await service.stop();
  },
});

test("a task is submitted, waited for, found, and its error shown", async ({ service }) => {
  const submitted = await service.ask("POST", "/tasks/test.add", { args: [1, 2] });
  expect(submitted.status).toBe(201);
  const { id } = (await submitted.json()) as { id: string };
  expect(submitted.headers.get("location")).toContain(id);
  expect(await service.job(id, 10)).toMatchObject({ state: "completed", value: 3, attempts: 1 });

  const failed = await service.ask("POST", "/tasks/test.fail?wait=10", { args: ["no disk 7"] });
  expect(await failed.json()).toMatchObject({ state: "failed", error: { message: "no disk 7" } });
  await service.ask("POST", "/tasks/test.fail?wait=10", { args: ["no disk 8"] });
  const { groups } = (await (await service.ask("GET", "/failed")).json()) as {
    groups: { count: number; ids: string[] }[];
  };
  expect(groups).toMatchObject([{ task: "test.fail", count: 2 }]);
  const found = (await (await service.ask("GET", "/jobs?text=DISK%207")).json()) as { jobs: unknown[] };
  expect(found.jobs).toHaveLength(1);
  expect((await service.ask("POST", `/jobs/${groups[0]?.ids[0]}/retry`)).status).toBe(204);
  expect((await service.ask("POST", `/jobs/${id}/retry`)).status).toBe(409);

  const running = await service.submit("test.wait", 60_000);
  await expect.poll(async () => (await service.job(running.id)).state, patience).toBe("active");
  await expect
    .poll(async () => {
      const [worker] = (await (await service.ask("GET", "/workers")).json()) as { id: string }[];
      return await (await service.ask("GET", `/workers/${worker?.id}/tree?format=text`)).text();
    }, patience)
    .toMatch(new RegExp(`test.wait ${running.id}[^]*└─ inner  waits for <sleep\\(60000\\)`));
  const cancelled = await service.ask("DELETE", `/jobs/${running.id}?reason=changed%20my%20mind`);
  expect(await cancelled.json()).toMatchObject({ state: "cancelled", reason: "changed my mind" });
});

test("progress, logs and result stream, and go on where a connection broke off", async ({ service }) => {
  const { id } = await service.submit("test.count", 5, 300);
  const first = await events(
    await service.ask("GET", `/jobs/${id}/events`),
    (all) => all.filter(isLog).length === 2,
  );
  const last = first.at(-1)!.id;
  const rest = await events(
    await service.ask("GET", `/jobs/${id}/events`, undefined, { "last-event-id": last }),
  );
  const lines = [...first, ...rest].filter(isLog).map(({ data }) => (data as { line: string }).line);
  expect(lines).toEqual(["counted 1", "counted 2", "counted 3", "counted 4", "counted 5"]);
  expect(rest.some(({ event }) => event === "progress")).toBe(true);
  expect(rest.at(-1)).toMatchObject({ event: "result", data: { state: "completed", value: 5 } });
  expect((await service.ask("GET", "/jobs/loop.none/events")).status).toBe(404);
});

test("what cannot be is answered with a code, and the service stays up", async ({ service }) => {
  const answers: [Promise<Response>, number, string][] = [
    [service.ask("POST", "/tasks/test.ad", { args: [] }), 404, "TASK_UNKNOWN"],
    [service.ask("POST", "/tasks/test.add", { args: 1 }), 400, "REQUEST"],
    [service.ask("POST", "/tasks/test.add", { arg: [] }), 400, "REQUEST"],
    [service.ask("POST", "/tasks/test.add", { args: [], id: "a:b" }), 400, "TASK_OPTIONS"],
    [service.ask("POST", "/tasks/test.add", "{"), 400, "FST_ERR_CTP_INVALID_JSON_BODY"],
    [service.ask("POST", "/tasks/test.add", { args: ["x".repeat(10_000_000)] }), 413, "BODY_TOO_LARGE"],
    [service.ask("POST", "/tasks/test.add", "a", { "content-type": "text/plain" }), 415, "MEDIA_TYPE"],
    [
      service.ask("POST", "/tasks/test.add", { args: [1, 1] }, { origin: "http://evil.example" }),
      403,
      "OTHER_SITE",
    ],
    [service.ask("GET", "/jobs/none"), 404, "JOB_UNKNOWN"],
    [service.ask("GET", "/jobs?limit=0"), 400, "REQUEST"],
    [service.ask("PUT", "/queues/mail", { paused: true }), 404, "QUEUE_UNKNOWN"],
    [service.ask("PUT", "/schedules/s", { task: "test.add", cron: "not cron" }), 400, "TASK_OPTIONS"],
    [service.ask("GET", "/nothing"), 404, "NOT_FOUND"],
  ];
  for (const [answer, status, code] of answers) {
    const response = await answer;
    const body = (await response.json()) as { code: string; message: string };
    expect({ status: response.status, code: body.code }, body.message).toEqual({ status, code });
  }
  expect((await (await service.ask("POST", "/tasks/test.ad", {})).json()) as object).toMatchObject({
    message: expect.stringContaining("Did you mean test.add?") as string,
  });
  // `fetch` sets Host itself. A request with a foreign name, which an attacker's DNS maps to this address, is
  // written by hand.
  expect(await statusWithHost(service.address, "evil.example")).toBe(403);
  expect((await service.ask("GET", "/readyz")).status).toBe(200);
});

test("one id is one job, and a queue is paused and resumed", async ({ service }) => {
  const ask = async (): Promise<string> => {
    const response = await service.ask("POST", "/tasks/test.add", { args: [1, 1], id: "once" });
    return ((await response.json()) as { id: string }).id;
  };
  expect(await ask()).toBe(await ask());
  await service.ask("PUT", "/queues/default", { paused: true });
  const { id } = await service.submit("test.add", 2, 2);
  expect(await (await service.ask("GET", "/queues")).json()).toMatchObject({ default: { isPaused: true } });
  expect((await service.job(id, 0.3)).state).toBe("waiting");
  await service.ask("PUT", "/queues/default", { paused: false });
  expect(await service.job(id, 10)).toMatchObject({ value: 4 });
});

test("a delay may be any number of milliseconds, and its job runs once", async ({ service, redis }) => {
  const client = new Redis(redis.url);
  for (const [delay, whole] of [
    [16.1, 17],
    [0.001, 1],
  ] as const) {
    const args = [`after ${delay}`];
    const answer = await service.ask("POST", "/tasks/test.say?wait=30", { args, delay });
    expect(answer.status).toBe(200);
    const { id, ...job } = (await answer.json()) as Job;
    expect(job).toMatchObject({ state: "completed", value: `after ${delay}`, attempts: 1 });
    const logs = await service.ask("GET", `/jobs/${id}/logs`);
    expect(await logs.json()).toEqual([`after ${delay}`]); // one line for each run
    const options = await client.hget(`taskloom:default.loop:${id}`, "opts");
    expect(JSON.parse(options ?? "")).toMatchObject({ delay: whole });
  }
  await client.quit();
});

test("a pack of calls says how many it carries", async ({ service, redis }) => {
  await using queue = new TaskQueue({ engine: redis.url });
  const calls = queue.map(wait, [[60_000], [60_000], [60_000]]);
  void calls.next().catch(() => {});
  await expect
    .poll(async () => (await taskloom("ps", "--engine", redis.url)).stdout, patience)
    .toMatch(/test\.wait ×3/);
  const { jobs } = (await (await service.ask("GET", "/jobs")).json()) as {
    jobs: { id: string; calls: number }[];
  };
  const job = jobs[0];
  expect(job?.calls).toBe(3);
  expect((await taskloom("job", job!.id, "--engine", redis.url)).stdout).toContain(
    "test.wait(60000) and 2 more calls, in one pack",
  );
  await service.ask("DELETE", `/jobs/${job?.id}`);
});

test("the OpenAPI document and the metrics say what there is", async ({ service }) => {
  await service.ask("POST", "/tasks/test.add?wait=5", { args: [1, 1] });
  const { paths } = (await (await service.ask("GET", "/openapi.json")).json()) as { paths: object };
  expect(Object.keys(paths)).toEqual(
    expect.arrayContaining([
      "/tasks/{name}",
      "/jobs/{id}",
      "/jobs/{id}/events",
      "/queues",
      "/workers/{id}/tree",
    ]),
  );
  await expect
    .poll(async () => await (await service.ask("GET", "/metrics")).text(), patience)
    .toMatch(
      /taskloom_job_attempts_total\{lane="loop",task="test.add",state="completed",worker="[^"]+\/0"\} 1/,
    );
  const metrics = await (await service.ask("GET", "/metrics")).text();
  for (const name of [
    "queue_jobs",
    "queue_oldest_wait_seconds",
    "job_wait_seconds_bucket",
    "loop_delay_seconds",
    "lane_limit",
  ]) {
    expect(metrics).toContain(`taskloom_${name}{`);
  }
});

test("a token opens the address, one for looking does not operate, and guessing is stopped", async ({
  guarded,
}) => {
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
  const basic = { authorization: `Basic ${Buffer.from(`any:${operate}`).toString("base64")}` };
  for (const path of ["/queues", "/metrics", "/", "/board/", "/openapi.json", "/uplot/uPlot.esm.js"]) {
    expect((await guarded.ask("GET", path)).status, path).toBe(401);
    expect((await guarded.ask("GET", path, undefined, bearer(read))).status, path).toBe(200);
    expect((await guarded.ask("GET", path, undefined, basic)).status, path).toBe(200);
  }
  expect((await guarded.ask("GET", "/healthz")).status).toBe(200);
  const body = { args: [1, 2] };
  expect((await guarded.ask("POST", "/tasks/test.add", body, bearer(read))).status).toBe(403);
  expect((await guarded.ask("POST", "/tasks/test.add", body, bearer(operate))).status).toBe(201);
  const statuses = new Set<number>();
  for (let guess = 0; guess < 30; guess++) {
    statuses.add((await guarded.ask("GET", "/queues", undefined, bearer(`guess-number-${guess}`))).status);
  }
  expect([...statuses]).toEqual([401, 429]);
});

test("one client gets no more than its share of requests", async ({ redis }) => {
  const service = await Service.start(redis.url, ["--rate-limit", "5"]);
  const answers = await Promise.all(Array.from({ length: 40 }, () => service.ask("GET", "/queues")));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]));
  const refused = answers.find(({ status }) => status === 429);
  expect(await refused?.json()).toMatchObject({
    code: "TOO_MANY_REQUESTS",
    message: expect.stringContaining("--rate-limit") as string,
  });
  await service.stop();
});

test("it does not start on another address without a token, or where it cannot", async ({
  redis,
  service,
}) => {
  const refused = await taskloom(
    "worker",
    tasksModule,
    "--engine",
    redis.url,
    "--host",
    "0.0.0.0",
    "--port",
    "0",
  );
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^taskloom: 0\.0\.0\.0 .*TASKLOOM_TOKEN/m) as string,
  });
  const { port } = new URL(service.address);
  const taken = await taskloom("worker", tasksModule, "--engine", redis.url, "--port", port);
  expect(taken).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/Port \d+ .* is in use.*--port/) as string,
  });
  // The default port may be in use, so a second worker takes another one, and prints it.
  const holder = createServer();
  await new Promise<void>((resolve) => {
    holder.once("listening", resolve).once("error", () => resolve());
    holder.listen(7373, "127.0.0.1");
  });
  const second = new TaskloomProcess(["worker", tasksModule, "--engine", redis.url]);
  const [, address] = await second.printed(/port 7373 is in use.*answers at (http:\S+?);/);
  await second.printed(/"event":"ready"/);
  expect((await fetch(`${address}/readyz`)).status).toBe(200);
  expect((await second.kill("SIGTERM")).code).toBe(0);
  holder.close();
  const open = new TaskloomProcess(
    ["worker", tasksModule, "--engine", redis.url, "--host", "0.0.0.0", "--port", "0"],
    { env: { TASKLOOM_TOKEN: operate } },
  );
  await open.printed(/"event":"ready"/);
  const ended = await open.kill("SIGTERM");
  expect(ended.code).toBe(0);
  expect(ended.stdout).not.toContain(operate);
});

interface ServerEvent {
  readonly event: string;
  readonly id: string;
  readonly data: unknown;
}

function isLog({ event }: ServerEvent): boolean {
  return event === "log";
}

/** Reads server-sent events to their end, or until the requested number has arrived. */
async function events(
  response: Response,
  enough: (all: ServerEvent[]) => boolean = () => false,
): Promise<ServerEvent[]> {
  const all: ServerEvent[] = [];
  let text = "";
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    text += Buffer.from(chunk).toString("utf8");
    const blocks = text.split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
      if (fields["data"] === undefined) continue;
      all.push({
        event: fields["event"] as string,
        id: fields["id"] as string,
        data: JSON.parse(fields["data"] as string),
      });
      if (enough(all)) return all;
    }
  }
  return all;
}

function statusWithHost(address: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(`${address}/queues`, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
}
