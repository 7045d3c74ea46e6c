import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TaskQueue, defineTask, openEngine } from "@taskloom/queue";
import { pino } from "pino";
import { expect, test } from "vitest";
import { loadSettings } from "../src/config/load-settings.ts";
import { WatchedWorker } from "../src/workers/watched-worker.ts";

async function loadedFrom(text: string): ReturnType<typeof loadSettings> {
  const folder = await mkdtemp(join(tmpdir(), "taskloom-config-"));
  try {
    const config = join(folder, "taskloom.config.mjs");
    await writeFile(config, text);
    return await loadSettings({ config }, {});
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("a config file has hooks beside its settings", async () => {
  const { settings, hooks } = await loadedFrom(
    "export default { threads: 2, onJob: ({ state }) => state, onStart: () => {} };",
  );
  expect(settings.threads).toBe(2);
  expect(Object.keys(settings)).not.toContain("onJob");
  expect(Object.keys(hooks)).toEqual(["onStart", "onJob"]);
  expect((await loadedFrom("export default {};")).hooks).toEqual({});
});

test("a hook that is no function, or has another name, is refused", async () => {
  await expect(loadedFrom('export default { onJob: "log" };')).rejects.toThrow(
    "expected `onJob` to be a function of the event, got string",
  );
  await expect(loadedFrom("export default { onJobs: () => {} };")).rejects.toThrow(
    /there is no setting onJobs. Did you mean onJob\?/,
  );
});

test("the hooks of a service are notified, and one that throws breaks no job", async () => {
  await using engine = openEngine("memory:hooks");
  const task = defineTask({ name: "hooks.task" }, async (n: number) => n + 1);
  const events: string[] = [];
  const worker = new WatchedWorker({
    engine,
    queues: ["default"],
    modules: [{ task }],
    threads: 1,
    concurrency: 1,
    drain: 1_000,
    maxLoopDelay: 100,
    maxUtilization: 1,
    slot: 0,
    logger: pino({ level: "silent" }),
    hooks: {
      onStart: ({ name, attempt }) => void events.push(`${name} starts ${attempt}`),
      onJob: async ({ name, state }) => {
        events.push(`${name} ${state}`);
        throw new Error("a broken hook");
      },
    },
  });
  await worker.start();
  await using queue = new TaskQueue({ engine });
  expect(await queue.submit(task, 1)).toBe(2);
  await expect.poll(() => events).toEqual(["hooks.task starts 1", "hooks.task completed"]);
  await worker.stop();
});
