import { QueueBase } from "bullmq";
import type { QueueBaseOptions } from "bullmq";
import type { AnyBackend } from "../bullmq/any-backend.ts";
import { repeatSettings } from "../cron/repeat-strategy.ts";

/** The options of BullMQ's Worker that its backends read. */
export interface LaneSourceOptions extends QueueBaseOptions {
  readonly prefix?: string;
  readonly lockDuration: number;
  readonly stalledInterval: number;
  readonly maxStalledCount: number;
}

/**
 * One lane as its consumer reaches it: BullMQ's backend, with a connection of its own that waits for jobs. It takes the
 * place of BullMQ's Worker for BullMQ's jobs and schedules.
 */
export class LaneSource extends QueueBase {
  constructor(name: string, options: LaneSourceOptions, backend?: AnyBackend) {
    super(name, { ...options, settings: repeatSettings } as QueueBaseOptions, backend as never);
    this.on("error", () => {}); // BullMQ's connections retry by themselves.
  }

  protected override createBackend(): void {
    this.backend = this.backendFactory(this.name, this.opts, { withBlockingConnection: true });
  }
}
