/** One pool in a process of its own: `one-side.ts SIDE MEASURE` sends one figure to the bench. */
import { ThreadPoolExecutor, transfer } from "@taskloom/offload";
import type { SideMeasure } from "./in-processes.ts";
import { THREADS, makePeer } from "./peers.ts";
import { median } from "./report.ts";

const [side, measure] = process.argv.slice(2) as [string, SideMeasure];
const same = (value: unknown): unknown => value;
/** No thread starts before the first call. */
const pool = new ThreadPoolExecutor({ maxThreads: THREADS });
const call: (value: unknown) => PromiseLike<unknown> =
  side === "Taskloom" ? (value) => pool.submit(same, value) : makePeer(side).call;

/** Returns the median of single calls in microseconds, after the same number of calls that do not count. */
async function typical(once: () => PromiseLike<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = -300; i < 300; i++) {
    const start = performance.now();
    await once();
    if (i >= 0) times.push((performance.now() - start) * 1000);
  }
  return median(times);
}

const measures: Record<SideMeasure, () => Promise<number>> = {
  megabyte: () => {
    const data = new Uint8Array(1_000_000);
    return typical(() => call(data));
  },

  "moved megabyte": () => {
    let data: Uint8Array = new Uint8Array(1_000_000);
    const url = import.meta.resolve("@taskloom/offload");
    const back = async (module: string, bytes: Uint8Array): Promise<Uint8Array> =>
      ((await import(module)) as typeof import("@taskloom/offload")).transfer(bytes, [bytes.buffer]);
    return typical(async () => (data = await pool.submit(back, url, transfer(data, [data.buffer]))));
  },

  /**
   * The processor time of both threads in milliseconds; the calls are long enough for other processes to
   * interrupt them.
   */
  records: async () => {
    const data = Array.from({ length: 10_000 }, (_, i) => ({
      id: i,
      name: `name ${i}`,
      tags: ["a", "b"],
      at: { x: i, y: i / 2 },
    }));
    for (let i = 0; i < 20; i++) await call(data);
    const before = process.cpuUsage();
    for (let i = 0; i < 30; i++) await call(data);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 30_000;
  },
};

const figure = await measures[measure]();
process.send?.(figure, () => process.exit());
