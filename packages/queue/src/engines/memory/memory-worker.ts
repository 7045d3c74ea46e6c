import { AsyncResource } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import { getEventLoop } from "@taskloom/loop";
import { takeDeferredEnd } from "../../bullmq/deferred-end.ts";
import type { LaneProcessor } from "../../contract/engine-worker.ts";
import type { EngineWorker } from "../../contract/engine-worker.ts";
import type { MemoryJob } from "./memory-job.ts";
import type { MemoryLane } from "./memory-lane.ts";
import { asError } from "../../as-error.ts";

/** The names of the errors with which a processor reports that it has put the job back, as in BullMQ. */
const PUT_BACK: ReadonlySet<unknown> = new Set(["DelayedError", "WaitingError"]);

/** The worker of a {@link MemoryLane}, on this process's loop. It takes jobs one by one, without turns. */
export class MemoryWorker extends EventEmitter implements EngineWorker {
  readonly id: string = randomUUID();
  readonly #lane: MemoryLane;
  readonly #processor: LaneProcessor;
  #concurrency: number;
  /** Jobs run in the worker's own asynchronous context, and not in their submitter's. */
  readonly #context = new AsyncResource("TaskloomMemoryWorker");
  #running = 0;
  #tokens = 0;
  #isOpen = false;
  #isAwake = false;
  readonly #onJob = (): void => this.#wake();
  #stop: (() => void) | undefined;

  constructor(lane: MemoryLane, processor: LaneProcessor, concurrency: number) {
    super();
    this.#lane = lane;
    this.#processor = processor;
    this.#concurrency = concurrency;
  }

  get concurrency(): number {
    return this.#concurrency;
  }

  set concurrency(value: number) {
    this.#concurrency = value;
    this.#wake();
  }

  /** As in BullMQ, an error that a listener throws is an `error` of the worker and not of the job. */
  override emit(event: string, ...args: unknown[]): boolean {
    try {
      return super.emit(event, ...args);
    } catch (error) {
      return this.listenerCount("error") > 0 && super.emit("error", error);
    }
  }

  async waitUntilReady(): Promise<void> {}

  async run(): Promise<void> {
    this.#isOpen = true;
    this.#stop = this.#lane.onJob(this.#onJob);
    this.#wake();
  }

  #wake(): void {
    if (this.#isAwake || !this.#isOpen) return;
    this.#isAwake = true;
    this.#context.runInAsyncScope(() => getEventLoop().callSoon(() => this.#pump()));
  }

  #pump(): void {
    this.#isAwake = false;
    while (this.#isOpen && this.#running < this.#concurrency) {
      const token = `${this.id}:${this.#tokens++}`;
      const job = this.#lane.take(token, this.#onJob);
      if (job === undefined) return;
      this.#running++;
      void this.#process(job, token);
    }
  }

  async #process(job: MemoryJob, token: string): Promise<void> {
    try {
      takeDeferredEnd(job);
      this.emit("active", job);
      const result = await this.#processor(job, token);
      if (job.token !== token) return;
      this.#lane.complete(job, result);
      this.emit("completed", job, job.returnvalue);
    } catch (thrown) {
      const error = asError(thrown);
      if (job.token !== token || PUT_BACK.has(error.name)) return;
      this.#lane.fail(job, error);
      this.emit("failed", job, error);
    } finally {
      this.#running--;
      this.#wake();
    }
  }

  async pause(): Promise<void> {
    this.#isOpen = false;
    this.#stop?.();
  }

  async close(): Promise<void> {
    await this.pause();
  }
}
