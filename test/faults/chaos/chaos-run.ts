import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import type { TaskloomProcess } from "../../support/taskloom-process.ts";
import { Workers, full, measured } from "../support/fault-test.ts";
import { Ledger } from "../support/ledger.ts";
import { audit } from "./audit.ts";
import type { Absence, Audit } from "./audit.ts";
import { ChaosClient } from "./load.ts";

/** The duration of the faults of one kind, in milliseconds. */
export const faultsFor = full ? 60_000 : 6_000;

/** The time in which all jobs must end after the last fault, in milliseconds. */
const settleWithin = 120_000;

/** The time without an engine that costs no lock: docs/decisions/0004-locks.md. */
const LOCKS_OUTLAST_MS = 5_000;
/** The longest time for which a fault waits until a job begins or ends after an outage. */
const LONGEST_RETURN_MS = 20_000;

/** The workers of a chaos run. A fault kills, stops or replaces them. */
export class ChaosWorkers {
  readonly absences: Absence[] = [];
  readonly #workers: Workers;
  readonly #ledger: Ledger;
  readonly #alive: TaskloomProcess[] = [];

  constructor(workers: Workers, ledger: Ledger) {
    this.#workers = workers;
    this.#ledger = ledger;
  }

  async start(count: number): Promise<void> {
    const started = await Promise.all(
      Array.from({ length: count }, () =>
        this.#workers.start({ tasks: "../chaos/tasks.ts", concurrency: 10 }),
      ),
    );
    this.#alive.push(...started);
  }

  /** Ends the oldest worker as `kill -9` does, and starts another. */
  async replaceOldest(): Promise<void> {
    const victim = this.#alive.shift();
    const pid = victim!.child.pid!;
    await victim?.kill("SIGKILL");
    this.absences.push({ pid, from: Date.now() - 1, until: Infinity });
    await this.start(1);
  }

  /** Stops the oldest worker until its locks have lapsed, and then continues it. */
  async suspendOldest(milliseconds: number): Promise<void> {
    const victim = this.#alive.shift()!;
    this.#alive.push(victim);
    const from = Date.now();
    victim.child.kill("SIGSTOP");
    await delay(milliseconds);
    victim.child.kill("SIGCONT");
    this.absences.push({ pid: victim.child.pid!, from, until: Date.now() });
  }

  /**
   * Takes the engine away and brings it back. A worker keeps its locks over 5 s without its engine. A busy machine may need
   * longer until a server runs and a worker has found it again; the locks of all workers can lapse then.
   */
  async withoutEngine(outage: () => Promise<void>): Promise<void> {
    const from = Date.now();
    await outage();
    const before = this.#ledger.size;
    const patience = Date.now() + LONGEST_RETURN_MS;
    while (this.#ledger.size === before && Date.now() < patience) await delay(50);
    const until = Date.now();
    if (until - from < LOCKS_OUTLAST_MS) return;
    for (const { child } of this.#alive) this.absences.push({ pid: child.pid!, from, until });
  }

  /** The workers that ended without a kill. */
  died(): number {
    return this.#alive.filter(({ child }) => child.exitCode !== null || child.signalCode !== null).length;
  }
}

/** Causes one fault and repairs it; called repeatedly. */
export type Fault = (workers: ChaosWorkers) => Promise<void>;

/**
 * Runs three workers and two clients under one kind of fault. After the faults, every submission ends and the
 * audit finds no fault.
 */
export async function chaosRun(
  name: string,
  engine: string,
  folder: string,
  fault: Fault,
  mend: () => Promise<void> = async () => {},
): Promise<void> {
  const ledger = new Ledger(join(folder, "ledger"));
  process.env["TASKLOOM_LEDGER"] = ledger.path;
  const started = new Workers(() => engine, ledger);
  const workers = new ChaosWorkers(started, ledger);
  const seed = Number(process.env["TASKLOOM_SEED"] ?? Date.now() % 100_000);
  const clients = [1, 2].map((each) => new ChaosClient(engine, `c${each}`, seed + each));
  try {
    await workers.start(3);
    await Promise.all(clients.map((client) => client.prepare()));
    const end = new AbortController();
    const loads = clients.map((client) => client.run(end.signal));
    const until = performance.now() + faultsFor;
    while (performance.now() < until) await fault(workers);
    await mend();
    end.abort();
    await Promise.all(loads);
    const mended = performance.now();
    await Promise.all(clients.map((client) => client.settle(settleWithin)));
    const settled = Math.round(performance.now() - mended);
    const result = await audit(clients, engine, ledger.path, workers.absences);
    report(name, seed, settled, result, clients);
    // Counts and some examples are printed, because a list of all faults would hide the others.
    expect(examples(result), `seed ${seed}`).toEqual({
      lost: [],
      swapped: [],
      failedSuccesses: [],
      doubled: [],
      differing: [],
      unclear: [],
    });
    expect(result.submissions, "the load went on").toBeGreaterThan(100);
    expect(workers.died(), "workers that ended by themselves").toBe(0);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await started.stopAll();
  }
}

/** Returns the lists of an audit, each cut to its first five entries. */
function examples(result: Audit): Record<string, readonly string[]> {
  const { lost, swapped, failedSuccesses, doubled, differing, unclear } = result;
  return Object.fromEntries(
    Object.entries({ lost, swapped, failedSuccesses, doubled, differing, unclear }).map(([kind, texts]) => [
      kind,
      texts.slice(0, 5),
    ]),
  );
}

function report(
  name: string,
  seed: number,
  settled: number,
  result: Audit,
  clients: readonly ChaosClient[],
): void {
  const packs = clients.reduce((sum, { failedPacks }) => sum + failedPacks.length, 0);
  const { submissions, acknowledged, refused, runs, ticks, reruns } = result;
  measured(
    `chaos ${name} (seed ${seed}): ${submissions} submissions, ${acknowledged} acknowledged, ${refused} refused, ${packs} items refused, ${runs} runs, ${ticks} ticks, ${reruns} explained re-runs; lost ${result.lost.length}, swapped ${result.swapped.length}, success as failure ${result.failedSuccesses.length}, doubled ${result.doubled.length}, stored differs ${result.differing.length}, unclear ${result.unclear.length}; settled after ${settled} ms`,
  );
}
