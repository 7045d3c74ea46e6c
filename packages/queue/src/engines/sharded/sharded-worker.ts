import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import type {
  EngineWorker,
  LaneProcessor,
  LaneWorkerOptions,
  ProcessedEnd,
} from "../../contract/engine-worker.ts";
import type { EndDelivery } from "../../contract/lane-driver.ts";
import type { BullJob } from "../../contract/lane-queue.ts";
import type { LaneConsumer } from "../../consumer/lane-consumer.ts";
import type { JobPlaces } from "./job-places.ts";
import { SharedPlaces } from "./shared-places.ts";
import type { Shards } from "./shards.ts";
import { workerOnShard } from "./worker-ids.ts";

/** The parts of a sharded engine that its workers need. */
export interface ShardedWorkerParts {
  readonly shards: Shards;
  readonly places: JobPlaces;
}

/** The events that a lane's worker reports. */
const EVENTS = ["active", "completed", "failed", "lockRenewalFailed", "error"] as const;

/**
 * The worker of one lane on all shards: a consumer for each shard, whose places for jobs are shared. An idle shard costs one
 * blocking wait.
 */
export class ShardedWorker extends EventEmitter implements EngineWorker {
  readonly id: string = randomUUID();
  readonly #name: string;
  readonly #processor: LaneProcessor;
  readonly #options: LaneWorkerOptions;
  readonly #parts: ShardedWorkerParts;
  readonly #shared: SharedPlaces;
  /** The consumers of the shards that have been connected. */
  readonly #consumers = new Map<number, LaneConsumer>();
  /** The number of shards whose locks the renewing thread renews. The loop renews those of shards that came later. */
  readonly #renewedShards: number;
  readonly #stopWatching: () => void;
  #concurrency: number;
  #isRunning = false;

  constructor(name: string, processor: LaneProcessor, options: LaneWorkerOptions, parts: ShardedWorkerParts) {
    super();
    this.#name = name;
    this.#processor = processor;
    this.#options = options;
    this.#parts = parts;
    this.#renewedShards = parts.shards.all.length;
    this.#concurrency = options.concurrency ?? 1;
    this.#shared = new SharedPlaces(this.#concurrency);
    this.on("error", () => {});
    this.#stopWatching = parts.shards.watch({
      joins: (shard) => this.#join(shard),
      leaves: (shard) => this.#leave(shard),
    });
  }

  #join(shard: number): void {
    const { shards, places } = this.#parts;
    const { renewal, deliveryOf, ...options } = this.#options;
    let bodies = 0;
    const shared = this.#shared.join({
      isDown: () => !shards.isUp(shard),
      bodies: () => bodies,
      wake: () => this.#consumers.get(shard)?.wake(),
    });
    const processor: LaneProcessor = async (job, token, lane) => {
      places.saw(this.#name, job.id!, shard);
      bodies++;
      try {
        return await this.#processor(job, token, lane);
      } finally {
        bodies--;
      }
    };
    const consumer = shards.engine(shard).openWorker(this.#name, processor, {
      ...options,
      id: workerOnShard(this.id, shard),
      // Each lane may have all places. Those that the shards share are the limit.
      concurrency: this.#concurrency,
      places: shared,
      ...(renewal === undefined || shard >= this.#renewedShards ? {} : { renewal }),
      ...(deliveryOf === undefined ? {} : { deliveryOf: this.#deliveryWithin(shard, deliveryOf) }),
    }) as LaneConsumer;
    for (const event of EVENTS) consumer.on(event, (...args: unknown[]) => void this.emit(event, ...args));
    this.#consumers.set(shard, consumer);
    if (this.#isRunning) void consumer.run();
  }

  async #leave(shard: number): Promise<void> {
    const consumer = this.#consumers.get(shard);
    this.#consumers.delete(shard);
    await consumer?.close();
  }

  /** Leaves a delivery to a run of another shard to a command of its own: a turn is one step on one shard. */
  #deliveryWithin(
    shard: number,
    deliveryOf: (job: BullJob, end: ProcessedEnd) => EndDelivery | undefined,
  ): (job: BullJob, end: ProcessedEnd) => EndDelivery | undefined {
    return (job, end) => {
      const delivery = deliveryOf(job, end);
      if (delivery === undefined) return undefined;
      return this.#parts.places.likely(delivery.lane, delivery.id) === shard ? delivery : undefined;
    };
  }

  get concurrency(): number {
    return this.#concurrency;
  }

  set concurrency(value: number) {
    this.#concurrency = value;
    for (const consumer of this.#consumers.values()) consumer.concurrency = value;
    this.#shared.resize(value);
  }

  /** Resolves when the lanes of the shards that answer can take jobs. */
  async waitUntilReady(): Promise<void> {
    const { shards } = this.#parts;
    await Promise.all(shards.up().map(async (shard) => await this.#consumers.get(shard)?.waitUntilReady()));
  }

  async run(): Promise<void> {
    this.#isRunning = true;
    await Promise.all([...this.#consumers.values()].map((consumer) => consumer.run()));
  }

  async pause(doNotWaitActive: boolean): Promise<void> {
    this.#stopWatching();
    await Promise.all([...this.#consumers.values()].map((consumer) => consumer.pause(doNotWaitActive)));
  }

  async close(force = false): Promise<void> {
    this.#stopWatching();
    // The lane of a shard that does not answer may not close before the others.
    const closed = await Promise.allSettled(
      [...this.#consumers.values()].map((consumer) => consumer.close(force)),
    );
    for (const result of closed) if (result.status === "rejected") throw result.reason;
  }
}
