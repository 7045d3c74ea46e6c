import { setImmediate } from "node:timers/promises";
import { TurnLoop } from "../../src/consumer/turn-loop.ts";
import type { ClaimTerms, RunEnd, TurnAnswer } from "../../src/contract/lane-driver.ts";
import { idOnShard, placeOfId } from "../../src/contract/shard-id.ts";
import { SharedPlaces } from "../../src/engines/sharded/shared-places.ts";
import { candidatesOf } from "../../src/engines/sharded/shard-layout.ts";
import type { ShardLayout } from "../../src/engines/sharded/shard-layout.ts";

/** A job of the simulation; times are milliseconds of the virtual clock. */
interface SimulatedJob {
  readonly id: string;
  readonly shard: number;
  readonly addedAt: number;
  readonly runs: number;
}

/** The settings of a simulation. */
export interface SimulationOptions {
  readonly shards: number;
  readonly workers: number;
  /** The number of jobs that a worker runs at once. */
  readonly concurrency: number;
  /** The time that a job runs. */
  readonly duration: number;
  /** Returns how many jobs are added in each step of the clock, for each shard; without a shard, the router decides. */
  readonly load: (step: number) => readonly { readonly shard?: number; readonly count: number }[];
  readonly steps: number;
  /** The length of a step. */
  readonly step: number;
  /** The shards that do not answer in a step. */
  readonly lost?: (step: number) => ReadonlySet<number>;
}

/** The result of a simulation. */
export interface SimulationResult {
  readonly ended: number;
  readonly left: number;
  /** The waiting times of the jobs of each shard, sorted. */
  readonly waits: readonly (readonly number[])[];
  /** The number of jobs of each shard that ended in each step. */
  readonly endedIn: readonly (readonly number[])[];
  /** The number of turns. */
  readonly turns: number;
  /** The greatest number of jobs that one worker ran at once. */
  readonly mostAtOnce: number;
}

/** One shard: the jobs that wait, and the workers that wait for news. */
class SimulatedShard {
  isLost = false;
  readonly waiting: SimulatedJob[] = [];
  readonly #waiters: (() => void)[] = [];
  #hasMarker = false;

  /** Notifies one worker, as Redis' marker does. */
  notify(): void {
    const waiter = this.isLost ? undefined : this.#waiters.shift();
    if (waiter === undefined) this.#hasMarker = true;
    else waiter();
  }

  async news(): Promise<void> {
    if (this.#hasMarker && !this.isLost) {
      this.#hasMarker = false;
      return;
    }
    await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Takes jobs, and notifies another worker if some are left. */
  take(count: number): SimulatedJob[] {
    const taken = this.waiting.splice(0, count);
    if (this.waiting.length > 0) this.notify();
    return taken;
  }

  /** Lets all waiters look again after the shard is back. */
  back(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }
}

/**
 * Runs the shard router, the shared places and the turns of a consumer over shards in memory, in virtual time: a step begins
 * when nothing is left to do in the one before. A shard that is lost answers no turn.
 */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { shards: count, workers, concurrency, duration, steps, step: length } = options;
  const shards = Array.from({ length: count }, () => new SimulatedShard());
  const layout: ShardLayout = { epoch: 1, count, earlier: [], keysFrom: 0, places: [] };
  const waits: number[][] = shards.map(() => []);
  const endedIn: number[][] = Array.from({ length: steps }, () => Array.from({ length: count }, () => 0));
  const jobs = new Map<string, SimulatedJob>();
  const due = new Map<number, (() => void)[]>();
  let now = 0;
  let turns = 0;
  let ended = 0;
  let mostAtOnce = 0;
  let next = 0;

  const startWorker = (worker: number): void => {
    const places = new SharedPlaces(concurrency);
    let running = 0;
    const loops: TurnLoop[] = [];
    for (const [shard, simulated] of shards.entries()) {
      let bodies = 0;
      const answerOf = (ends: readonly RunEnd[], claim: ClaimTerms | undefined): TurnAnswer => {
        turns++;
        ended += ends.length;
        endedIn[Math.min(steps - 1, Math.floor(now / length))]![shard]! += ends.length;
        const taken = claim === undefined ? [] : simulated.take(claim.count);
        return {
          refusals: ends.map(() => undefined),
          jobs: taken.map(({ id }) => ({ id, record: {} as never })),
          limitedFor: 0,
          nextDue: 0,
        };
      };
      const loop = new TurnLoop({
        turns: {
          turn: async (ends, claim) => {
            while (simulated.isLost) await new Promise<void>((resolve) => onStep.push(resolve));
            return answerOf(ends, claim);
          },
          passNewsOn: async () => simulated.notify(),
        },
        wait: { news: () => simulated.news() },
        terms: { lockDuration: 8_000, workerName: undefined },
        workerId: `worker-${worker}~${shard}`,
        concurrency: () => concurrency,
        places: places.join({
          isDown: () => simulated.isLost,
          bodies: () => bodies,
          wake: () => loop.wake(),
        }),
        onJobs: (claimed, token) => {
          for (const { id } of claimed) {
            const job = jobs.get(id)!;
            waits[shard]!.push(now - job.addedAt);
            bodies++;
            running++;
            mostAtOnce = Math.max(mostAtOnce, running);
            const endAt = Math.floor(now / length) + Math.ceil(duration / length);
            const end = (): void => {
              bodies--;
              running--;
              const record = { id, token, outcome: "completed", text: "null" } as RunEnd;
              void loop.store(record);
            };
            due.set(endAt, [...(due.get(endAt) ?? []), end]);
          }
        },
        onError: () => {},
        longestLimit: 1_000,
        isTransient: () => true,
      });
      loops.push(loop);
    }
    for (const loop of loops) loop.open();
  };

  const nextShard = (lost: ReadonlySet<number>): number => {
    let shard = next++ % count;
    while (lost.has(shard)) shard = next++ % count;
    return shard;
  };
  const onStep: (() => void)[] = [];
  for (let worker = 0; worker < workers; worker++) startWorker(worker);
  await quiet();
  for (let step = 0; step < steps; step++) {
    now = step * length;
    const lost = options.lost?.(step) ?? new Set();
    for (const [shard, simulated] of shards.entries()) {
      const isBack = simulated.isLost && !lost.has(shard);
      simulated.isLost = lost.has(shard);
      if (isBack) simulated.back();
    }
    for (const resolve of onStep.splice(0)) resolve();
    for (const end of due.get(step) ?? []) end();
    due.delete(step);
    await quiet();
    for (const { shard: fixed, count: added } of options.load(step)) {
      for (let at = 0; at < added; at++) {
        // Submissions without an id avoid a shard that does not answer.
        const target = fixed ?? nextShard(lost);
        const id = `loop.${idOnShard(target)}`;
        const [shard] = candidatesOf(placeOfId(id), layout, now);
        const job: SimulatedJob = { id, shard: shard!, addedAt: now, runs: 0 };
        jobs.set(id, job);
        shards[shard!]!.waiting.push(job);
        shards[shard!]!.notify();
      }
    }
    await quiet();
  }
  return {
    ended,
    left: shards.reduce((sum, { waiting }) => sum + waiting.length, 0),
    waits: waits.map((each) => each.toSorted((a, b) => a - b)),
    endedIn,
    turns,
    mostAtOnce,
  };
}

/** Resolves when all work of a step is done: turns take a turn of the event loop, and a chain of them a few. */
async function quiet(): Promise<void> {
  for (let turns = 0; turns < 12; turns++) await setImmediate();
}
