/**
 * The size, memory and start of what a user installs, beside the last commit with PGlite and beside BullMQ alone. Both
 * checkouts are packed and installed by npm. The sides run at once or take turns, and each figure is a median.
 *
 * `pnpm bench adoption [ROW …]` on Linux; BENCH_ROUNDS is the number of rounds, 5 by default. A busy machine raises times
 * and processor time of all sides, so the bounds that are ratios hold there, too.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { kill } from "../child-process.ts";
import { builtBaseline, root } from "../embedded/checkouts.ts";
import { privateRedis } from "../queue/redis.ts";
import { installed } from "./installation.ts";
import type { Installation } from "./installation.ts";
import { cpu, ran, rss, started } from "./process.ts";

const PACKAGES = {
  loop: ["packages/loop"],
  offload: ["packages/loop", "packages/offload"],
  queue: ["packages/loop", "packages/offload", "packages/bullmq-sqlite", "packages/queue"],
  worker: [
    "packages/loop",
    "packages/offload",
    "packages/bullmq-sqlite",
    "packages/queue",
    "packages/workflow",
    "apps/worker",
  ],
};
/** The packages that the baseline does not have. */
const NEW = new Set(["packages/bullmq-sqlite", "packages/workflow"]);
/** MiB. */
const SIZES = { loop: 2.5, offload: 5.5, queue: 20, worker: 60 };
const SETTLE_MS = 10_000;
const IDLE_MS = 60_000;

const only = process.argv.slice(3);
const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5);
const baseline = await builtBaseline();
const folders: string[] = [];
let missed = 0;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

function row(what: string, value: number, bound: number, unit: string, figures: string): void {
  if (value > bound) missed++;
  const shown = (number: number): string => number.toFixed(2).replace(/\.?0+$/, "");
  console.log(
    `${value <= bound ? "holds " : "MISSED"} ${what}: ${shown(value)}${unit} (at most ${shown(bound)}${unit}); ${figures}`,
  );
}

async function install(checkout: string, name: keyof typeof PACKAGES): Promise<Installation> {
  const packages = PACKAGES[name].filter((each) => checkout === root || !NEW.has(each));
  const installation = await installed(checkout, packages);
  folders.push(installation.folder);
  return installation;
}

const opened = new Map<string, Promise<Installation>>();
/** Returns the installation of a package of one side, which is made once. */
function side(checkout: string, name: keyof typeof PACKAGES = "worker"): Promise<Installation> {
  const key = `${checkout} ${name}`;
  if (!opened.has(key)) opened.set(key, install(checkout, name));
  return opened.get(key)!;
}

const CLI = "node_modules/@taskloom/worker/bin/taskloom.js";
const worker = (engine: string, ...flags: readonly string[]): string[] => [
  CLI,
  "worker",
  "./tasks.mjs",
  "--engine",
  engine,
  "--port",
  "0",
  ...flags,
];

async function idle(): Promise<void> {
  const redis = await privateRedis();
  const [now, before] = [await side(root), await side(baseline)];
  const ready = '"event":"ready"';
  const all = await Promise.all([
    started(now.folder, worker(redis.url, "--queue", "now"), ready),
    started(before.folder, worker(redis.url, "--queue", "before"), ready),
    started(now.folder, ["program.mjs", "bullmq", redis.url], ready),
  ]);
  const children = all.map(({ child }) => child);
  await delay(SETTLE_MS);
  const from = await Promise.all(children.map(cpu));
  await delay(IDLE_MS);
  const shares = (await Promise.all(children.map(cpu))).map(
    (seconds, at) => ((seconds - from[at]!) / IDLE_MS) * 100_000,
  );
  const sizes = await Promise.all(children.map(rss));
  for (const child of children) child.removeAllListeners("exit");
  await Promise.all(children.map(kill));
  await redis.stop();
  const list = (values: readonly number[], write: (value: number) => string): string =>
    ["now", "before", "BullMQ alone"].map((name, at) => `${name} ${write(values[at]!)}`).join(", ");
  row(
    "memory of an idle worker on Redis",
    sizes[0]! / sizes[1]!,
    0.6,
    "x",
    list(sizes, (mib) => `${mib.toFixed(0)} MB`),
  );
  row(
    "processor time of an idle worker",
    shares[0]!,
    0.3,
    " %",
    list(shares, (share) => `${share.toFixed(2)} %`),
  );
}

