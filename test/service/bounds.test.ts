import { connect } from "node:net";
import { TaskQueue } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect, vi } from "vitest";
import { redisTest as test } from "../support/redis.ts";
import { add } from "./fixtures/tasks.ts";
import { Service } from "./service.ts";
import type { Job } from "./service.ts";

// Each test starts processes, which takes long on a busy machine.
vi.setConfig({ testTimeout: 180_000 });

const patience = { timeout: 30_000 };
const operate = "operate-token-of-a-test";

test("a request that does not arrive in time is answered and cut, with and without a token", async ({
  redis,
}) => {
  const service = await Service.start(redis.url, ["--request-timeout", "0.5"], { TASKLOOM_TOKEN: operate });
  const head =
    "POST /tasks/test.add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n";
  const token = `Authorization: Bearer ${operate}\r\n`;
  expect(await trickle(service.address, `${head}${token}\r\n`)).toMatch(
    /^HTTP\/1.1 408 [^]*\{"code":"REQUEST_TIMEOUT","message":"[^"]*--request-timeout/,
  );
  expect(await trickle(service.address, `${head}\r\n`)).toMatch(/^HTTP\/1.1 401 [^]*\{"code":"TOKEN"/);
  expect(await trickle(service.address, "GET /queues HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")).toMatch(
    /^HTTP\/1.1 408 [^]*\{"code":"REQUEST_TIMEOUT"/,
  );
  // A silent connection is closed, too.
  expect(await trickle(service.address, "")).toMatch(/^(HTTP\/1.1 408 [^]*)?$/);
  const headers = { authorization: `Bearer ${operate}` };
  expect((await service.ask("GET", "/queues", undefined, headers)).status).toBe(200);
  await service.stop();
});

test("any time does for a request, whole milliseconds or not", async ({ redis }) => {
  for (const seconds of ["16.1", "0.1001", "301", "1e17"]) {
    const service = await Service.start(redis.url, ["--request-timeout", seconds]);
    expect((await service.ask("GET", "/healthz")).status, seconds).toBe(200);
    await service.stop();
  }
});

test("no more event streams and waiting requests are open than --max-streams allows", async ({ redis }) => {
  const service = await Service.start(redis.url, ["--max-streams", "2"]);
  const { id } = await service.submit("test.wait", 600_000);
  const leave = new AbortController();
  const streams = await Promise.all(
    [1, 2].map(() => fetch(`${service.address}/jobs/${id}/events`, { signal: leave.signal })),
  );
  expect(streams.map(({ status }) => status)).toEqual([200, 200]);
  const before = await jobCount(service);
  for (const [method, path] of [
    ["GET", `/jobs/${id}/events`],
    ["GET", `/jobs/${id}?wait=1`],
    ["POST", "/tasks/test.add?wait=1"],
  ] as const) {
    const refused = await service.ask(method, path);
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await refused.json()).toMatchObject({
      code: "TOO_MANY_STREAMS",
      message: expect.stringContaining("--max-streams") as string,
    });
  }
  expect(await jobCount(service)).toBe(before); // refused jobs are not submitted
  expect((await service.ask("GET", `/jobs/${id}`)).status).toBe(200);
  leave.abort();
  await expect.poll(async () => (await service.ask("GET", `/jobs/${id}?wait=0`)).status, patience).toBe(200);
  await service.ask("DELETE", `/jobs/${id}`);
  await service.stop();
});

test("many searches in large jobs at once leave the other routes as they are", async ({ redis }) => {
  await using queue = new TaskQueue({ engine: redis.url });
  const service = await Service.start(redis.url);
  await service.ask("PUT", "/queues/default", { paused: true });
  const large = "x".repeat(500_000);
  const tasks = Array.from({ length: 80 }, () => queue.submit(add, large as never, 1));
  await Promise.all(tasks.map((task) => task.sent()));
  const running = new Set<Promise<Response>>();
  const searches = [1, 2, 3, 4, 5, 6].map(() => {
    const search = service.ask("GET", "/jobs?limit=1&text=nothing-has-this");
    running.add(search);
    void search.finally(() => running.delete(search));
    return search;
  });
  const statuses = new Set<number>();
  do {
    for (const path of ["/healthz", "/readyz", "/queues", "/workers"])
      statuses.add((await service.ask("GET", path)).status);
  } while (running.size > 0);
  expect(statuses).toEqual(new Set([200]));
  for (const answer of await Promise.all(searches)) {
    expect(answer.status).toBe(200);
    expect(((await answer.json()) as { searched: number }).searched).toBeGreaterThan(0);
  }
  for (const task of tasks) void task.catch(() => {});
  await service.stop();
});

test("bull-board lists a bounded part of each job, and one that it cannot read as it is", async ({
  redis,
}) => {
  // A queue of its own, because earlier tests have left jobs in theirs.
  await using queue = new TaskQueue({ engine: redis.url, name: "board" });
  const service = await Service.start(redis.url, ["--queue", "board"]);
  await service.ask("PUT", "/queues/board", { paused: true });
  const large = queue.submit(add, "x".repeat(500_000) as never, 1);
  const odd = queue.submit(add, 1, 2);
  const lost = queue.submit(add, 3, 4);
  await Promise.all([large, odd, lost].map((task) => task.sent()));
  const client = new Redis(redis.url);
  await client.hset(`taskloom:board.loop:${odd.id}`, "opts", "no JSON", "progress", "{");
  await client.hset(`taskloom:board.loop:${lost.id}`, "data", "null");
  const list = async (query: string): Promise<BoardJob[]> => {
    const url = `/board/api/queues?activeQueue=board.loop&status=waiting${query}`;
    const answer = await service.ask("GET", url);
    expect(answer.status).toBe(200);
    const text = await answer.text();
    expect(text.length).toBeLessThan(100_000);
    const { queues } = JSON.parse(text) as { queues: { name: string; jobs: BoardJob[] }[] };
    return queues.find(({ name }) => name === "board.loop")?.jobs ?? [];
  };
  const jobs = await list("&jobsPerPage=1000000");
  const found = Object.fromEntries(jobs.map((job) => [job.id, job]));
  expect(Object.keys(found)).toHaveLength(3);
  expect(JSON.stringify(found[odd.id])).toContain("not JSON: no JSON");
  expect(JSON.stringify(found[large.id]?.data)).toMatch(/5\d\d,\d{3} bytes; open the job/);
  expect(found[lost.id]?.data).toBeNull();
  // A replacement for a job's data is not stored as its data.
  const edit = `/board/api/queues/board.loop/${large.id}/update-data`;
  expect((await service.ask("PATCH", edit, { jobData: found[large.id]?.data })).status).toBe(422);
  const listings = await Promise.all(Array.from({ length: 8 }, () => list("")));
  expect(listings.map(({ length }) => length)).toEqual(Array.from({ length: 8 }, () => 3));
  for (const task of [large, odd, lost]) void task.catch(() => {});
  await client.quit();
  await service.stop();
});

test("a record that is not a submission is listed as unreadable, waiting and failed", async ({ redis }) => {
  // A queue of its own, because earlier tests have left jobs in theirs.
  const service = await Service.start(redis.url, ["--queue", "odd"]);
  const client = new Redis(redis.url);
  const odd: [field: string, text: string, why: string][] = [
    ["data", "null", "its data is null and not an object"],
    ["data", "{", "its data is not JSON"],
    ["opts", "no JSON", "its opts is not JSON"],
    ["opts", "null", "its opts is not an object"],
    ["progress", "{", "its progress is not JSON"],
  ];
  /** Submits a job for each odd field, and overwrites that field once the job has a state. */
  const spoil = async (state: string, task: string, ...args: unknown[]): Promise<Map<string, string>> => {
    const whys = new Map<string, string>();
    for (const [field, text, why] of odd) {
      const { id } = await service.submit(task, ...args);
      await expect.poll(async () => (await service.job(id)).state, patience).toBe(state);
      await client.hset(`taskloom:odd.loop:${id}`, field, text);
      whys.set(id, why);
    }
    return whys;
  };
  const listed = async (path: string): Promise<Map<string, string | undefined>> => {
    const answer = await service.ask("GET", path);
    expect(answer.status, path).toBe(200);
    const { jobs } = (await answer.json()) as { jobs: { id: string; unreadable?: string }[] };
    return new Map(jobs.map(({ id, unreadable }) => [id, unreadable]));
  };

  const failed = await spoil("failed", "test.fail", "no disk");
  const whole = await service.submit("test.fail", "no disk");
  await expect.poll(async () => (await service.job(whole.id)).state, patience).toBe("failed");
  expect(await listed("/jobs?queue=odd&state=failed")).toEqual(new Map([...failed, [whole.id, undefined]]));
  const groups = async (): Promise<{ task: string; count: number; ids: string[] }[]> => {
    const answer = await service.ask("GET", "/failed?queue=odd");
    expect(answer.status).toBe(200);
    return ((await answer.json()) as { groups: { task: string; count: number; ids: string[] }[] }).groups;
  };
  const [group, ...others] = await groups();
  expect(others).toEqual([]);
  expect(group).toMatchObject({ task: "test.fail", count: failed.size + 1 });
  expect(new Set(group?.ids)).toEqual(new Set([...failed.keys(), whole.id]));

  await service.ask("PUT", "/queues/odd", { paused: true });
  const waiting = await spoil("waiting", "test.add", 1, 2);
  expect(await listed("/jobs?queue=odd&state=waiting")).toEqual(waiting);
  expect(await listed("/jobs?queue=odd")).toEqual(new Map([...waiting, ...failed, [whole.id, undefined]]));
  // The worker that takes them ends each as a failure, and continues.
  await service.ask("PUT", "/queues/odd", { paused: false });
  const added = async (): Promise<string[]> =>
    (await groups()).filter(({ task }) => task === "test.add").flatMap(({ ids }) => ids);
  await expect.poll(async () => new Set(await added()), patience).toEqual(new Set(waiting.keys()));
  const { id: next } = await service.submit("test.add", 1, 2);
  expect(await service.job(next, 30)).toMatchObject({ state: "completed", value: 3 });
  for (const [id, why] of [...waiting, ...failed]) {
    const answer = await service.ask("GET", `/jobs/${id}`);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ state: "failed", unreadable: why });
  }
  await client.quit();
  await service.stop();
});

/** A job in bull-board's API. */
interface BoardJob {
  readonly id: string;
  readonly data: unknown;
}

async function jobCount(service: Service): Promise<number> {
  return ((await (await service.ask("GET", "/jobs")).json()) as { jobs: Job[] }).jobs.length;
}

/** Sends a text and then single bytes until the other end closes; resolves with the answer. */
function trickle(address: string, text: string): Promise<string> {
  const { hostname, port } = new URL(address);
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(Number(port), hostname, () => text !== "" && socket.write(text));
    const timer = setInterval(() => text !== "" && socket.write("x"), 50);
    socket.setEncoding("utf8").on("data", (chunk: string) => (answer += chunk));
    socket.on("error", () => {}); // closed while it sends
    socket.once("close", () => {
      clearInterval(timer);
      resolve(answer);
    });
  });
}
