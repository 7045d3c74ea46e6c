/** The two sides of the comparison: Taskloom, and BullMQ used as its documentation recommends. */
import { setTimeout as delay } from "node:timers/promises";
import { gather, sleep } from "@taskloom/loop";
import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { Queue, QueueEvents, Worker } from "bullmq";
import { Redis } from "ioredis";

export type Side = "Taskloom" | "BullMQ";

export const increment = defineTask({ name: "bench.increment" }, async (n: number) => n + 1);
export const until = defineTask({ name: "bench.until-cancelled" }, async () => {
  process.send?.({ started: true });
  try {
    await sleep(60_000);
  } finally {
    process.send?.({ stoppedAt: performance.timeOrigin + performance.now() });
  }
});

const rawQueue = "raw";
/** Both sides keep jobs by age, because keeping by count costs Redis more. */
const keep = { removeOnComplete: { age: 3_600 }, removeOnFail: { age: 3_600 } };
const connect = (url: string): Redis => new Redis(url, { maxRetriesPerRequest: null });

/** A process that waits for jobs. */
export interface Client {
  /** Submits `count` jobs at once, and resolves when the engine has stored all of them. */
  submit(count: number): Promise<unknown>;
  /** Submits `count` jobs at once, and waits for their results. */
  call(count: number): Promise<unknown>;
  pause(): Promise<unknown>;
  resume(): Promise<unknown>;
  close(): Promise<unknown>;
}

export async function client(side: Side, url: string): Promise<Client> {
  return side === "Taskloom" ? await ownClient(url) : await rawClient(url);
}

async function ownClient(url: string): Promise<Client> {
  const queue = new TaskQueue({ engine: url });
  await queue.connect();
  const submit = (count: number) => Array.from({ length: count }, (_, n) => queue.submit(increment, n));
  return {
    submit: async (count) => {
      const tasks = submit(count);
      for (const task of tasks) task.then(undefined, () => {});
      await tasks.at(-1)?.sent();
    },
    call: async (count) => await gather(submit(count)),
    pause: () => queue.pause(),
    resume: () => queue.resume(),
    close: () => queue.close(),
  };
}

async function rawClient(url: string): Promise<Client> {
  const connection = connect(url);
  const queue = new Queue(rawQueue, { connection });
  queue.setMaxListeners(0);
  const events = new QueueEvents(rawQueue, { connection: connect(url) });
  await events.waitUntilReady();
  const add = (count: number) =>
    queue.addBulk(
      Array.from({ length: count }, (_, n) => ({ name: "increment", data: { args: [n] }, opts: keep })),
    );
  return {
    submit: add,
    pause: () => queue.pause(),
    resume: () => queue.resume(),
    call: async (count) => {
      const jobs = count === 1 ? [await queue.add("increment", { args: [0] }, keep)] : await add(count);
      return await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
    },
    close: async () => {
      await events.close();
      await queue.close();
      connection.disconnect();
    },
  };
}

/** Runs jobs; `onDone` is called at each end. */
export async function worker(
  side: Side,
  url: string,
  onDone: () => void,
  concurrency = 100,
): Promise<() => Promise<unknown>> {
  if (side === "Taskloom") {
    const own = new TaskWorker({
      engine: url,
      tasks: [increment, until],
      concurrency,
      drain: 0,
      onJob: onDone,
    });
    const running = own.run();
    await own.ready();
    return async () => {
      running.cancel();
      await running.catch(() => {});
    };
  }
  const raw = new Worker(rawQueue, async (job) => (job.data as { args: [number] }).args[0] + 1, {
    connection: connect(url),
    concurrency,
  });
  raw.on("completed", onDone);
  await raw.waitUntilReady();
  return async () => await Promise.race([raw.close(true), delay(1_000)]);
}