/** Runs the main job from the sources of a checkout, as `npm start` does, and returns the memory afterwards. */
async function afterMainJob(checkout: string): Promise<number> {
  const scratch = await mkdtemp(join(tmpdir(), "taskloom-bench-"));
  folders.push(scratch);
  const { child } = await started(
    checkout,
    [
      "--conditions=@taskloom/source",
      "apps/worker/src/bin.ts",
      "demo",
      join(baseline, "packages"),
      "--engine",
      `embedded:${scratch}/data`,
      "--port",
      "0",
      "--threads",
      String(Math.max(1, availableParallelism() - 1)),
    ],
    "The service stays up",
  );
  await delay(SETTLE_MS);
  const size = await rss(child);
  child.removeAllListeners("exit");
  await kill(child);
  return size;
}

const benches: Record<string, () => Promise<void>> = {
  async size() {
    for (const name of Object.keys(SIZES) as (keyof typeof SIZES)[]) {
      const [now, before] = [await side(root, name), await side(baseline, name)];
      const figures = `before ${before.size.toFixed(1)} MB`;
      row(`installed size of ${name}`, now.size, SIZES[name], " MB", figures);
    }
  },

  idle,

  async start() {
    const [now, before] = [await afterMainJob(root), await afterMainJob(baseline)];
    const figures = `now ${now.toFixed(0)} MB, before ${before.toFixed(0)} MB`;
    row("memory of npm start, idle after the job", now / before, 0.4, "x", figures);
  },

  async import() {
    const { folder } = await side(root);
    const samples = { "@taskloom/queue": [] as number[], bullmq: [] as number[] };
    for (let round = 0; round < rounds * 2; round++)
      for (const name of Object.keys(samples) as (keyof typeof samples)[]) {
        const { output } = await ran(folder, ["program.mjs", "import", name]);
        samples[name].push((JSON.parse(output) as { cpu: number }).cpu);
      }
    const [queue, bullmq] = [median(samples["@taskloom/queue"]), median(samples.bullmq)];
    const figures = `processor time: queue ${queue.toFixed(0)} ms, bullmq ${bullmq.toFixed(0)} ms`;
    row('import "@taskloom/queue" beside bullmq', queue / bullmq, 1.2, "x", figures);
  },

  async help() {
    const [now, before] = [await side(root), await side(baseline)];
    const samples = { now: [] as number[], before: [] as number[], node: [] as number[] };
    for (let round = 0; round < rounds * 2; round++) {
      samples.now.push((await ran(now.folder, [CLI, "--help"])).time);
      samples.before.push((await ran(before.folder, [CLI, "--help"])).time);
      samples.node.push((await ran(now.folder, ["-e", "0"])).time);
    }
    const list = Object.entries(samples).map(([name, times]) => `${name} ${median(times).toFixed(0)} ms`);
    row("taskloom --help", median(samples.now) / 1_000, 0.25, " s", list.join(", "));
  },

  async wait() {
    const { folder } = await side(root);
    const http: number[] = [];
    const library: number[] = [];
    const alone: number[] = [];
    const libraryTime = async (...args: string[]): Promise<number> =>
      (JSON.parse((await ran(folder, ["program.mjs", "library", ...args])).output) as { p50: number }).p50;
    for (let round = 0; round < rounds; round++) {
      const engine = (name: string): string => `embedded:${join(folder, `${name}-${round}`)}`;
      alone.push(await libraryTime(engine("alone"), "alone"));
      // The client is a process of its own on both sides, and the service runs the jobs of both.
      const { child, output } = await started(folder, worker(engine("service")), '"event":"ready"');
      const [, address] = /"http":"(http[^"]+)"/.exec(output)!;
      http.push(await waitTime(address!));
      library.push(await libraryTime(engine("service")));
      child.removeAllListeners("exit");
      await kill(child);
    }
    const figures = `HTTP ${median(http).toFixed(1)} ms, library ${median(library).toFixed(1)} ms, both from a process of their own; client and worker in one process ${median(alone).toFixed(1)} ms`;
    row("HTTP with wait on embedded, p50", median(http) / median(library), 2, "x", figures);
  },
};

/** Returns the median time of a submission by HTTP that waits for its result, in milliseconds. */
async function waitTime(address: string): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < 150; n++) {
    const from = performance.now();
    const answer = await fetch(`${address}/tasks/bench.increment?wait=10`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ args: [n] }),
    });
    const { state } = (await answer.json()) as { state?: string };
    if (state !== "completed") throw new Error(`A job of the bench is ${state ?? answer.status}`);
    if (n >= 50) times.push(performance.now() - from);
  }
  return median(times);
}

try {
  for (const [name, bench] of Object.entries(benches))
    if (only.length === 0 || only.includes(name)) await bench();
} finally {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
}
if (missed > 0) process.exitCode = 1;
process.exit();
