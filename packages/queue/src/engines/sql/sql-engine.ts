import { FlowProducer } from "bullmq";
import type { ConnectionOptions, IQueueBackend, Queue } from "bullmq";
import { BullEngine } from "../../bullmq/bull-engine.ts";
import type { AnyBackend } from "../../bullmq/any-backend.ts";
import { BackendDriver } from "../../consumer/backend-driver.ts";
import { LaneConsumer } from "../../consumer/lane-consumer.ts";
import { readEvents } from "../../bullmq/read-events.ts";
import { ObjectDataQueue } from "../../bullmq/object-data-queue.ts";
import type { EngineWorker, LaneProcessor, LaneWorkerOptions } from "../../contract/engine-worker.ts";
import type { LaneTurns } from "../../contract/lane-driver.ts";
import type { FlowAdder } from "../../contract/lane-queue.ts";
import type { LaneEventListener, LaneEvents } from "../../contract/lane-events.ts";
import type { Transient } from "../../contract/transient.ts";
import { repeatSettings } from "../../cron/repeat-strategy.ts";

/** An engine whose jobs BullMQ stores in SQL tables, through a backend. */
export abstract class SqlEngine extends BullEngine {
  protected abstract readonly backend: AnyBackend;
  protected abstract readonly connection: ConnectionOptions;

  abstract transient(error: unknown): Transient | undefined;

  openQueue(name: string): Queue {
    const options = { connection: this.connection, skipMetasUpdate: true, settings: repeatSettings };
    const queue = new ObjectDataQueue(name, options, this.backend);
    queue.on("error", () => {});
    return queue;
  }

  async openEvents(laneName: string, listener: LaneEventListener): Promise<LaneEvents> {
    const lastEventId = String(await this.lastEvent(laneName));
    return readEvents(laneName, listener, { connection: this.connection, lastEventId }, this.backend);
  }

  /** Returns the id of the newest event of a lane; 0 without one. */
  protected abstract lastEvent(laneName: string): Promise<number>;

  openFlows(): FlowAdder {
    const flows = new FlowProducer({ connection: this.connection }, this.backend);
    flows.on("error", () => {});
    return flows;
  }

  openWorker(name: string, processor: LaneProcessor, options: LaneWorkerOptions): EngineWorker {
    return new LaneConsumer(name, processor, {
      ...options,
      connection: this.connection,
      backend: this.backend,
      transient: (error) => this.transient(error),
      turns: (backend) => this.turnsOf(name, backend),
    });
  }

  /** Returns the turns of a lane. An engine with a driver of its own overrides it. */
  protected turnsOf(_name: string, backend: IQueueBackend): LaneTurns {
    return new BackendDriver(backend);
  }

  /** The jobs of a queue name it already. */
  async recordQueue(): Promise<void> {}
}
