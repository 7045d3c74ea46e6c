import { setTimeout as delay } from "node:timers/promises";
import { CancelledError } from "@taskloom/loop";
import { TaskQueue, TaskWorker, call, openEngine } from "@taskloom/queue";
import type { Engine, RemoteTask } from "@taskloom/queue";
import { describe, expect } from "vitest";
import type { CancelRequest } from "../../packages/queue/src/contract/cancellation.ts";
import { faultTest, full, measured } from "./support/fault-test.ts";
import { collecting, racing, racingStrictly, stumbling } from "./support/tasks.ts";

const races = full ? 2_000 : 300;
const atOnce = 50;

/** An engine that records the cancel requests that it accepted. */
function noting(url: string): { engine: Engine; accepted: Set<string> } {
  const engine = openEngine(url);
  const accepted = new Set<string>();
  const cancel = engine.cancel.bind(engine);
  engine.cancel = async (queue, id, reason) => {
    const answer = await cancel(queue, id, reason);
    if (answer.kind === "running" || answer.kind === "claimed") accepted.add(id);
    return answer;
  };
  return { engine, accepted };
}

type Outcome = { readonly value: unknown } | { readonly cancelled: true } | { readonly error: unknown };

async function outcomeOf(task: RemoteTask<unknown>): Promise<Outcome> {
  try {
    return { value: await task };
  } catch (error) {
    return error instanceof CancelledError ? { cancelled: true } : { error };
  }
}

async function inBatches(count: number, race: (index: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < count; from += atOnce) {
    await Promise.all(
      Array.from({ length: Math.min(atOnce, count - from) }, (_, index) => race(from + index)),
    );
  }
}

describe.each([
  { mode: "by default", task: racing },
  { mode: "in strict mode", task: racingStrictly },
])("cancel racing with completion, $mode", ({ mode, task: definition }) => {
  faultTest(
    `${races} times: the waiter sees what is stored`,
    { timeout: 300_000 },
    async ({ redis, workers }) => {
      const { engine, accepted } = noting(redis.url);
      const queue = new TaskQueue({ engine });
      await workers.start({ concurrency: atOnce });
      expect(await queue.submit(definition, "warm", 1)).toBe("warm");
      const ends = { result: 0, cancelled: 0, resultAfterCancel: 0 };
      await inBatches(races, async (index) => {
        const task = queue.submit(definition, `race-${index}`, 5);
        await delay(Math.random() * 80);
        task.cancel("raced");
        const outcome = await outcomeOf(task);
        const stored = await task.state();
        if ("value" in outcome) {
          expect(outcome.value).toBe(`race-${index}`);
          expect(stored).toBe("completed");
          ends.result++;
          if (accepted.has(task.id)) ends.resultAfterCancel++;
        } else {
          expect(outcome).toEqual({ cancelled: true });
          expect(stored).not.toBe("completed");
          ends.cancelled++;
        }
      });
      measured(
        `${races} races ${mode}: ${ends.result} results, ${ends.cancelled} cancelled; ${ends.resultAfterCancel} results after an accepted cancel`,
      );
      // Both outcomes must occur, otherwise there was no race.
      expect(ends.result).toBeGreaterThan(0);
      expect(ends.cancelled).toBeGreaterThan(0);
      if (definition.task.strict) expect(ends.resultAfterCancel).toBe(0);
      await queue.close();
      await engine.close();
    },
  );
});

