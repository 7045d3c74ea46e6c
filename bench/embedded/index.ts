/**
 * The cost of the embedded engine beside its predecessor PGlite, which runs from a git worktree that is built
 * beside this checkout, and beside BullMQ on a Redis of the bench's own. Every figure is the median of rounds
 * in which all sides take turns, each in a process of its own. Each engine has an empty folder.
 *
 * `pnpm bench embedded [ROW …]`; BENCH_ROUNDS is the number of rounds, 5 by default. The worktree stays in
 * the folder for temporary files for the next run.
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { kill, told } from "../child-process.ts";
import { privateRedis } from "../queue/redis.ts";
import { builtBaseline, root } from "./checkouts.ts";
import { installedBytes } from "./installed-size.ts";
import { mainJobTime } from "./main-job-time.ts";
import type { Figures, Question, Role } from "./protocol.ts";

const only = process.argv.slice(3);
const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5);
const redis = await privateRedis();
const baseline = await builtBaseline();
const children = new Set<ChildProcess>();
let missed = 0;

type Side = "SQLite FULL" | "SQLite NORMAL" | "PGlite" | "BullMQ on Redis";

/** One engine in an empty folder, or the bench's Redis, and the processes that use it. */
class Stage {
  readonly #side: Side;
  readonly #folder: string;

  private constructor(side: Side, folder: string) {
    this.#side = side;
    this.#folder = folder;
  }

  static async of(side: Side): Promise<Stage> {
    return new Stage(side, await mkdtemp(join(tmpdir(), "taskloom-bench-")));
  }

