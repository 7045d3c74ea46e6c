import type { Engine, StoredJob } from "../contract/engine.ts";
import type { LaneQueue } from "../contract/lane-queue.ts";
import { untilAnswered } from "../contract/transient.ts";
import { laneQueueName, lanes, storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";

/** What the engine has of one queue: its lanes, each opened when it is first used. */
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
  async look(lane: Lane, ids: readonly string[]): Promise<StoredJob[]> {
    return await untilAnswered(
      this.engine,
      () => this.engine.look(this.nameOf(lane), ids.map(storedId)),
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
