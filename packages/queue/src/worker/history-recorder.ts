import type { Engine } from "../contract/engine.ts";
import { HISTORY_LENGTHS } from "../contract/history.ts";
import type { HistoryEntry } from "../contract/history.ts";
import { binOf } from "../operate/activity.ts";
import { LaneQueues } from "../operate/lane-queues.ts";
import type { JobEvent } from "./job-events.ts";

/** The states of waiting jobs, by BullMQ's names. */
const WAITING = ["wait", "paused", "prioritized", "waiting-children"];

/** Adds up figures of the jobs of one queue on this worker. */
export class QueueFigures {
  #sums: Record<string, number> = {};

  #add(name: string): void {
    this.#sums[name] = (this.#sums[name] ?? 0) + 1;
  }

  /** Adds the wait of a job that starts for the first time, in milliseconds. */
  started(waited: number): void {
    this.#add(`w${binOf(waited)}`);
  }

  /** Adds the end of an attempt, with the milliseconds that it ran. */
  ended(state: JobEvent["state"], duration: number): void {
    this.#add(state);
    this.#add(`r${binOf(duration)}`);
  }

  /** Returns the figures since the call before. */
  take(): Record<string, number> {
    const sums = this.#sums;
    this.#sums = {};
    return sums;
  }
}

/**
 * Writes the history of a worker's queues every ten seconds: the ends and waits of its own jobs, and the numbers of jobs in
 * the queue. One worker of each queue counts the latter: the first of those that serve it.
 */
export class HistoryRecorder {
  readonly #engine: Engine;
  readonly #workerId: string;
  readonly #queues: ReadonlyMap<string, { readonly figures: QueueFigures; readonly lanes: LaneQueues }>;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  constructor(engine: Engine, queues: readonly string[], workerId: string) {
    this.#engine = engine;
    this.#workerId = workerId;
    this.#queues = new Map(
      queues.map((queue) => [queue, { figures: new QueueFigures(), lanes: new LaneQueues(engine, queue) }]),
    );
  }

  /** The figures of one of the worker's queues. */
  of(queue: string): QueueFigures {
    return this.#queues.get(queue)!.figures;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#write(true), HISTORY_LENGTHS[0]!.length).unref();
  }

  /** Writes the last figures. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    await this.#write(false);
    await Promise.allSettled([...this.#queues.values()].map(({ lanes }) => lanes.close()));
  }

  /** An engine that does not answer costs the figures of that time: a history with a gap is better than a growing one. */
  #write(counts: boolean): Promise<void> {
    this.#writing ??= this.#writeNow(counts)
      .catch(() => {})
      .finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  async #writeNow(counts: boolean): Promise<void> {
    const serving = counts ? await this.#engine.serving() : [];
    const entries: HistoryEntry[] = [];
    for (const [queue, { figures, lanes }] of this.#queues) {
      const ids = serving.filter(({ queues }) => queues.includes(queue)).map(({ id }) => id);
      const isCounter = ids.toSorted()[0] === this.#workerId;
      const peaks = isCounter ? await countNow(lanes) : {};
      const sums = figures.take();
      // An idle queue writes nothing. A bucket that is missing reads as zeros.
      if (Object.keys(sums).length + Object.keys(peaks).length > 0) entries.push({ queue, sums, peaks });
    }
    if (entries.length > 0) await this.#engine.addHistory(entries);
  }
}

/** Counts the jobs of a queue that have not ended; a state without jobs is left out. */
async function countNow(lanes: LaneQueues): Promise<Record<string, number>> {
  const peaks: Record<string, number> = {};
  const add = (name: string, count = 0): void => {
    if (count > 0) peaks[name] = (peaks[name] ?? 0) + count;
  };
  for (const counts of await lanes.each((lane) => lane.getJobCounts(...WAITING, "active", "delayed"))) {
    for (const state of ["waiting", ...WAITING]) add("waiting", counts[state]);
    add("active", counts["active"]);
    add("delayed", counts["delayed"]);
  }
  return peaks;
}
