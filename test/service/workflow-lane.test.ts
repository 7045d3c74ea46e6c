import { fileURLToPath } from "node:url";
import { openEngine } from "@taskloom/queue";
import { expect } from "vitest";
import { redisTest } from "../support/redis.ts";
import { taskloom } from "../support/taskloom-process.ts";
import type { Ended } from "../support/taskloom-process.ts";
import { Service } from "./service.ts";

const workflowModule = fileURLToPath(new URL("./fixtures/workflow.ts", import.meta.url));

interface LaneCounts {
  readonly active: number;
  readonly delayed: number;
}

redisTest(
  "durable runs are seen and operated over the command line, HTTP, the metrics and the board",
  { timeout: 120_000 },
  async ({ redis }) => {
    const service = await Service.start(redis.url, [workflowModule, "--runs", "7"]);
    const run = (...args: string[]): Promise<Ended> => taskloom(...args, "--engine", redis.url);
    try {
      expect((await run("queues")).stdout).not.toContain("default.workflow");
      const parked = await service.submit("test.parks");
      const resting = await service.submit("test.rests");
      expect(parked.id).toMatch(/^workflow\./);
      const counts = async (): Promise<LaneCounts> => {
        const queues = (await (await service.ask("GET", "/queues")).json()) as {
          default: { workflow: LaneCounts };
        };
        return queues.default.workflow;
      };
      await expect.poll(counts, { timeout: 30_000 }).toMatchObject({ active: 1, delayed: 1 });
      expect((await run("queues")).stdout).toMatch(/default\.workflow │ +0 │ +1 │ +1 │/);
      expect((await run("jobs")).stdout).toContain("default.workflow");
      expect((await run("job", parked.id)).stdout).toMatch(/default, workflow lane/);
      await expect.poll(async () => (await run("ps")).stdout, { timeout: 30_000 }).toMatch(/ 1\/7 /);
      // The record of a worker drops runs that have left, and keeps those that are there.
      const seen = async (): Promise<string[]> => {
        const workers = (await (await service.ask("GET", "/workers")).json()) as { jobs: { id: string }[] }[];
        return workers.flatMap(({ jobs }) => jobs.map(({ id }) => id));
      };
      await expect.poll(seen, { timeout: 30_000 }).toEqual([resting.id]);
      const metrics = await (await service.ask("GET", "/metrics")).text();
      expect(metrics).toMatch(/taskloom_queue_jobs\{queue="default",lane="workflow",state="delayed"\} 1/);
      expect(metrics).toMatch(/taskloom_lane_running\{[^}]*lane="workflow"[^}]*\} 1/);
      const board = await service.ask("GET", "/board/api/queues?activeQueue=default.workflow&status=delayed");
      expect(await board.text()).toContain(parked.id);
      const engine = openEngine(redis.url);
      const lane = engine.openQueue("default.workflow");
      await (await lane.getJob(parked.id))!.promote();
      expect(await service.job(parked.id, 30)).toMatchObject({
        state: "completed",
        value: "woken",
        attempts: 1,
      });
      await lane.close();
      await engine.close();
      expect(await run("runs", "terminate", resting.id)).toMatchObject({ code: 0 });
      expect(await service.job(resting.id)).toMatchObject({ state: "cancelled" });
    } finally {
      await service.stop();
    }
  },
);
