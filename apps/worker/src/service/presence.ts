import type { Engine } from "@taskloom/queue";
import { storableText } from "@taskloom/queue/operating";
import { Job } from "bullmq";
import type { Queue } from "bullmq";
import { isGone } from "./pid-space.ts";
import type { WorkerView } from "./worker-view.ts";

const queueName = "taskloom-workers";
/** A worker that has said nothing for this long is not shown; its record is removed by the others. */
const silence = 30_000;
/** One that has said nothing for this long, of what it says every second, is shown as silent. */
const remarkable = 4_000;
/** A worker on this machine that has missed one of its looks is looked for among the processes. */
const missedLook = 1_200;
const readAtMost = 1_000;
/** So many are read at once: each is about 100 KB at most. */
const readAtOnce = 50;

/**
 * Where workers tell of themselves, so that any process at the same engine can show them all.
 *
 * Each keeps one job in a queue that nobody takes jobs from: that way it works on every engine BullMQ has, and is
 * removed with everything else that BullMQ keeps.
 */
export class Presence {
  readonly #engine: Engine;
  #queue: Queue | undefined;
  #reading: Promise<WorkerView[]> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  #open(): Queue {
    this.#queue ??= this.#engine.openQueue(queueName);
    return this.#queue;
  }

  /** Writes or overwrites what a worker says of itself. */
  async tell(told: WorkerView): Promise<void> {
    const queue = this.#open();
    const view = storable(told);
    const job = await Job.fromId(queue, view.id);
    if (job === undefined) await queue.add("worker", view, { jobId: view.id });
    else await job.updateData(view);
  }

  async forget(id: string): Promise<void> {
    await this.#open().remove(id);
  }

  /** Every worker that has told of itself lately, oldest first. */
  async all(): Promise<WorkerView[]> {
    const now = this.#engine.now();
    return (await this.#records()).flatMap((view) => {
      const silentFor = now - view.seenAt;
      if (silentFor >= silence) return [];
      if (silentFor >= missedLook && isGone(view)) return [{ ...view, state: "dead", silentFor }];
      return silentFor < remarkable ? [view] : [{ ...view, silentFor }];
    });
  }

  /** Removes what workers that died have left. */
  async sweep(): Promise<void> {
    const now = this.#engine.now();
    for (const { id, seenAt } of await this.#records()) {
      if (now - seenAt >= silence) await this.#open().remove(id);
    }
  }

  /** All who ask while the records are being read are given the same: many pages look every second. */
  #records(): Promise<WorkerView[]> {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #read(): Promise<WorkerView[]> {
    const views = new Map<string, WorkerView>();
    for (let from = 0; from < readAtMost; from += readAtOnce) {
      const jobs = await this.#open().getJobs(["waiting"], from, from + readAtOnce - 1, true);
      for (const job of jobs) if (job?.data !== undefined) views.set(job.id!, job.data as WorkerView);
      if (jobs.length < readAtOnce) break;
    }
    return [...views.values()];
  }

  async close(): Promise<void> {
    await this.#queue?.close();
  }
}

/** Names of tasks and what they wait for are their users' texts, and not every store keeps every text. */
function storable(view: WorkerView): WorkerView {
  const replace = (_key: string, value: unknown): unknown =>
    typeof value === "string" ? storableText(value) : value;
  return JSON.parse(JSON.stringify(view, replace)) as WorkerView;
}
