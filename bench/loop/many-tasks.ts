/**
 * Many tasks with one function for all or a closure for each, beside native promises. All sides run in one
 * process and in turn, so a disturbance of the machine affects all of them. Times are the thread's own
 * processor time, because the collector's helper threads run beside it. The heap is not collected between the
 * sides: a full collection makes V8 drop its feedback, and for a while everything except native promises then
 * takes twice the time.
 */
import { gather, run, sleep } from "@taskloom/loop";

const ROUNDS = 7;

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/**
 * Returns the processor time of this thread so far in milliseconds; if Node cannot measure the thread, that
 * of the process.
 */
function busyTime(): number {
  const used =
    "threadCpuUsage" in process ? process.threadCpuUsage() : (process as NodeJS.Process).cpuUsage();
  return (used.user + used.system) / 1000;
}

type Side = () => Promise<number>;

/** Returns the median of each side, in nanoseconds for each operation. */
async function inTurn(operations: number, sides: Record<string, Side>): Promise<Record<string, number>> {
  const times = new Map(Object.keys(sides).map((name) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, side] of Object.entries(sides)) {
      times.get(name)!.push(await side());
    }
  }
  return Object.fromEntries([...times].map(([name, values]) => [name, (median(values) * 1e6) / operations]));
}

/** Runs `count` tasks that each pause `times` times. */
export function switches(count: number, times: number): Promise<Record<string, number>> {
  const items = Array.from({ length: count }, (_, i) => i);
  const nativeBody = async (): Promise<void> => {
    // oxlint-disable-next-line typescript/await-thenable, unicorn/no-unnecessary-await -- what is measured
    for (let i = 0; i < times; i++) await null;
  };
  const generatorBody = function* (): Generator<never, void, unknown> {
    for (let i = 0; i < times; i++) yield* sleep(0);
  };
  const asyncBody = async (): Promise<void> => {
    for (let i = 0; i < times; i++) await sleep(0);
  };
  return inTurn(count * times, {
    async native() {
      const began = busyTime();
      await Promise.all(items.map(() => nativeBody()));
      return busyTime() - began;
    },
    async "native, fresh closures"() {
      const began = busyTime();
      const bodies = items.map((item) => async () => {
        let sum = item;
        // oxlint-disable-next-line typescript/await-thenable, unicorn/no-unnecessary-await -- what is measured
        for (let i = 0; i < times; i++) sum += (await null) ?? 1;
        return sum;
      });
      await Promise.all(bodies.map((body) => body()));
      return busyTime() - began;
    },
    generator: () =>
      run(function* () {
        const began = busyTime();
        yield* gather(items.map(() => generatorBody));
        return busyTime() - began;
      }),
    "generator, fresh closures": () =>
      run(function* () {
        const began = busyTime();
        yield* gather(
          items.map((item) => {
            return function* () {
              let sum = item;
              for (let i = 0; i < times; i++) sum += (yield* sleep(0)) ?? 1;
              return sum;
            };
          }),
        );
        return busyTime() - began;
      }),
    async: () =>
      run(async () => {
        const began = busyTime();
        await gather(items.map(() => asyncBody));
        return busyTime() - began;
      }),
    "async, fresh closures": () =>
      run(async () => {
        const began = busyTime();
        await gather(
          items.map((item) => async () => {
            let sum = item;
            for (let i = 0; i < times; i++) sum += (await sleep(0)) ?? 1;
            return sum;
          }),
        );
        return busyTime() - began;
      }),
  });
}

/** Creates, runs and gathers empty tasks, `count` at once, until 100,000 have run. */
export function spawns(): Promise<Record<string, number>> {
  const total = 100_000;
  const job = function* (): Generator<never, number, unknown> {
    return 1;
  };
  const atOnce = (count: number) => (): Promise<number> =>
    run(function* () {
      const began = busyTime();
      for (let done = 0; done < total; done += count) yield* gather(Array.from({ length: count }, job));
      return busyTime() - began;
    });
  return inTurn(total, { "1,000": atOnce(1000), "10,000": atOnce(10_000), "100,000": atOnce(100_000) });
}
