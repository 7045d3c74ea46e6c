import type { Engine } from "../contract/engine.ts";
import type { StoredJob } from "../contract/stored-job.ts";
import type { LaneQueue } from "../contract/lane-queue.ts";
import { untilAnswered } from "../contract/transient.ts";
import { laneQueueName, lanes, storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";

/** How many jobs one lookup reads at most. A reader of more jobs asks several times. */
export const MAX_LOOKUP = 2_000;

/** The two lanes of one queue at an engine, each opened at its first use. */
export class LaneQueues {
  readonly engine: Engine;
  readonly queueName: string;
  readonly #open = new Map<Lane, LaneQueue>();
  #isClosed = false;

  constructor(engine: Engine, queueName: string) {
    this.engine = engine;
    this.queueName = queueName;
  }

  lane(lane: Lane): LaneQueue {
    let queue = this.#open.get(lane);
    if (queue === undefined) {
      queue = this.engine.openLane(this.nameOf(lane));
      this.#open.set(lane, queue);
    }
    return queue;
  }

  nameOf(lane: Lane): string {
    return laneQueueName(this.queueName, lane);
  }

  /** Looks at stored jobs of one lane by the ids that users know. */
  async lookup(lane: Lane, ids: readonly string[]): Promise<StoredJob[]> {
    return await untilAnswered(
      this.engine,
      () => this.engine.lookup(this.nameOf(lane), ids.map(storedId)),
      () => !this.#isClosed,
    );
  }

  /** The same for both lanes at once. */
  async both<T>(ask: (queue: LaneQueue, lane: Lane) => Promise<T>): Promise<T[]> {
    return await Promise.all(lanes.map((lane) => ask(this.lane(lane), lane)));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled([...this.#open.values()].map((queue) => queue.close()));
  }
}
