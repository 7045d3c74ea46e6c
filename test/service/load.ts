// A load test to run by hand, which prints figures: node --conditions=@taskloom/source test/service/load.ts
// [JOBS]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { TaskQueue } from "@taskloom/queue";
import { burn, derive } from "./fixtures/tasks.ts";
import { TaskloomProcess } from "../support/taskloom-process.ts";
import { tasksModule } from "./service.ts";

const jobs = Number(process.argv[2] ?? 50_000);
const clients = 100;

const redisPort = 7_461;
const redisUrl = `redis://127.0.0.1:${redisPort}`;
const address = "http://127.0.0.1:7462";

/** Runs `body` beside a Redis and a service of its own. */
async function withService<T>(args: readonly string[], body: () => Promise<T>): Promise<T> {
  const redis = spawn("redis-server", ["--port", String(redisPort), "--save", "", "--appendonly", "no"], {
    stdio: "ignore",
  });
  const service = new TaskloomProcess([
    "worker",
    tasksModule,
    "--engine",
    redisUrl,
    "--port",
    "7462",
    "--threads",
    "1",
    "--log-level",
    "warn",
    ...args,
  ]);
  void service.ended.then(({ code, stderr }) => {
    if (code !== 0) console.error(stderr);
  });
  while (
    !(await fetch(`${address}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  try {
    return await body();
  } finally {
    await service.kill("SIGTERM");
    redis.kill();
    await once(redis, "exit");
  }
}

/** Submits `jobs` jobs over `clients` keep-alive connections, and waits until all have run. */
async function throughHttp(): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const statuses = new Map<number | string, number>();
  const latencies: number[] = [];
  let left = jobs;
  const began = performance.now();
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const at = performance.now();
      const status = await post(`${address}/tasks/test.add`, agent).catch((error: unknown) => String(error));
      latencies.push(performance.now() - at);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const submitted = performance.now() - began;
  let completed = 0;
  while (completed < jobs) {
    const queues = (await (await fetch(`${address}/queues`)).json()) as {
      default: { loop: { completed: number } };
    };
    completed = queues.default.loop.completed;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const all = performance.now() - began;
  latencies.sort((a, b) => a - b);
  const at = (share: number): string => `${latencies[Math.floor(latencies.length * share)]!.toFixed(1)} ms`;
  console.log(
    `${jobs} jobs through HTTP, ${clients} connections: ${JSON.stringify(Object.fromEntries(statuses))}`,
  );
  console.log(
    `  submitted: ${Math.round(jobs / (submitted / 1_000))} a second, p50 ${at(0.5)}, p99 ${at(0.99)}; all had run after ${(all / 1_000).toFixed(1)} s`,
  );
  agent.destroy();
}

function post(url: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method: "POST", agent, headers: { "content-type": "application/json" } },
      (response) => {
        response.resume();
        response.once("end", () => resolve(response.statusCode ?? 0));
      },
    );
    sent.once("error", reject);
    sent.end('{"args":[1,2]}');
  });
}

/** Returns jobs per second of the thread lane, with that many worker processes of one thread each. */
async function threadLane(workers: number): Promise<number> {
  const queue = new TaskQueue({ engine: redisUrl });
  await Promise.all(Array.from({ length: workers * 4 }, () => queue.submit(burn, 5)));
  const began = performance.now();
  await Promise.all(Array.from({ length: 600 }, () => queue.submit(derive, 40_000)));
  const speed = 600 / ((performance.now() - began) / 1_000);
  await queue.close();
  return speed;
}

await withService(["--rate-limit", "100000"], throughHttp);
const speeds: number[] = [];
// The sides take turns, twice, because other load on the machine varies.
for (const workers of [1, 3, 1, 3]) {
  const speed = await withService(["--workers", String(workers)], () => threadLane(workers));
  speeds.push(speed);
  console.log(`thread lane, ${workers} worker processes of one thread: ${speed.toFixed(0)} jobs a second`);
}
console.log(
  `  three do ${((speeds[1]! + speeds[3]!) / (speeds[0]! + speeds[2]!)).toFixed(2)} times the work of one`,
);
process.exit();