faultTest(
  "cancel racing with retries, and cancellers that die half way: every job ends, as it is stored",
  { timeout: 300_000 },
  async ({ redis, workers }) => {
    const { engine, accepted } = noting(redis.url);
    const queue = new TaskQueue({ engine });
    await workers.start({ concurrency: atOnce });
    expect(await queue.submit(stumbling, "warm")).toBe("warm");
    const ends = { result: 0, cancelled: 0, abandoned: 0 };
    await inBatches(races / 2, async (index) => {
      const task = queue.submit(stumbling, `race-${index}`);
      await delay(Math.random() * 120);
      // A canceller that dies has marked the job, or has even taken it, and does nothing more.
      if (index % 3 === 0) {
        ends.abandoned++;
        await engine.cancel("default.loop", task.id, "raced");
      } else task.cancel("raced");
      const outcome = await outcomeOf(task);
      if ("value" in outcome) {
        ends.result++;
        expect(outcome.value).toBe(`race-${index}`);
        expect(accepted.has(task.id), "an accepted cancel is never followed by a result").toBe(false);
        expect(await task.state()).toBe("completed");
      } else {
        ends.cancelled++;
        expect(outcome).toEqual({ cancelled: true });
        expect(await task.state()).not.toBe("completed");
      }
    });
    measured(
      `${races / 2} races with retries: ${ends.result} results, ${ends.cancelled} cancelled; ${ends.abandoned} cancellers died`,
    );
    expect(ends.cancelled).toBeGreaterThan(0);
    await queue.close();
    await engine.close();
  },
);

faultTest(
  "a cancel never hits a later run under the same id, since each run has a token of its own",
  { timeout: 300_000 },
  async ({ redis }) => {
    const engine = openEngine(redis.url);
    const requests: CancelRequest[] = [];
    let listener: (request: CancelRequest) => void = () => {};
    const listen = engine.onCancelRequest.bind(engine);
    engine.onCancelRequest = (workerId, heard) => {
      // The loop lane is opened first, and only its requests count.
      if (listener.length === 0) listener = heard;
      return listen(workerId, (request) => {
        requests.push(request);
        heard(request);
      });
    };
    const queue = new TaskQueue({ engine });
    const worker = new TaskWorker({ engine, tasks: [racing], concurrency: 1 });
    const running = worker.run();
    await worker.ready();
    const lane = engine.openQueue("default.loop");
    // A Task is returned in an object, because `await` would wait for it otherwise.
    const run = async (how: string): Promise<{ task: RemoteTask<string> }> => {
      const task = queue.with({ id: "again" }).submit(racing, how, 60_000);
      await expect.poll(() => task.state(), { timeout: 20_000, interval: 5 }).toBe("active");
      return { task };
    };
    const tokens = new Set<string>();
    for (let round = 0; round < 10; round++) {
      const { task: first } = await run("first");
      first.cancel("the first run only");
      expect(await outcomeOf(first)).toEqual({ cancelled: true });
      const request = requests.at(-1)!;
      await lane.remove(first.id);
      // The request may arrive late, or so early that the worker keeps it for a run that is about to start.
      if (round % 2 === 0) listener(request);
      const { task: second } = await run("second");
      if (round % 2 === 1) listener(request);
      second.cancel("its own");
      await expect(second).rejects.toThrow(new CancelledError("its own"));
      await lane.remove(second.id);
      tokens.add(request.token).add(requests.at(-1)!.token);
    }
    expect(tokens.size).toBe(20);
    await lane.close();
    await queue.close();
    running.cancel();
    await running.catch(() => {});
    await engine.close();
  },
);

faultTest(
  "parents in flows always end, whatever becomes of their children",
  { timeout: 300_000 },
  async ({ redis, workers }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    await workers.start({ concurrency: atOnce });
    const flows = full ? 300 : 60;
    const ends: Record<string, number> = {};
    await inBatches(flows, async (index) => {
      const parent = queue.flow(call(collecting), [
        call(racing, `${index}-a`, 5),
        call(racing, `${index}-b`, 10),
      ]);
      await delay(Math.random() * 60);
      for (const [child, task] of parent.children.entries()) {
        task.catch(() => {});
        if ((index + child) % 3 !== 0) task.cancel("raced");
      }
      if (index % 4 === 0) parent.cancel("raced");
      const outcome = await outcomeOf(parent);
      const how = "value" in outcome ? "result" : "cancelled" in outcome ? "cancelled" : "error";
      ends[how] = (ends[how] ?? 0) + 1;
    });
    measured(`${flows} flows with children cancelled: ${JSON.stringify(ends)}`);
    expect(Object.values(ends).reduce((sum, count) => sum + count, 0)).toBe(flows);
  },
);
