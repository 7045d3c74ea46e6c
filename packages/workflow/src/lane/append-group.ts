import { untilAnswered } from "@taskloom/queue/lane";
import type { AppendAnswer, Engine, RunAppend } from "@taskloom/queue/lane";

/** A run that has something to store. */
export interface Appending {
  /** The id under which its job is stored. */
  readonly storedId: string;
  /** Returns what is to be stored now; undefined if the run has left meanwhile. */
  nextAppend(): RunAppend | undefined;
  appended(answer: AppendAnswer): void;
  /** The engine will never store the append. */
  appendFailed(error: unknown): void;
}

/** The runs of one shard that have something to store. An engine without shards has one. */
interface Line {
  waiting: Set<Appending>;
  isUnderWay: boolean;
}

/**
 * The appends of all runs of a lane. One call is under way at a time on each shard, and everything that comes meanwhile goes
 * with the next one: many runs then share one command, and one flush of the engine's disk.
 */
export class AppendGroup {
  readonly #engine: Engine;
  readonly #lane: string;
  readonly #lines = new Map<number, Line>();
  #isClosed = false;
  /** The number of calls, for tests. */
  calls = 0;
  /** The number of appends that the engine has answered. */
  appends = 0;

  constructor(engine: Engine, lane: string) {
    this.#engine = engine;
    this.#lane = lane;
  }

  /** Stores what a run has: with the next call. */
  request(run: Appending): void {
    const shard = this.#engine.shardOf?.(this.#lane, run.storedId) ?? 0;
    let line = this.#lines.get(shard);
    if (line === undefined) this.#lines.set(shard, (line = { waiting: new Set(), isUnderWay: false }));
    line.waiting.add(run);
    if (line.isUnderWay) return;
    line.isUnderWay = true;
    const sent = line;
    // Everything of this turn goes together.
    this.#engine.defer(() => void this.#send(sent));
  }

  async #send(line: Line): Promise<void> {
    while (line.waiting.size > 0) {
      const runs: Appending[] = [];
      const appends: RunAppend[] = [];
      for (const run of line.waiting) {
        const append = run.nextAppend();
        if (append === undefined) continue;
        runs.push(run);
        appends.push(append);
      }
      line.waiting = new Set();
      if (appends.length > 0) await this.#append(runs, appends);
    }
    line.isUnderWay = false;
  }

  async #append(runs: readonly Appending[], appends: readonly RunAppend[]): Promise<void> {
    try {
      const answers = await this.#call(appends);
      this.appends += appends.length;
      for (const [index, run] of runs.entries()) run.appended(answers[index]!);
    } catch (error) {
      if (runs.length === 1) {
        runs[0]!.appendFailed(error);
        return;
      }
      // One run may have an append that no engine takes. The others must not fail with it.
      for (const [index, run] of runs.entries()) await this.#append([run], [appends[index]!]);
    }
  }

  #call(appends: readonly RunAppend[]): Promise<AppendAnswer[]> {
    const append = (): Promise<AppendAnswer[]> => {
      this.calls++;
      return this.#engine.journal.append(this.#lane, appends);
    };
    return untilAnswered(this.#engine, append, () => !this.#isClosed);
  }

  /** Repeats no command any more. */
  close(): void {
    this.#isClosed = true;
  }
}