  spawn(role: Role): ChildProcess {
    const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
    const options = { execArgv: ["--expose-gc"], cwd: this.#folder };
    const engine = `embedded:${this.#folder}/data${this.#side === "SQLite NORMAL" ? "?sync=normal" : ""}`;
    const child =
      this.#side === "BullMQ on Redis"
        ? fork(file("bullmq-process.mjs"), [redis.url, role], options)
        : fork(
            file("taskloom-process.mjs"),
            [this.#side === "PGlite" ? baseline : root, engine, role],
            options,
          );
    children.add(child);
    child.once("exit", () => children.delete(child));
    return child;
  }

  async start(role: Role): Promise<ChildProcess> {
    const child = this.spawn(role);
    await told(child, "ready");
    return child;
  }

  /** Ends processes of this engine, and deletes its folder. */
  async end(...processes: readonly ChildProcess[]): Promise<void> {
    await Promise.all(processes.map(kill));
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function ask<Name extends Question["name"]>(
  child: ChildProcess,
  question: Question & { readonly name: Name },
): Promise<Figures[Name]> {
  const answer = told(child, "answer");
  child.send(question);
  return (await answer) as Figures[Name];
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Measures all sides in turns, once in each round. Returns the median of each figure of each side. */
async function inTurns<S extends string, F extends string>(
  sides: readonly S[],
  measure: (side: S) => Promise<Record<F, number>>,
  times = rounds,
): Promise<Record<S, Record<F, number>>> {
  const samples = new Map<S, Record<F, number>[]>(sides.map((side) => [side, []]));
  for (let round = 0; round < times; round++) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed())
      samples.get(side)?.push(await measure(side));
  }
  const medians = [...samples].map(([side, figures]) => {
    const names = Object.keys(figures[0]!) as F[];
    return [side, Object.fromEntries(names.map((name) => [name, median(figures.map((each) => each[name]))]))];
  });
  return Object.fromEntries(medians) as Record<S, Record<F, number>>;
}

/** Prints one row: a ratio, its bound, and the figures behind it. */
function row(
  what: string,
  ratio: number,
  bound: { atMost: number } | { atLeast: number },
  figures: string,
): void {
  const holds = "atMost" in bound ? ratio <= bound.atMost : ratio >= bound.atLeast;
  if (!holds) missed++;
  const limit = "atMost" in bound ? `at most ${bound.atMost}x` : `at least ${bound.atLeast}x`;
  console.log(`${holds ? "holds " : "MISSED"} ${what}: ${ratio.toFixed(2)}x (${limit}); ${figures}`);
}

/** Returns the figures of some sides as a text; `write` formats one figure. */
function list<S extends string, T>(values: Record<S, T>, write: (value: T) => string): string {
  return (Object.entries(values) as [S, T][]).map(([side, value]) => `${side} ${write(value)}`).join(", ");
}

/** The median times of a queue with many waiting jobs, in milliseconds. */
interface Backlog {
  readonly claim: number;
  readonly counts: number;
}

const benches: Record<string, () => Promise<void>> = {
  async calls() {
    const count = 5_000;
    const sides = ["SQLite FULL", "SQLite NORMAL", "PGlite", "BullMQ on Redis"] as const;
    const all = await inTurns(sides, async (side) => {
      const stage = await Stage.of(side);
      const child = await stage.start("both");
      await ask(child, { name: "burst", count: 1_000 }); // The first burst lets V8 compile the code.
      const { time, cpu } = await ask(child, { name: "burst", count });
      const { p50 } = await ask(child, { name: "serial", count: 200 });
      await stage.end(child);
      return { time, cpu, p50 };
    });
    const { "SQLite FULL": full, "SQLite NORMAL": normal, PGlite, "BullMQ on Redis": raw } = all;
    const rates = list(all, ({ time }) => `${Math.round((count / time) * 1_000)}/s`);
    row("submit to result, 5,000 at once, beside PGlite", PGlite.time / full.time, { atLeast: 6 }, rates);
    row("the same beside BullMQ on Redis", raw.time / full.time, { atLeast: 1 }, rates);
    const costs = list(all, ({ cpu }) => `${Math.round((cpu / count) * 1_000)} µs`);
    row("processor time of a job, all threads", full.cpu / PGlite.cpu, { atMost: 0.15 }, costs);
    const times = list(all, ({ p50 }) => `${p50.toFixed(2)} ms`);
    row("one job at a time, p50, FULL", full.p50 / PGlite.p50, { atMost: 1.1 }, times);
    row("one job at a time, p50, NORMAL", normal.p50 / PGlite.p50, { atMost: 0.3 }, times);
  },

  async pair() {
    const sides = ["SQLite NORMAL", "BullMQ on Redis"] as const;
    const all = await inTurns(sides, async (side) => {
      const stage = await Stage.of(side);
      const worker = await stage.start("worker");
      const client = await stage.start("client");
      await ask(client, { name: "serial", count: 300 });
      const figures = await ask(client, { name: "serial", count: 500 });
      await stage.end(client, worker);
      return figures;
    });
    row(
      "round trip between two processes, p50",
      all["SQLite NORMAL"].p50 / all["BullMQ on Redis"].p50,
      { atMost: 0.6 },
      list(all, ({ p50 }) => `${p50.toFixed(2)} ms`),
    );
  },

  async idle() {
    const all = await inTurns(["SQLite FULL", "PGlite"], async (side) => {
      const stage = await Stage.of(side);
      const child = await stage.start("idle");
      const figures = await ask(child, { name: "rss" });
      await stage.end(child);
      return figures;
    });
    row(
      "idle memory of a process with the engine open",
      all["SQLite FULL"].bytes / all.PGlite.bytes,
      { atMost: 0.55 },
      list(all, ({ bytes }) => `${Math.round(bytes / 1_048_576)} MB`),
    );
  },

  async first() {
    const all = await inTurns(["SQLite FULL", "PGlite"], async (side) => {
      const stage = await Stage.of(side);
      const from = performance.now();
      const child = stage.spawn("first");
      await told(child, "first");
      const time = performance.now() - from;
      await stage.end(child);
      return { time };
    });
    row(
      "from the start to the first result, empty folder",
      all["SQLite FULL"].time / all.PGlite.time,
      { atMost: 0.4 },
      list(all, ({ time }) => `${Math.round(time)} ms`),
    );
  },

  async delay() {
    const all = await inTurns(["SQLite FULL"], async (side) => {
      const stage = await Stage.of(side);
      const child = await stage.start("both");
      await ask(child, { name: "burst", count: 1_000 });
      const idle = await ask(child, { name: "delay", rate: 0, seconds: 5 });
      const busy = await ask(child, { name: "delay", rate: 3_000, seconds: 10 });
      await stage.end(child);
      return { idle: idle.p99, busy: busy.p99, rate: busy.done / 10 };
    });
    const { idle, busy, rate } = all["SQLite FULL"];
    row(
      "main loop's delay at 3,000 jobs/s, p99",
      busy / idle,
      { atMost: 2.5 },
      `idle ${idle.toFixed(2)} ms, busy ${busy.toFixed(2)} ms, ${Math.round(rate)} jobs/s`,
    );
  },

  async fair() {
    const all = await inTurns(["SQLite FULL"], async (side) => {
      const stage = await Stage.of(side);
      const workers = await Promise.all(Array.from({ length: 4 }, () => stage.start("worker")));
      const client = await stage.start("client");
      await ask(client, { name: "burst", count: 1_000 });
      const ran = async (): Promise<number[]> =>
        (await Promise.all(workers.map((worker) => ask(worker, { name: "runs" })))).map(({ runs }) => runs);
      const before = await ran();
      await ask(client, { name: "burst", count: 20_000 });
      const shares = (await ran()).map((runs, at) => (runs - before[at]!) / 5_000);
      await stage.end(client, ...workers);
      return { poorest: Math.min(...shares), richest: Math.max(...shares) };
    });
    const { poorest, richest } = all["SQLite FULL"];
    row(
      "share of the poorest of four busy processes",
      poorest,
      { atLeast: 0.6 },
      `the richest ${richest.toFixed(2)}x`,
    );
  },

  async backlog() {
    const measured = new Map<number, Backlog>();
    for (const count of [1_000, 1_000_000]) {
      const folder = await mkdtemp(join(tmpdir(), "taskloom-bench-"));
      const script = fileURLToPath(new URL("backlog-process.mjs", import.meta.url));
      const child = fork(script, [root, join(folder, "jobs.sqlite"), String(count)]);
      children.add(child);
      measured.set(count, (await told(child, "backlog")) as Backlog);
      await kill(child);
      await rm(folder, { recursive: true, force: true });
    }
    const [few, many] = [...measured.values()] as [Backlog, Backlog];
    const of = (name: keyof Backlog): string =>
      `${few[name].toFixed(2)} ms of 1,000, ${many[name].toFixed(2)} ms of 1,000,000`;
    row("a claim among a million waiting jobs, p50", many.claim / few.claim, { atMost: 1.5 }, of("claim"));
    row("counts among a million waiting jobs, p50", many.counts / few.counts, { atMost: 1.5 }, of("counts"));
  },

  async start() {
    const all = await inTurns(
      ["SQLite", "PGlite"],
      async (side) => ({
        time: await mainJobTime(side === "SQLite" ? root : baseline, join(baseline, "packages")),
      }),
      Math.min(rounds, 3),
    );
    row(
      "npm start -- FOLDER --once, the packages of the baseline",
      all.SQLite.time / all.PGlite.time,
      { atMost: 0.5 },
      list(all, ({ time }) => `${(time / 1_000).toFixed(1)} s`),
    );
  },

  async size() {
    const ours = await installedBytes(root, ["loop", "offload", "bullmq-sqlite", "queue"]);
    const before = await installedBytes(baseline, ["loop", "offload", "queue"]);
    const saved = (before - ours) / 1_000_000;
    if (saved < 25) missed++;
    console.log(
      `${saved >= 25 ? "holds " : "MISSED"} installed size of @taskloom/queue: ${saved.toFixed(1)} MB smaller (at least 25); SQLite ${(ours / 1e6).toFixed(1)} MB, PGlite ${(before / 1e6).toFixed(1)} MB`,
    );
  },
};

try {
  for (const [name, bench] of Object.entries(benches))
    if (only.length === 0 || only.includes(name)) await bench();
} finally {
  await Promise.all([...children].map(kill));
  await redis.stop();
}
if (missed > 0) process.exitCode = 1;
process.exit();
