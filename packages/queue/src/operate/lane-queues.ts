import type { Engine } from "../contract/engine.ts";
import type { StoredJob } from "../contract/stored-job.ts";
import type { LaneQueue } from "../contract/lane-queue.ts";
import { untilAnswered } from "../contract/transient.ts";
import { laneQueueName, lanes, storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";

/** The largest number of jobs that one lookup reads. A reader of more jobs makes several lookups. */
export const MAX_LOOKUP = 2_000;

/** The lane of a job, and the id that users know. */
interface LaneJobId {
  readonly lane: Lane;
  readonly id: string;
}

/** The lanes of one queue at an engine, each opened at its first use. */
export class LaneQueues {
  readonly engine: Engine;
  readonly queueName: string;
  readonly #open = new Map<Lane, LaneQueue>();
  #isClosed = false;

  constructor(engine: Engine, queueName: string) {
    this.engine = engine;
    this.queueName = queueName;
  }

  /** Returns a lane, which is opened if needed. */
  lane(lane: Lane): LaneQueue {
    let queue = this.#open.get(lane);
    if (queue === undefined) {
      queue = this.engine.openLane(this.nameOf(lane));
      this.#open.set(lane, queue);
    }
    return queue;
  }

  /** Returns the name of the BullMQ queue of a lane. */
  nameOf(lane: Lane): string {
    return laneQueueName(this.queueName, lane);
  }

  /** Divides items by the lanes and the shards of their jobs, which answer independently. */
  groups<T>(
    items: readonly T[],
    jobOf: (item: T) => LaneJobId,
  ): { readonly lane: Lane; readonly items: T[] }[] {
    const { engine } = this;
    const byLane = Map.groupBy(items, (item) => jobOf(item).lane);
    return lanes.flatMap((lane) => {
      const ofLane = byLane.get(lane);
      if (ofLane === undefined) return [];
      if (engine.shardOf === undefined) return [{ lane, items: ofLane }];
      const name = this.nameOf(lane);
      const shards = Map.groupBy(ofLane, (item) => engine.shardOf!(name, storedId(jobOf(item).id)));
      return [...shards.values()].map((ofShard) => ({ lane, items: ofShard }));
    });
  }

  /** Reads the stored state of one lane's jobs by the ids that users know. */
  async lookup(lane: Lane, ids: readonly string[]): Promise<StoredJob[]> {
    return await untilAnswered(
      this.engine,
      () => this.engine.lookup(this.nameOf(lane), ids.map(storedId)),
      () => !this.#isClosed,
    );
  }

  /** Calls a function for all lanes at once, and resolves with their results in the order of the lanes. */
  async each<T>(call: (queue: LaneQueue, lane: Lane) => Promise<T>): Promise<T[]> {
    return await Promise.all(lanes.map((lane) => call(this.lane(lane), lane)));
  }

  /** Closes the lanes that were opened. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled([...this.#open.values()].map((queue) => queue.close()));
  }
}
