import { EngineUnsupportedError } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import { storableText } from "@taskloom/queue/operating";
import { Job } from "bullmq";
import type { Queue } from "bullmq";
import { isGone } from "./pid-space.ts";
import type { WorkerView } from "./worker-view.ts";

const QUEUE_NAME = "taskloom-workers";
/** A record that is older than this is not shown, and other workers remove it. */
const EXPIRY_MS = 30_000;
/** A worker stores its record every second, or every two while it is idle. A record that is older than this makes its worker silent. */
const SILENT_MS = 4_000;
/** If a record is older than this, and its worker is on this machine, its process is checked. */
const MISSED_MS = 1_200;
const MAX_READ = 1_000;
/** The records of one read; each has about 100 KB at most. */
const READ_AT_ONCE = 50;

/**
 * The records that workers store about themselves, so that every process at the same engine can show all workers.
 *
 * Each record is a job in a queue that no worker serves. This form works on every engine of BullMQ, and the record is
 * removed together with everything else that BullMQ keeps.
 */
export class Presence {
  readonly #engine: Engine;
  #queue: Queue<WorkerView> | undefined;
  #reading: Promise<WorkerView[]> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  #open(): Queue<WorkerView> {
    this.#queue ??= this.#engine.openQueue(QUEUE_NAME);
    return this.#queue;
  }

  /** Adds or replaces the record of a worker. */
  async store(view: WorkerView): Promise<void> {
    const queue = this.#open();
    const record = storable(view);
    const job = await Job.fromId<WorkerView>(queue, record.id);
    if (job === undefined) await queue.add("worker", record, { jobId: record.id });
    else await job.updateData(record);
  }

  async remove(id: string): Promise<void> {
    await this.#open().remove(id);
  }

  /** Returns the workers whose records have not expired, oldest first. */
  async all(): Promise<WorkerView[]> {
    const now = this.#engine.now();
    return (await this.#records()).flatMap((view) => {
      const silentFor = now - view.seenAt;
      if (silentFor >= EXPIRY_MS) return [];
      if (silentFor >= MISSED_MS && isGone(view)) return [{ ...view, state: "dead", silentFor }];
      return silentFor < SILENT_MS ? [view] : [{ ...view, silentFor }];
    });
  }

  /** Removes the records that dead workers have left. */
  async sweep(): Promise<void> {
    const now = this.#engine.now();
    for (const { id, seenAt } of await this.#records()) {
      if (now - seenAt >= EXPIRY_MS) await this.#open().remove(id);
    }
  }

  /** Calls that overlap share one read: many live pages can ask in the same second. */
  #records(): Promise<WorkerView[]> {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #read(): Promise<WorkerView[]> {
    try {
      this.#open();
    } catch (error) {
      // Jobs in memory are in this process alone, which knows its workers, so none of them stores a record.
      if (error instanceof EngineUnsupportedError) return [];
      throw error;
    }
    const views = new Map<string, WorkerView>();
    for (let from = 0; from < MAX_READ; from += READ_AT_ONCE) {
      const jobs: (Job<WorkerView> | undefined)[] = await this.#open().getJobs(
        ["waiting"],
        from,
        from + READ_AT_ONCE - 1,
        true,
      );
      for (const job of jobs) if (job?.data !== undefined) views.set(job.id!, job.data);
      if (jobs.length < READ_AT_ONCE) break;
    }
    return [...views.values()];
  }

  async close(): Promise<void> {
    await this.#queue?.close();
  }
}

/** Returns a view that every store can keep: names of tasks and of awaited objects are texts of the users. */
function storable(view: WorkerView): WorkerView {
  const replace = (_key: string, value: unknown): unknown =>
    typeof value === "string" ? storableText(value) : value;
  return JSON.parse(JSON.stringify(view, replace)) as WorkerView;
}
